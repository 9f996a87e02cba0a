#include "caffe/util/io_image.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "caffe/util/file_kind.hpp"

namespace caffe {

namespace {

/// Whether a JPEG ends with its end-of-image marker, whatever follows it; true for other formats. A
/// file consists of segments FF code length ...; after a start of scan (DA) come coded bytes, in
/// which FF is followed by 00 or a restart marker.
bool is_whole(std::string_view bytes) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (bytes.size() < 4 || at(0) != 0xFF || at(1) != 0xD8 || at(2) != 0xFF) return true;
  for (size_t i = 2; i + 1 < bytes.size();) {
    if (at(i) != 0xFF) {  // coded bytes
      i = std::min(bytes.find('\xFF', i), bytes.size());
      continue;
    }
    const int code = at(i + 1);
    if (code == 0xD9) return true;
    const bool alone = code == 0x00 || code == 0x01 || (code >= 0xD0 && code <= 0xD7);
    if (alone) {
      i += 2;
    } else if (code == 0xFF) {  // padding
      i += 1;
    } else {
      if (i + 3 >= bytes.size()) return false;
      i += 2 + (at(i + 2) << 8 | at(i + 3));
    }
  }
  return false;
}

string lower(string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// Whether a file's name has the ending of this encoding.
bool ends_in(const string& filename, const string& encoding) {
  const string ending = lower(filename.substr(filename.rfind('.') + 1));  // without a dot: all
  return ending == lower(encoding) || (ending == "jpeg" && lower(encoding) == "jpg");
}

int color_flag(bool is_color) {
  return is_color ? cv::IMREAD_COLOR : cv::IMREAD_GRAYSCALE;
}

cv::Mat decode_datum(const Datum& datum, int flags) {
  CAFFE_CHECK(datum.encoded(), "a Datum that is not encoded cannot be decoded");
  cv::Mat image;
  string why;
  if (!decode_image(datum.data(), flags, &image, &why))
    LOG(ERROR) << "Could not decode datum: " << why;
  return image;
}

bool decode_in_place(Datum* datum, int flags) {
  if (!datum->encoded()) return false;
  cv::Mat image;
  string why;
  CAFFE_CHECK(decode_image(datum->data(), flags, &image, &why), "an encoded Datum " << why);
  CVMatToDatum(image, datum);
  return true;
}

}  // namespace

bool decode_image(std::string_view bytes, int flags, cv::Mat* image, string* why) {
  if (bytes.empty()) {
    *why = "is empty";
    image->release();
    return false;
  }
  if (!is_whole(bytes)) {
    *why = "is a truncated JPEG";
    image->release();
    return false;
  }
  const cv::Mat input(1, static_cast<int>(bytes.size()), CV_8UC1, const_cast<char*>(bytes.data()));
  try {
    // Not into *image: OpenCV leaves its content unchanged if the bytes are not an image.
    *image = cv::imdecode(input, flags);
    if (!image->empty()) return true;
    *why = "cannot be decoded as an image";
  } catch (const cv::Exception& error) {
    *why = string("cannot be decoded: ") + error.what();
  }
  image->release();
  return false;
}

vector<ImageLine> read_image_list(const string& filename) {
  std::ifstream list(filename);
  CAFFE_CHECK(list, "the list of images '" << filename << "' cannot be opened: correct the path");
  const string kind = kind_of_file(filename);
  CAFFE_CHECK(kind.empty() || kind == "text",
              "the list of images '" << filename << "' is " << kind
                                     << ": it must be a text file, a line of which has a file's "
                                     << "name, a space and an integer");
  vector<ImageLine> lines;
  string text;
  for (int number = 1; std::getline(list, text); ++number) {
    if (number == 1) remove_byte_order_mark(&text);
    text.erase(text.find_last_not_of(" \t\r") + 1);
    if (text.empty()) continue;
    const size_t space = text.find_last_of(" \t");
    const string label = space == string::npos ? "" : text.substr(space + 1);
    char* end = nullptr;
    const long value = std::strtol(label.c_str(), &end, 10);  // NOLINT(runtime/int)
    CAFFE_CHECK(
        !label.empty() && *end == '\0' && value == static_cast<int>(value),
        "line " << number << " of '" << filename << "', \"" << text
                << "\", does not end in a label: a line must have a file's name, a space and an "
                << "integer");
    lines.push_back(
        {text.substr(0, text.find_last_not_of(" \t", space) + 1), static_cast<int>(value), number});
  }
  CAFFE_CHECK(!lines.empty(), "the list of images '" << filename << "' is empty");
  return lines;
}

string read_whole_file(const string& filename) {
  std::error_code failure;
  CAFFE_CHECK(!std::filesystem::is_directory(filename, failure),
              "'" << filename << "' is a folder, not a file");
  const uintmax_t size = std::filesystem::file_size(filename, failure);
  CAFFE_CHECK(!failure, "'" << filename << "' cannot be read: " << failure.message());
  CAFFE_CHECK(size <= INT_MAX, "'" << filename << "' is too large: " << size << " bytes");
  string bytes(size, '\0');
  std::ifstream file(filename, std::ios::binary);
  file.read(&bytes[0], static_cast<std::streamsize>(size));
  CAFFE_CHECK(file, "'" << filename << "' cannot be read: " << std::strerror(errno));
  return bytes;
}

void read_image(const string& filename, int height, int width, bool is_color, cv::Mat* image) {
  string why;
  CAFFE_CHECK(decode_image(read_whole_file(filename), color_flag(is_color), image, &why),
              "'" << filename << "' " << why);
  if (height <= 0 || width <= 0) return;
  cv::Mat resized;
  cv::resize(*image, resized, cv::Size(width, height));
  *image = resized;
}

cv::Mat ReadImageToCVMat(const string& filename, int height, int width, bool is_color) {
  cv::Mat image;
  try {
    read_image(filename, height, width, is_color, &image);
  } catch (const Error& error) {
    LOG(ERROR) << "Could not open or find file " << filename << ": " << error.what();
    image.release();
  }
  return image;
}

cv::Mat ReadImageToCVMat(const string& filename, int height, int width) {
  return ReadImageToCVMat(filename, height, width, true);
}
cv::Mat ReadImageToCVMat(const string& filename, bool is_color) {
  return ReadImageToCVMat(filename, 0, 0, is_color);
}
cv::Mat ReadImageToCVMat(const string& filename) {
  return ReadImageToCVMat(filename, 0, 0, true);
}

bool ReadFileToDatum(const string& filename, int label, Datum* datum) {
  try {
    datum->set_data(read_whole_file(filename));
  } catch (const Error& error) {
    LOG(ERROR) << error.what();
    return false;
  }
  datum->set_label(label);
  datum->set_encoded(true);
  return true;
}

bool ReadImageToDatum(const string& filename, int label, int height, int width, bool is_color,
                      const string& encoding, Datum* datum) {
  const cv::Mat image = ReadImageToCVMat(filename, height, width, is_color);
  if (image.empty()) return false;
  if (encoding.empty()) {
    CVMatToDatum(image, datum);
    datum->set_label(label);
    return true;
  }
  if ((image.channels() == 3) == is_color && height == 0 && width == 0 &&
      ends_in(filename, encoding)) {
    return ReadFileToDatum(filename, label, datum);
  }
  vector<unsigned char> bytes;
  try {
    cv::imencode("." + encoding, image, bytes);
  } catch (const cv::Exception&) {
    CAFFE_FAIL("'" << filename << "' cannot be encoded as '" << encoding
                   << "': OpenCV supports jpg, png and others");
  }
  datum->set_data(bytes.data(), bytes.size());
  datum->set_label(label);
  datum->set_encoded(true);
  return true;
}

bool DecodeDatumNative(Datum* datum) {
  return decode_in_place(datum, cv::IMREAD_UNCHANGED);
}

bool DecodeDatum(Datum* datum, bool is_color) {
  return decode_in_place(datum, color_flag(is_color));
}

cv::Mat DecodeDatumToCVMatNative(const Datum& datum) {
  return decode_datum(datum, cv::IMREAD_UNCHANGED);
}

cv::Mat DecodeDatumToCVMat(const Datum& datum, bool is_color) {
  return decode_datum(datum, color_flag(is_color));
}

void CVMatToDatum(const cv::Mat& cv_img, Datum* datum) {
  CAFFE_CHECK(cv_img.depth() == CV_8U && cv_img.dims == 2,
              "an image must have 8 bits per channel to become a Datum");
  const int channels = cv_img.channels(), height = cv_img.rows, width = cv_img.cols;
  datum->set_channels(channels);
  datum->set_height(height);
  datum->set_width(width);
  datum->clear_data();
  datum->clear_float_data();
  datum->set_encoded(false);
  string* const data = datum->mutable_data();
  data->resize(static_cast<size_t>(channels) * height * width);
  vector<cv::Mat> planes;
  for (int c = 0; c < channels; ++c) {
    planes.emplace_back(height, width, CV_8UC1, &(*data)[static_cast<size_t>(c) * height * width]);
  }
  if (!cv_img.empty()) cv::split(cv_img, planes);
}

}  // namespace caffe
