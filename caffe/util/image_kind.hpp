#ifndef CAFFE_UTIL_IMAGE_KIND_HPP_
#define CAFFE_UTIL_IMAGE_KIND_HPP_

// What an image file is by its first bytes, whatever its name says.

#include <string>
#include <string_view>

namespace caffe {

struct ImageKind {
  std::string encoding;  // "jpg", "png", "bmp", "gif", "tif", "webp", "jp2", "pnm", "sr", "hdr",
                         // "exr"; "" if none of them
  int values_per_pixel;  // of a JPEG or a PNG (alpha included; 1 for the index of a palette's
                         // colour), otherwise 0
};

/// The kind of a file that begins with these bytes.
ImageKind kind_of_image(std::string_view bytes);

/// Whether a JPEG ends with its end-of-image marker, whatever follows it; true for other kinds.
bool is_whole_jpeg(std::string_view bytes);

/// The usual name of an encoding: "jpg" for "JPEG", "tif" for ".tiff" and so on.
std::string encoding_name(const std::string& ending);

}  // namespace caffe

#endif  // CAFFE_UTIL_IMAGE_KIND_HPP_
