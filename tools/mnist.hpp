#ifndef TOOLS_MNIST_HPP_
#define TOOLS_MNIST_HPP_

// The files of MNIST, and of sets that have its form (Fashion-MNIST, KMNIST, EMNIST).

#include <string>
#include <string_view>

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

}  // namespace caffe_tool

#endif  // TOOLS_MNIST_HPP_
