#ifndef CAFFE_UTIL_IO_IMAGE_HPP_
#define CAFFE_UTIL_IO_IMAGE_HPP_

// Images in files and in Datums. Pixels are decoded, resized (bilinear) and encoded by OpenCV, so
// that they are the bytes that any Caffe gets. A cv::Mat has its channels pixel by pixel (blue,
// green, red), a Datum plane by plane.
//
// Where a file cannot be read, or is no image, these functions log an error and return false or an
// empty Mat, as Caffe's do. A JPEG that ends before its image does counts as one that cannot be
// read: what a decoder makes of the missing rows is no picture.

#include <string>
#include <string_view>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// The image in a file; height and width other than 0 resize it. In color: 3 channels; else 1.
cv::Mat ReadImageToCVMat(const string& filename, int height, int width, bool is_color);
cv::Mat ReadImageToCVMat(const string& filename, int height, int width);
cv::Mat ReadImageToCVMat(const string& filename, bool is_color);
cv::Mat ReadImageToCVMat(const string& filename);

/// The same into `image`; throws with the reason where ReadImageToCVMat logs it.
void read_image(const string& filename, int height, int width, bool is_color, cv::Mat* image);

/// A file as it is, as the data of an encoded Datum.
bool ReadFileToDatum(const string& filename, int label, Datum* datum);
inline bool ReadFileToDatum(const string& filename, Datum* datum) {
  return ReadFileToDatum(filename, -1, datum);
}

/// The image in a file, as pixels or, with an encoding such as "jpg" or "png", encoded that way:
/// then the file is taken as it is where its name ends in the encoding and nothing is to be
/// changed.
bool ReadImageToDatum(const string& filename, int label, int height, int width, bool is_color,
                      const string& encoding, Datum* datum);
inline bool ReadImageToDatum(const string& filename, int label, int height, int width,
                             bool is_color, Datum* datum) {
  return ReadImageToDatum(filename, label, height, width, is_color, "", datum);
}
inline bool ReadImageToDatum(const string& filename, int label, int height, int width,
                             Datum* datum) {
  return ReadImageToDatum(filename, label, height, width, true, datum);
}
inline bool ReadImageToDatum(const string& filename, int label, bool is_color, Datum* datum) {
  return ReadImageToDatum(filename, label, 0, 0, is_color, datum);
}
inline bool ReadImageToDatum(const string& filename, int label, Datum* datum) {
  return ReadImageToDatum(filename, label, 0, 0, true, datum);
}
inline bool ReadImageToDatum(const string& filename, int label, const string& encoding,
                             Datum* datum) {
  return ReadImageToDatum(filename, label, 0, 0, true, encoding, datum);
}

/// Replace the data of an encoded Datum by its pixels, with as many channels as the file has or
/// with 3 or 1. False when it is not encoded; throws when it cannot be decoded.
bool DecodeDatumNative(Datum* datum);
bool DecodeDatum(Datum* datum, bool is_color);

/// The image that an encoded Datum holds.
cv::Mat DecodeDatumToCVMatNative(const Datum& datum);
cv::Mat DecodeDatumToCVMat(const Datum& datum, bool is_color);

/// Sets pixels and shape; keeps the label.
void CVMatToDatum(const cv::Mat& cv_img, Datum* datum);

/// The image that a file's bytes are; false, and the reason in *why, when they cannot be decoded.
/// `flags` are cv::imdecode's.
bool decode_image(std::string_view bytes, int flags, cv::Mat* image, string* why);

/// A line of a list of images: "birds/a heron.jpg 3".
struct ImageLine {
  string file;
  int label;
  int number;  // of the line, from 1 on
};

/// Such a list. The label is what follows the last space; empty lines do not count. Throws, with
/// the line's number, when one has no label.
vector<ImageLine> read_image_list(const string& filename);

/// All of a file; throws with the system's reason.
string read_whole_file(const string& filename);

}  // namespace caffe

#endif  // CAFFE_UTIL_IO_IMAGE_HPP_
