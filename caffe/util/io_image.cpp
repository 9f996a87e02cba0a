#include "caffe/util/io_image.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "caffe/util/file_kind.hpp"
#include "caffe/util/image_kind.hpp"

namespace caffe {

namespace {

int color_flag(bool is_color) {
  return is_color ? cv::IMREAD_COLOR : cv::IMREAD_GRAYSCALE;
}

constexpr int kStart = 64;  // bytes of a file that tell its encoding

/// The encoding of a file: by its content, else by the ending of its name, else "".
string encoding_of(std::string_view bytes, const string& filename) {
  const string encoding = kind_of_image(bytes.substr(0, kStart)).encoding;
  if (!encoding.empty()) return encoding;
  const string name = filename.substr(filename.rfind('/') + 1);
  return name.find('.') == string::npos ? "" : encoding_name(name);
}

/// Decodes a file's bytes, and resizes the image unless height or width is 0.
void image_of(std::string_view bytes, const string& filename, int height, int width, bool is_color,
              cv::Mat* image) {
  string why;
  CAFFE_CHECK(decode_image(bytes, color_flag(is_color), image, &why),
              "'" << filename << "' " << why);
  if (height <= 0 || width <= 0) return;
  cv::Mat resized;
  cv::resize(*image, resized, cv::Size(width, height));
  *image = resized;
}

bool equal(const cv::Mat& a, const cv::Mat& b) {
  return a.size() == b.size() && a.type() == b.type() && cv::norm(a, b, cv::NORM_INF) == 0;
}

/// Whether a decoder that is told neither color nor gray makes the image asked for of a file: one
/// of 8 bits per channel, without alpha, palette or CMYK, and upright. OpenCV turns images by their
/// Exif data unless it is told neither.
bool decodes_as_asked(std::string_view bytes, bool is_color) {
  const int channels = is_color ? 3 : 1, values = kind_of_image(bytes).values_per_pixel;
  if (values != 0 && values != channels) return false;
  cv::Mat as_it_is, asked;
  string why;
  if (!decode_image(bytes, cv::IMREAD_UNCHANGED, &as_it_is, &why)) return false;
  if (as_it_is.type() != CV_8UC(channels)) return false;
  const auto has = [&](const char* text) { return bytes.find(text) != std::string_view::npos; };
  if (!has("Exif") && !has("EXIF") && !has("eXIf")) return true;
  return decode_image(bytes, color_flag(is_color), &asked, &why) && equal(as_it_is, asked);
}

/// The bytes of an image in an encoding; throws if they would not decode to that image.
string encode(const cv::Mat& image, const string& encoding, const string& filename) {
  vector<unsigned char> bytes;
  try {
    cv::imencode("." + encoding, image, bytes);
  } catch (const cv::Exception&) {
    CAFFE_FAIL("'" << filename << "' cannot be encoded as '" << encoding
                   << "': OpenCV supports jpg, png and others");
  }
  const string text(bytes.begin(), bytes.end());
  cv::Mat decoded;
  string why;
  const bool lossy = encoding_name(encoding) == "jpg" || encoding_name(encoding) == "webp";
  CAFFE_CHECK(decode_image(text, cv::IMREAD_UNCHANGED, &decoded, &why) &&
                  (lossy ? decoded.type() == image.type() : equal(decoded, image)),
              "'" << filename << "' cannot be encoded as '" << encoding << "': that does not hold "
                  << "images of " << image.channels() << " channels as they are, png and jpg do");
  return text;
}

void set_encoded(const string& bytes, Datum* datum) {
  datum->clear_channels();  // pixels that it may have held
  datum->clear_height();
  datum->clear_width();
  datum->clear_float_data();
  datum->set_data(bytes);
  datum->set_encoded(true);
}

void log_unreadable(const string& filename, const Error& error) {
  LOG(ERROR) << "Could not open or find file " << filename << ": " << error.what();
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
  if (!is_whole_jpeg(bytes)) {
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
  image_of(read_whole_file(filename), filename, height, width, is_color, image);
}

cv::Mat ReadImageToCVMat(const string& filename, int height, int width, bool is_color) {
  cv::Mat image;
  try {
    read_image(filename, height, width, is_color, &image);
  } catch (const Error& error) {
    log_unreadable(filename, error);
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
    set_encoded(read_whole_file(filename), datum);
  } catch (const Error& error) {
    LOG(ERROR) << error.what();
    return false;
  }
  datum->set_label(label);
  return true;
}

bool ReadImageToDatum(const string& filename, int label, int height, int width, bool is_color,
                      const string& encoding, Datum* datum) {
  cv::Mat image;
  string bytes;
  try {
    bytes = read_whole_file(filename);
    const bool as_it_is = !encoding.empty() && height == 0 && width == 0 &&
                          encoding_of(bytes, filename) == encoding_name(encoding) &&
                          decodes_as_asked(bytes, is_color);
    if (!as_it_is) image_of(bytes, filename, height, width, is_color, &image);
  } catch (const Error& error) {
    log_unreadable(filename, error);
    return false;
  }
  if (encoding.empty()) {
    CVMatToDatum(image, datum);
  } else {
    set_encoded(image.empty() ? bytes : encode(image, encoding, filename), datum);
  }
  datum->set_label(label);
  return true;
}

string encoding_of_file(const string& filename) {
  string start(kStart, '\0');
  std::ifstream file(filename, std::ios::binary);
  file.read(&start[0], kStart);
  start.resize(file.gcount());
  return encoding_of(start, filename);
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
