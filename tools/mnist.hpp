#ifndef TOOLS_MNIST_HPP_
#define TOOLS_MNIST_HPP_

// The files of MNIST, and of sets that have its form (Fashion-MNIST, KMNIST, EMNIST).

#include <functional>
#include <string>
#include <string_view>

#include "caffe/proto/caffe.pb.h"

namespace caffe_tool {

/// A file of images and its file of labels. Numbers in them are big-endian, 4 bytes each: 2051, the
/// number of images, rows and columns, then a byte per pixel; 2049, the number of labels, then a
/// byte per label.
class Mnist {
 public:
  /// Reads both. Throws if a file is missing, compressed, of another kind or cut short, or if the
  /// numbers of images and labels differ.
  Mnist(const std::string& image_file, const std::string& label_file);

  int count() const { return count_; }
  int rows() const { return rows_; }
  int columns() const { return columns_; }
  /// The pixels of image `i`, rows() x columns() bytes.
  std::string_view image(int i) const;
  int label(int i) const;

 private:
  std::string images_, labels_;  // the whole files
  int count_ = 0, rows_ = 0, columns_ = 0;
};

/// Writes a new database of `backend` with as many records as there are images, numbered from 0:
/// fill(i, datum) sets record i's data, channels x rows x columns, and label.
void write_records(const Mnist& mnist, const std::string& backend, const std::string& db_name,
                   int channels, const std::function<void(int, caffe::Datum*)>& fill);

}  // namespace caffe_tool

#endif  // TOOLS_MNIST_HPP_
