#include "caffe/util/image_changes.hpp"

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "caffe/common.hpp"
#include "caffe/data_transformer.hpp"

namespace caffe {

double uniform(ItemRandom* random, double low, double high) {
  return low + (high - low) * ((*random)() / 4294967296.);
}

bool happens(ItemRandom* random, double probability) {
  return uniform(random, 0, 1) < probability;
}

cv::Mat image_of(const Pixels& pixels) {
  CAFFE_CHECK(pixels.bytes != nullptr,
              "an image of floats (float_data) cannot be resized, distorted or expanded: store "
              "bytes, or remove these parameters");
  const int channels = pixels.channels;
  CAFFE_CHECK(channels <= CV_CN_MAX, "an image has " << channels << " channels: at most "
                                                     << CV_CN_MAX << " can be resized");
  unsigned char* const bytes = const_cast<unsigned char*>(pixels.bytes);
  if (pixels.interleaved) {
    return cv::Mat(pixels.height, pixels.width, CV_8UC(channels), bytes, pixels.row_bytes).clone();
  }
  std::vector<cv::Mat> planes;
  const size_t area = static_cast<size_t>(pixels.height) * pixels.width;
  for (int c = 0; c < channels; ++c) {
    planes.emplace_back(pixels.height, pixels.width, CV_8UC1, bytes + c * area);
  }
  cv::Mat image;
  cv::merge(planes, image);
  return image;
}

namespace {

constexpr double kLongest = 65500, kMostPixels = 1 << 28;

void check_probability(const char* field, double value) {
  CAFFE_CHECK(value >= 0 && value <= 1, field << " is " << value << ": give 0 to 1");
}

void check_size(double height, double width, const char* what) {
  CAFFE_CHECK(height <= kLongest && width <= kLongest && height * width <= kMostPixels,
              what << " makes an image of " << height << " x " << width << " pixels: too large");
}

void check_delta(const char* field, double delta) {
  CAFFE_CHECK(delta >= 0 && delta <= kLongest, field << " is " << delta << ": give 0 or more");
}

void check_range(const char* lower, double low, const char* upper, double high) {
  CAFFE_CHECK(low >= 0 && low <= high && high <= kLongest, lower << " is " << low << " and "
                                                                 << upper << " is " << high
                                                                 << ": give 0 <= lower <= upper");
}

/// A colour for OpenCV, of up to 4 channels: one value for all, or one for each.
template <typename Values>
cv::Scalar colour(const Values& values) {
  cv::Scalar scalar = cv::Scalar::all(values.empty() ? 0 : *values.begin());
  if (values.size() > 1) {
    for (int c = 0; c < 4 && c < static_cast<int>(values.size()); ++c) scalar[c] = values[c];
  }
  return scalar;
}

/// Calls change(luma) for a gray image and for the luma of one with colours.
template <typename Change>
void change_luma(cv::Mat* image, const Change& change) {
  if (image->channels() == 1) return change(image);
  if (image->channels() != 3) return;
  cv::Mat ycrcb;
  cv::cvtColor(*image, ycrcb, cv::COLOR_BGR2YCrCb);
  std::vector<cv::Mat> planes;
  cv::split(ycrcb, planes);
  change(&planes[0]);
  cv::merge(planes, ycrcb);
  cv::cvtColor(ycrcb, *image, cv::COLOR_YCrCb2BGR);
}

void code_as_jpeg(double quality, cv::Mat* image) {
  if (image->channels() != 1 && image->channels() != 3) return;
  std::vector<unsigned char> bytes;
  cv::imencode(".jpg", *image, bytes, {cv::IMWRITE_JPEG_QUALITY, static_cast<int>(quality)});
  *image = cv::imdecode(bytes, image->channels() == 3 ? cv::IMREAD_COLOR : cv::IMREAD_GRAYSCALE);
}

void add_salt_and_pepper(const SaltPepperParameter& param, ItemRandom* random, cv::Mat* image) {
  const int channels = image->channels();
  const int values = param.value_size();
  const int pixels = static_cast<int>(param.fraction() * image->rows * image->cols);
  for (int i = 0; i < pixels; ++i) {
    const int row = random->below(image->rows), column = random->below(image->cols);
    const int any = values == 0 ? 255 * random->below(2) : 0;
    unsigned char* const pixel = image->ptr(row) + static_cast<size_t>(column) * channels;
    for (int c = 0; c < channels; ++c) {
      const double value = values == 0 ? any : param.value(values == 1 ? 0 : c % values);
      pixel[c] = cv::saturate_cast<unsigned char>(value);
    }
  }
}

int interpolation(const ResizeParameter& param, ItemRandom* random) {
  if (param.interp_mode_size() == 0) return cv::INTER_LINEAR;
  switch (param.interp_mode(random->below(param.interp_mode_size()))) {
    case ResizeParameter_Interp_mode_LINEAR:
      return cv::INTER_LINEAR;
    case ResizeParameter_Interp_mode_AREA:
      return cv::INTER_AREA;
    case ResizeParameter_Interp_mode_NEAREST:
      return cv::INTER_NEAREST;
    case ResizeParameter_Interp_mode_CUBIC:
      return cv::INTER_CUBIC;
    case ResizeParameter_Interp_mode_LANCZOS4:
      return cv::INTER_LANCZOS4;
  }
  CAFFE_FAIL("resize_param has an unknown interp_mode");
}

int border(ResizeParameter_Pad_mode mode) {
  switch (mode) {
    case ResizeParameter_Pad_mode_CONSTANT:
      return cv::BORDER_CONSTANT;
    case ResizeParameter_Pad_mode_MIRRORED:
      return cv::BORDER_REFLECT_101;
    case ResizeParameter_Pad_mode_REPEAT_NEAREST:
      return cv::BORDER_REPLICATE;
  }
  CAFFE_FAIL("resize_param has an unknown pad_mode");
}

/// Rounded down, but not by an error of the last digit.
int length(double pixels) {
  return std::max(1, static_cast<int>(std::floor(pixels + 1e-6)));
}

/// Where FIT_LARGE_SIZE_AND_PAD puts an image of rows x columns pixels.
cv::Rect fitted_place(const ResizeParameter& param, int rows, int columns) {
  const int height = static_cast<int>(param.height()), width = static_cast<int>(param.width());
  const double scale = std::min(double(height) / rows, double(width) / columns);
  const int h = std::min(height, length(scale * rows)),
            w = std::min(width, length(scale * columns));
  return {(width - w) / 2, (height - h) / 2, w, h};
}

cv::Mat fit_and_pad(const cv::Mat& image, const ResizeParameter& param, int how) {
  const cv::Rect at = fitted_place(param, image.rows, image.cols);
  const int height = static_cast<int>(param.height()), width = static_cast<int>(param.width());
  cv::Mat fitted, padded;
  cv::resize(image, fitted, at.size(), 0, 0, how);
  cv::copyMakeBorder(fitted, padded, at.y, height - at.br().y, at.x, width - at.br().x,
                     border(param.pad_mode()), colour(param.pad_value()));
  return padded;
}

void change_saturation(double factor, cv::Mat* hsv) {
  std::vector<cv::Mat> planes;
  cv::split(*hsv, planes);
  planes[1].convertTo(planes[1], -1, factor);
  cv::merge(planes, *hsv);
}

void turn_hue(double delta, cv::Mat* hsv) {
  const int shift = static_cast<int>(std::lround(delta));
  for (int h = 0; h < hsv->rows; ++h) {
    unsigned char* const row = hsv->ptr(h);
    for (int w = 0; w < hsv->cols; ++w) {
      row[3 * w] = static_cast<unsigned char>(((row[3 * w] + shift) % 180 + 180) % 180);
    }
  }
}

template <typename Change>
void change_hsv(cv::Mat* image, const Change& change) {
  if (image->channels() != 3) return;
  cv::Mat hsv;
  cv::cvtColor(*image, hsv, cv::COLOR_BGR2HSV);
  change(&hsv);
  cv::cvtColor(hsv, *image, cv::COLOR_HSV2BGR);
}

void reorder_channels(ItemRandom* random, cv::Mat* image) {
  std::vector<cv::Mat> planes;
  cv::split(*image, planes);
  for (int left = image->channels(); left > 1; --left) {
    std::swap(planes[left - 1], planes[random->below(left)]);
  }
  cv::merge(planes, *image);
}

}  // namespace

// ---- checks

void check_resize(const ResizeParameter& param) {
  CAFFE_CHECK(
      param.height() > 0 && param.width() > 0,
      "resize_param is " << param.height() << " x " << param.width() << ": give height and width");
  check_size(param.height(), param.width(), "resize_param");
  CAFFE_CHECK(!param.has_height_scale() && !param.has_width_scale(),
              "resize_param.height_scale and width_scale are not built: give the size that "
              "FIT_SMALL_SIZE must cover as height and width");
  check_probability("resize_param.prob", param.prob());
  CAFFE_CHECK(param.pad_value_size() <= 4,
              "resize_param has " << param.pad_value_size() << " pad_value: at most 4 work");
}

void check_noise(const NoiseParameter& param) {
  check_probability("noise_param.prob", param.prob());
  check_probability("noise_param.saltpepper_param.fraction", param.saltpepper_param().fraction());
  CAFFE_CHECK(param.jpeg() <= 100, "noise_param.jpeg is " << param.jpeg() << ": give 0 to 100");
  for (const float value : param.saltpepper_param().value()) {
    CAFFE_CHECK(value >= 0 && value <= 255,
                "noise_param.saltpepper_param.value is " << value << ": give 0 to 255");
  }
}

void check_distortion(const DistortionParameter& param) {
  check_probability("distort_param.brightness_prob", param.brightness_prob());
  check_probability("distort_param.contrast_prob", param.contrast_prob());
  check_probability("distort_param.saturation_prob", param.saturation_prob());
  check_probability("distort_param.hue_prob", param.hue_prob());
  check_probability("distort_param.random_order_prob", param.random_order_prob());
  check_delta("distort_param.brightness_delta", param.brightness_delta());
  check_delta("distort_param.hue_delta", param.hue_delta());
  check_range("distort_param.contrast_lower", param.contrast_lower(), "contrast_upper",
              param.contrast_upper());
  check_range("distort_param.saturation_lower", param.saturation_lower(), "saturation_upper",
              param.saturation_upper());
}

void check_expansion(const ExpansionParameter& param) {
  check_probability("expand_param.prob", param.prob());
  CAFFE_CHECK(param.max_expand_ratio() >= 1 && param.max_expand_ratio() <= 100,
              "expand_param.max_expand_ratio is " << param.max_expand_ratio() << ": give 1 to 100");
}

// ---- changes

Window resize_window(const ResizeParameter& param, int rows, int columns) {
  if (param.resize_mode() != ResizeParameter_Resize_mode_FIT_LARGE_SIZE_AND_PAD) return Window();
  const cv::Rect at = fitted_place(param, rows, columns);
  const double height = at.height, width = at.width;
  return {-at.x / width, -at.y / height, (param.width() - at.x) / width,
          (param.height() - at.y) / height};
}

cv::Mat resized(const cv::Mat& image, const ResizeParameter& param, ItemRandom* random,
                Window* shown) {
  *shown = Window();
  if (!happens(random, param.prob())) return image;
  const int how = interpolation(param, random);
  int height = static_cast<int>(param.height()), width = static_cast<int>(param.width());
  switch (param.resize_mode()) {
    case ResizeParameter_Resize_mode_WARP:
      break;
    case ResizeParameter_Resize_mode_FIT_LARGE_SIZE_AND_PAD:
      *shown = resize_window(param, image.rows, image.cols);
      return fit_and_pad(image, param, how);
    case ResizeParameter_Resize_mode_FIT_SMALL_SIZE: {
      const double scale = std::max(double(height) / image.rows, double(width) / image.cols);
      check_size(scale * image.rows, scale * image.cols, "resize_param's FIT_SMALL_SIZE");
      height = std::max(height, length(scale * image.rows));
      width = std::max(width, length(scale * image.cols));
      break;
    }
  }
  cv::Mat result;
  cv::resize(image, result, cv::Size(width, height), 0, 0, how);
  return result;
}

void add_noise(const NoiseParameter& param, ItemRandom* random, cv::Mat* image) {
  if (!happens(random, param.prob())) return;
  const bool colours = image->channels() == 3;
  if (param.decolorize() && colours) {
    cv::Mat gray;
    cv::cvtColor(*image, gray, cv::COLOR_BGR2GRAY);
    cv::cvtColor(gray, *image, cv::COLOR_GRAY2BGR);
  }
  if (param.hist_eq()) {
    change_luma(image, [](cv::Mat* luma) { cv::equalizeHist(*luma, *luma); });
  }
  if (param.inverse()) cv::bitwise_not(*image, *image);
  if (param.gauss_blur()) cv::GaussianBlur(*image, *image, cv::Size(7, 7), 1.5);
  if (param.jpeg() >= 0) code_as_jpeg(param.jpeg(), image);
  if (param.posterize()) cv::bitwise_and(*image, cv::Scalar::all(0xC0), *image);
  if (param.erode()) {
    cv::erode(*image, *image, cv::getStructuringElement(cv::MORPH_CROSS, cv::Size(3, 3)));
  }
  if (param.saltpepper()) add_salt_and_pepper(param.saltpepper_param(), random, image);
  if (param.clahe()) {
    change_luma(image,
                [](cv::Mat* luma) { cv::createCLAHE(4, cv::Size(8, 8))->apply(*luma, *luma); });
  }
  if (param.convert_to_hsv() && colours) cv::cvtColor(*image, *image, cv::COLOR_BGR2HSV);
  if (param.convert_to_lab() && colours) cv::cvtColor(*image, *image, cv::COLOR_BGR2Lab);
}

void distort(const DistortionParameter& param, ItemRandom* random, cv::Mat* image) {
  const auto change_contrast = [&] {
    if (!happens(random, param.contrast_prob())) return;
    image->convertTo(*image, -1, uniform(random, param.contrast_lower(), param.contrast_upper()));
  };
  const bool early = uniform(random, 0, 1) > 0.5;
  if (happens(random, param.brightness_prob())) {
    const double delta = param.brightness_delta();
    image->convertTo(*image, -1, 1, uniform(random, -delta, delta));
  }
  if (early) change_contrast();
  if (happens(random, param.saturation_prob())) {
    const double factor = uniform(random, param.saturation_lower(), param.saturation_upper());
    change_hsv(image, [=](cv::Mat* hsv) { change_saturation(factor, hsv); });
  }
  if (happens(random, param.hue_prob())) {
    const double delta = uniform(random, -param.hue_delta(), param.hue_delta());
    change_hsv(image, [=](cv::Mat* hsv) { turn_hue(delta, hsv); });
  }
  if (!early) change_contrast();
  if (happens(random, param.random_order_prob())) reorder_channels(random, image);
}

cv::Mat expanded(const cv::Mat& image, const ExpansionParameter& param,
                 const std::vector<float>& means, ItemRandom* random, Window* shown) {
  *shown = Window();
  const double most = param.max_expand_ratio();
  if (!happens(random, param.prob()) || std::fabs(most - 1) < 0.01) return image;
  const double ratio = uniform(random, 1, most);
  check_size(image.rows * ratio, image.cols * ratio, "expand_param");
  const int height = static_cast<int>(image.rows * ratio);
  const int width = static_cast<int>(image.cols * ratio);
  const int top = random->below(height - image.rows + 1);
  const int left = random->below(width - image.cols + 1);
  cv::Mat canvas;
  cv::copyMakeBorder(image, canvas, top, height - image.rows - top, left, width - image.cols - left,
                     cv::BORDER_CONSTANT, colour(means));
  *shown = {-double(left) / image.cols, -double(top) / image.rows,
            double(width - left) / image.cols, double(height - top) / image.rows};
  return canvas;
}

}  // namespace caffe
