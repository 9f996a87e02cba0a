#include "tools/mnist.hpp"

#include <cstdint>
#include <iomanip>

#include "caffe/common.hpp"
#include "caffe/util/io.hpp"
#include "tools/records.hpp"

namespace caffe_tool {

namespace {

constexpr size_t kImageHeader = 16, kLabelHeader = 8;

uint32_t number_at(const std::string& bytes, size_t at) {
  uint32_t number = 0;
  for (size_t i = at; i < at + 4; ++i) number = number << 8 | static_cast<unsigned char>(bytes[i]);
  return number;
}

/// Reads a file that begins with the number `magic` and a header of `header` bytes.
std::string read_idx(const std::string& file, uint32_t magic, size_t header, const char* what) {
  const std::string bytes = caffe::read_whole_file(file);
  CAFFE_CHECK(bytes.compare(0, 2, "\x1F\x8B") != 0,
              "'" << file << "' is compressed: run gunzip on it first");
  const uint32_t begin = bytes.size() < 4 ? 0 : number_at(bytes, 0);
  CAFFE_CHECK(begin == magic, "'" << file << "' is not a file of MNIST's " << what
                                  << ": it begins with the number " << begin << ", not with "
                                  << magic);
  CAFFE_CHECK(bytes.size() >= header,
              "'" << file << "' has " << bytes.size() << " bytes, fewer than its header");
  return bytes;
}

void check_length(const std::string& file, const std::string& bytes, size_t header, double values) {
  CAFFE_CHECK(static_cast<double>(bytes.size() - header) >= values,
              "'" << file << "' is cut short: it has " << bytes.size() << " bytes, its header says "
                  << std::fixed << std::setprecision(0) << header + values
                  << ": download it again");
}

}  // namespace

Mnist::Mnist(const std::string& image_file, const std::string& label_file)
    : images_(read_idx(image_file, 2051, kImageHeader, "images")),
      labels_(read_idx(label_file, 2049, kLabelHeader, "labels")) {
  const uint32_t count = number_at(images_, 4), labels = number_at(labels_, 4);
  const uint32_t rows = number_at(images_, 8), columns = number_at(images_, 12);
  CAFFE_CHECK(count == labels, "'" << image_file << "' has " << count << " images, but '"
                                   << label_file << "' has " << labels
                                   << " labels: they do not belong together");
  CAFFE_CHECK(count > 0 && rows > 0 && columns > 0, "'" << image_file << "' has " << count
                                                        << " images of " << rows << " x " << columns
                                                        << " pixels");
  check_length(image_file, images_, kImageHeader, double(count) * rows * columns);
  check_length(label_file, labels_, kLabelHeader, count);
  count_ = static_cast<int>(count);
  rows_ = static_cast<int>(rows);
  columns_ = static_cast<int>(columns);
}

std::string_view Mnist::image(int i) const {
  const size_t size = static_cast<size_t>(rows_) * columns_;
  return std::string_view(images_).substr(kImageHeader + i * size, size);
}

int Mnist::label(int i) const {
  return static_cast<unsigned char>(labels_[kLabelHeader + i]);
}

void write_records(const Mnist& mnist, const std::string& backend, const std::string& db_name,
                   int channels, const std::function<void(int, caffe::Datum*)>& fill) {
  RecordWriter records(backend, db_name);
  LOG(INFO) << "A total of " << mnist.count() << " items.";
  LOG(INFO) << "Rows: " << mnist.rows() << " Cols: " << mnist.columns();
  caffe::Datum datum;
  datum.set_channels(channels);
  datum.set_height(mnist.rows());
  datum.set_width(mnist.columns());
  for (int i = 0; i < mnist.count(); ++i) {
    fill(i, &datum);
    records.put(numbered(i, 8), datum);
  }
  records.commit();
  LOG(INFO) << "Processed " << records.count() << " files.";
}

}  // namespace caffe_tool
