#include "caffe/util/image_kind.hpp"

#include <algorithm>
#include <cctype>

namespace caffe {

namespace {

using std::string;
using std::string_view;

int byte_at(string_view bytes, size_t i) {
  return static_cast<unsigned char>(bytes[i]);
}

bool is_jpeg(string_view bytes) {
  return bytes.size() >= 4 && bytes.substr(0, 3) == "\xFF\xD8\xFF";
}

/// Calls visit(code, start) for each marker of a JPEG, until that returns true or the bytes end;
/// returns whether it did. A JPEG consists of segments FF code length ..., where start is the place
/// of FF; after a start of scan (DA) come coded bytes, in which FF is followed by 00 or a restart
/// marker.
template <typename Visit>
bool find_marker(string_view bytes, const Visit& visit) {
  for (size_t i = 2; i + 1 < bytes.size();) {
    if (byte_at(bytes, i) != 0xFF) {  // coded bytes
      i = std::min(bytes.find('\xFF', i), bytes.size());
      continue;
    }
    const int code = byte_at(bytes, i + 1);
    const bool alone = code == 0x00 || code == 0x01 || (code >= 0xD0 && code <= 0xD7);
    if (alone) {
      i += 2;
    } else if (code == 0xFF) {  // padding
      i += 1;
    } else {
      if (visit(code, i)) return true;
      if (i + 3 >= bytes.size()) return false;
      i += 2 + (byte_at(bytes, i + 2) << 8 | byte_at(bytes, i + 3));
    }
  }
  return false;
}

/// The number of components in a JPEG's frame header; 0 if there is none.
int components_of_jpeg(string_view bytes) {
  int components = 0;
  find_marker(bytes, [&](int code, size_t i) {
    const bool is_frame = code >= 0xC0 && code <= 0xCF && code != 0xC4 && code != 0xC8 &&
                          code != 0xCC;  // the other three hold tables
    if (is_frame && i + 9 < bytes.size()) components = byte_at(bytes, i + 9);
    return is_frame;
  });
  return components;
}

int values_per_pixel_of_png(string_view bytes) {
  constexpr int kOfColorType[] = {1, 0, 3, 1, 2, 0, 4};  // gray, RGB, palette, gray and alpha, RGBA
  const int color_type = bytes.size() > 25 ? byte_at(bytes, 25) : 1;
  return color_type <= 6 ? kOfColorType[color_type] : 0;
}

struct Signature {
  string_view start;
  const char* encoding;
};

constexpr Signature kSignatures[] = {
    {{"\xFF\xD8\xFF", 3}, "jpg"},
    {{"\x89PNG\r\n\x1A\n", 8}, "png"},
    {{"GIF8", 4}, "gif"},
    {{"BM", 2}, "bmp"},
    {{"II*\0", 4}, "tif"},
    {{"MM\0*", 4}, "tif"},
    {{"\0\0\0\x0CjP  ", 8}, "jp2"},
    {{"\xFF\x4F\xFF\x51", 4}, "jp2"},
    {{"\x59\xA6\x6A\x95", 4}, "sr"},
    {{"#?RADIANCE", 10}, "hdr"},
    {{"#?RGBE", 6}, "hdr"},
    {{"\x76\x2F\x31\x01", 4}, "exr"},
};

}  // namespace

ImageKind kind_of_image(string_view bytes) {
  ImageKind kind{"", 0};
  for (const Signature& signature : kSignatures) {
    if (bytes.substr(0, signature.start.size()) == signature.start) {
      kind.encoding = signature.encoding;
    }
  }
  if (bytes.size() > 12 && bytes.substr(0, 4) == "RIFF" && bytes.substr(8, 4) == "WEBP") {
    kind.encoding = "webp";
  }
  if (bytes.size() > 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' &&
      std::isspace(byte_at(bytes, 2))) {
    kind.encoding = "pnm";
  }
  if (kind.encoding == "jpg") kind.values_per_pixel = components_of_jpeg(bytes);
  if (kind.encoding == "png") kind.values_per_pixel = values_per_pixel_of_png(bytes);
  return kind;
}

bool is_whole_jpeg(string_view bytes) {
  return !is_jpeg(bytes) || find_marker(bytes, [](int code, size_t) { return code == 0xD9; });
}

string encoding_name(const string& ending) {
  string name = ending.substr(ending.rfind('.') + 1);  // without a dot: all
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (name == "jpeg" || name == "jpe") return "jpg";
  if (name == "tiff") return "tif";
  if (name == "dib") return "bmp";
  if (name == "pbm" || name == "pgm" || name == "ppm") return "pnm";
  if (name == "ras") return "sr";
  return name;
}

}  // namespace caffe
