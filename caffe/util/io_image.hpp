#ifndef CAFFE_UTIL_IO_IMAGE_HPP_
#define CAFFE_UTIL_IO_IMAGE_HPP_

// Images in files and in Datums. Pixels are decoded, resized (bilinear) and encoded by OpenCV, so
// the bytes are the same as in any Caffe. A cv::Mat stores its channels pixel by pixel (blue,
// green, red), a Datum plane by plane.
//
// If a file cannot be read or is not an image, these functions log an error and return false or an
// empty Mat, as Caffe's do. A truncated JPEG counts as unreadable, because a decoder would invent
// its missing rows.

#include <string>
#include <string_view>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// Reads the image in a file; height and width other than 0 resize it. In color it has 3 channels,
/// otherwise 1.
cv::Mat ReadImageToCVMat(const string& filename, int height, int width, bool is_color);
cv::Mat ReadImageToCVMat(const string& filename, int height, int width);
cv::Mat ReadImageToCVMat(const string& filename, bool is_color);
cv::Mat ReadImageToCVMat(const string& filename);

/// The same into `image`, but throws the error that ReadImageToCVMat logs.
void read_image(const string& filename, int height, int width, bool is_color, cv::Mat* image);

/// Stores a file unchanged as the data of an encoded Datum.
bool ReadFileToDatum(const string& filename, int label, Datum* datum);
inline bool ReadFileToDatum(const string& filename, Datum* datum) {
  return ReadFileToDatum(filename, -1, datum);
}

/// Stores the image of a file as pixels or, with an encoding such as "jpg" or "png", encoded that
/// way. In the latter case the file is stored unchanged if it has that encoding and the image needs
/// no change: no other size, no other channels (gray, alpha, palette, CMYK), no other depth than 8
/// bits, no turn by its Exif data. Otherwise its image is encoded again, a JPEG in OpenCV's quality
/// of 95. Throws if the encoding is unknown or cannot hold the image.
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

/// The encoding of an image file ("jpg", "png", "tif" ...): by its content, else by the ending of
/// its name, else "".
string encoding_of_file(const string& filename);

/// Replace the data of an encoded Datum by its pixels, with as many channels as the file has or
/// with 3 or 1. Return false if it is not encoded; throw if it cannot be decoded.
bool DecodeDatumNative(Datum* datum);
bool DecodeDatum(Datum* datum, bool is_color);

/// The image in an encoded Datum.
cv::Mat DecodeDatumToCVMatNative(const Datum& datum);
cv::Mat DecodeDatumToCVMat(const Datum& datum, bool is_color);

/// Sets pixels and shape; keeps the label.
void CVMatToDatum(const cv::Mat& cv_img, Datum* datum);

/// Decodes an image from a file's bytes; returns false, with the reason in *why, if this fails.
/// `flags` are cv::imdecode's.
bool decode_image(std::string_view bytes, int flags, cv::Mat* image, string* why);

/// A line of a list of images: "birds/a heron.jpg 3".
struct ImageLine {
  string file;
  int label;
  int number;  // of the line, starting with 1
};

/// Reads such a list. The label follows the last space; empty lines are skipped. Throws, with the
/// line's number, if a line has no label.
vector<ImageLine> read_image_list(const string& filename);

/// The content of a file; throws with the system's reason.
string read_whole_file(const string& filename);

}  // namespace caffe

#endif  // CAFFE_UTIL_IO_IMAGE_HPP_
