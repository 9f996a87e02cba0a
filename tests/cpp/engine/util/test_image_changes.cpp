#include "caffe/util/image_changes.hpp"

#include <gtest/gtest.h>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <set>

#include "caffe/data_transformer.hpp"
#include "datums.hpp"
#include "fixtures.hpp"
#include "google/protobuf/text_format.h"
#include "images.hpp"

namespace caffe {
namespace {

template <typename Message>
Message parsed(const string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

bool same(const cv::Mat& a, const cv::Mat& b) {
  return a.size() == b.size() && a.type() == b.type() && cv::norm(a, b, cv::NORM_INF) == 0;
}

int at(const cv::Mat& image, int h, int w, int c = 0) {
  return image.ptr(h)[w * image.channels() + c];
}

cv::Mat resize_by(const cv::Mat& image, const string& param, Window* shown, int seed = 1) {
  ItemRandom random(seed, 0);
  const ResizeParameter resize = parsed<ResizeParameter>(param);
  check_resize(resize);
  return resized(image, resize, &random, shown);
}

void expect_window(const Window& shown, double xmin, double ymin, double xmax, double ymax) {
  EXPECT_NEAR(shown.xmin, xmin, 1e-12);
  EXPECT_NEAR(shown.ymin, ymin, 1e-12);
  EXPECT_NEAR(shown.xmax, xmax, 1e-12);
  EXPECT_NEAR(shown.ymax, ymax, 1e-12);
}

TEST(ImageChanges, UniformNumbersFillTheirRange) {
  ItemRandom random(3, 4);
  double sum = 0, least = 9, most = -9;
  for (int i = 0; i < 10000; ++i) {
    const double x = uniform(&random, -2, 6);
    sum += x;
    least = std::min(least, x);
    most = std::max(most, x);
  }
  EXPECT_NEAR(sum / 10000, 2, 0.1);
  EXPECT_TRUE(least >= -2 && least < -1.9 && most < 6 && most > 5.9) << least << " " << most;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(happens(&random, 1));
    EXPECT_FALSE(happens(&random, 0));
  }
}

TEST(ImageChanges, ImagesOfPlanesAndOfFloats) {
  const cv::Mat image = picture(3, 5, 7);
  const Datum datum = raw(image, 0);
  Pixels planes;
  planes.channels = 3;
  planes.height = 5;
  planes.width = 7;
  planes.bytes = reinterpret_cast<const unsigned char*>(datum.data().data());
  EXPECT_TRUE(same(image_of(planes), image));
  const Pixels part = DataTransformer<float>::pixels_of(image(cv::Rect(1, 2, 4, 3)));
  EXPECT_TRUE(same(image_of(part), image(cv::Rect(1, 2, 4, 3))));
  planes.bytes = nullptr;
  EXPECT_ERROR(image_of(planes), "float_data");
}

TEST(ImageChanges, Warp) {
  const cv::Mat image = picture(3, 20, 30);
  Window shown;
  cv::Mat expected;
  cv::resize(image, expected, cv::Size(15, 10));
  EXPECT_TRUE(same(resize_by(image, "height: 10 width: 15", &shown), expected));
  expect_window(shown, 0, 0, 1, 1);
  cv::resize(image, expected, cv::Size(15, 10), 0, 0, cv::INTER_AREA);
  EXPECT_TRUE(same(resize_by(image, "height: 10 width: 15 interp_mode: AREA", &shown), expected));
  std::set<double> sums;  // each mode gives another image
  for (int seed = 0; seed < 60; ++seed) {
    const cv::Mat one = resize_by(image,
                                  "height: 11 width: 17 interp_mode: [LINEAR, AREA, NEAREST, "
                                  "CUBIC, LANCZOS4]",
                                  &shown, seed);
    double sum = 0;
    for (int i = 0; i < 11 * 17 * 3; ++i) sum += (i % 101 + 1) * one.data[i];
    sums.insert(sum);
  }
  EXPECT_EQ(sums.size(), 5u);
  EXPECT_TRUE(same(resize_by(image, "prob: 0 height: 10 width: 15", &shown), image));
}

TEST(ImageChanges, FitAndPad) {
  const cv::Mat image(20, 40, CV_8UC3, cv::Scalar(10, 20, 30));
  const string size = "resize_mode: FIT_LARGE_SIZE_AND_PAD height: 31 width: 20 ";
  Window shown;
  const cv::Mat one = resize_by(image, size + "pad_value: 1 pad_value: 2 pad_value: 3", &shown);
  ASSERT_EQ(one.size(), cv::Size(20, 31));  // 10 x 20 with 10 above and 11 below
  EXPECT_EQ(at(one, 9, 3, 0), 1);
  EXPECT_EQ(at(one, 9, 3, 1), 2);
  EXPECT_EQ(at(one, 9, 3, 2), 3);
  EXPECT_EQ(at(one, 10, 0, 2), 30);
  EXPECT_EQ(at(one, 19, 19, 0), 10);
  EXPECT_EQ(at(one, 20, 19, 0), 1);
  expect_window(shown, 0, -1, 1, 2.1);
  EXPECT_EQ(at(resize_by(image, size, &shown), 0, 0), 0);
  EXPECT_EQ(at(resize_by(image, size + "pad_value: 7", &shown), 0, 0, 2), 7);
  EXPECT_EQ(at(resize_by(image, size + "pad_mode: REPEAT_NEAREST", &shown), 0, 0, 2), 30);
  const cv::Mat gray = picture(1, 20, 20);
  const cv::Mat mirrored = resize_by(
      gray, "resize_mode: FIT_LARGE_SIZE_AND_PAD height: 20 width: 24 pad_mode: MIRRORED", &shown);
  EXPECT_EQ(at(mirrored, 5, 1), at(gray, 5, 1));
  EXPECT_EQ(at(mirrored, 5, 0), at(gray, 5, 2));
  expect_window(shown, -0.1, 0, 1.1, 1);
}

TEST(ImageChanges, FitSmallSize) {
  Window shown;
  const cv::Mat one =
      resize_by(picture(3, 20, 40), "resize_mode: FIT_SMALL_SIZE height: 30 width: 30", &shown);
  EXPECT_EQ(one.size(), cv::Size(60, 30));
  expect_window(shown, 0, 0, 1, 1);
}

TEST(ImageChanges, ErrorsNameTheField) {
  Window shown;
  const cv::Mat image = picture(3, 4, 4);
  EXPECT_ERROR(resize_by(image, "width: 3", &shown), "give height and width");
  EXPECT_ERROR(resize_by(image, "width: 3 height: 3 prob: 2", &shown), "resize_param.prob is 2");
  EXPECT_ERROR(resize_by(image, "width: 3 height: 3 height_scale: 2", &shown), "height_scale");
  EXPECT_ERROR(resize_by(image, "width: 4000000000 height: 3", &shown), "too large");
  EXPECT_ERROR(
      resize_by(picture(1, 1, 900), "resize_mode: FIT_SMALL_SIZE width: 3000 height: 3000", &shown),
      "too large");
  EXPECT_ERROR(check_distortion(parsed<DistortionParameter>("hue_delta: inf")), "hue_delta");
  EXPECT_ERROR(check_expansion(parsed<ExpansionParameter>("max_expand_ratio: 1e9")), "1 to 100");
  EXPECT_ERROR(check_noise(parsed<NoiseParameter>("prob: -1")), "noise_param.prob");
  EXPECT_ERROR(check_noise(parsed<NoiseParameter>("jpeg: 101")), "noise_param.jpeg");
  EXPECT_ERROR(check_noise(parsed<NoiseParameter>("saltpepper_param { value: [1, 256] }")),
               "noise_param.saltpepper_param.value is 256: give 0 to 255");
  EXPECT_ERROR(check_distortion(parsed<DistortionParameter>("hue_prob: 3")), "hue_prob");
  EXPECT_ERROR(check_distortion(parsed<DistortionParameter>("contrast_lower: 2 contrast_upper: 1")),
               "contrast_lower");
  EXPECT_ERROR(check_expansion(parsed<ExpansionParameter>("max_expand_ratio: 0.5")),
               "max_expand_ratio");
}

cv::Mat with_noise(const cv::Mat& image, const string& text, float probability = 1) {
  ItemRandom random(1, 0);
  cv::Mat changed = image.clone();
  NoiseParameter param = parsed<NoiseParameter>(text);
  param.set_prob(probability);
  add_noise(param, &random, &changed);
  return changed;
}

TEST(ImageChanges, Noise) {
  const cv::Mat image = picture(3, 16, 16), gray = picture(1, 16, 16);
  EXPECT_TRUE(same(with_noise(image, ""), image));
  EXPECT_TRUE(same(with_noise(image, "inverse: true", 0), image));
  EXPECT_EQ(at(with_noise(image, "inverse: true"), 3, 4, 1), 255 - at(image, 3, 4, 1));
  const cv::Mat no_colour = with_noise(image, "decolorize: true");
  EXPECT_EQ(no_colour.channels(), 3);
  EXPECT_EQ(at(no_colour, 3, 4, 0), at(no_colour, 3, 4, 2));
  EXPECT_NEAR(at(no_colour, 3, 4, 0),
              0.114 * at(image, 3, 4, 0) + 0.587 * at(image, 3, 4, 1) + 0.299 * at(image, 3, 4, 2),
              1);
  EXPECT_EQ(at(with_noise(gray, "posterize: true"), 3, 4), at(gray, 3, 4) / 64 * 64);
  EXPECT_EQ(
      at(with_noise(gray, "erode: true"), 3, 4),
      std::min({at(gray, 3, 4), at(gray, 2, 4), at(gray, 4, 4), at(gray, 3, 3), at(gray, 3, 5)}));
  cv::Mat expected;
  cv::equalizeHist(gray, expected);
  EXPECT_TRUE(same(with_noise(gray, "hist_eq: true"), expected));
  cv::GaussianBlur(image, expected, cv::Size(7, 7), 1.5);
  EXPECT_TRUE(same(with_noise(image, "gauss_blur: true"), expected));
  cv::cvtColor(image, expected, cv::COLOR_BGR2HSV);
  EXPECT_TRUE(same(with_noise(image, "convert_to_hsv: true"), expected));
  cv::cvtColor(image, expected, cv::COLOR_BGR2Lab);
  EXPECT_TRUE(same(with_noise(image, "convert_to_lab: true"), expected));
  for (const string change : {"jpeg: 30", "clahe: true", "hist_eq: true"}) {
    EXPECT_FALSE(same(with_noise(image, change), image)) << change;
    EXPECT_EQ(with_noise(image, change).type(), image.type()) << change;
  }
  for (const string change : {"convert_to_hsv: true", "decolorize: true"}) {
    EXPECT_TRUE(same(with_noise(gray, change), gray)) << change;
  }
}

TEST(ImageChanges, SaltAndPepper) {
  const cv::Mat image(50, 50, CV_8UC3, cv::Scalar(9, 9, 9));
  const cv::Mat one =
      with_noise(image, "saltpepper: true saltpepper_param { fraction: 0.1 value: [1, 2, 3] }");
  int changed = 0;
  for (int i = 0; i < 2500; ++i) {
    if (one.data[3 * i] == 9) continue;
    ++changed;
    EXPECT_EQ(one.data[3 * i] * 100 + one.data[3 * i + 1] * 10 + one.data[3 * i + 2], 123);
  }
  EXPECT_TRUE(changed > 200 && changed <= 250) << changed;  // some are drawn twice
  std::set<int> values;
  const cv::Mat any = with_noise(image, "saltpepper: true saltpepper_param { fraction: 0.1 }");
  for (int i = 0; i < 2500; ++i) values.insert(any.data[3 * i]);
  EXPECT_EQ(values, (std::set<int>{0, 9, 255}));
}

cv::Mat distorted(const cv::Mat& image, const string& param, int seed) {
  ItemRandom random(seed, 0);
  cv::Mat changed = image.clone();
  distort(parsed<DistortionParameter>(param), &random, &changed);
  return changed;
}

TEST(ImageChanges, BrightnessAndContrast) {
  const cv::Mat image(2, 2, CV_8UC1, cv::Scalar(100));
  std::set<int> values;
  for (int seed = 0; seed < 400; ++seed) {
    values.insert(at(distorted(image, "brightness_prob: 1 brightness_delta: 5", seed), 0, 0));
  }
  EXPECT_EQ(*values.begin(), 95);
  EXPECT_EQ(*values.rbegin(), 105);
  EXPECT_EQ(values.size(), 11u);
  const string fixed = "contrast_prob: 1 contrast_lower: 1.5 contrast_upper: 1.5";
  EXPECT_EQ(at(distorted(image, fixed, 1), 0, 0), 150);
  const string strong = "contrast_prob: 1 contrast_lower: 9 contrast_upper: 9";
  EXPECT_EQ(at(distorted(image, strong, 1), 0, 0), 255);
  int changed = 0;
  for (int seed = 0; seed < 400; ++seed) {
    changed += at(distorted(image, "contrast_prob: 0.25 contrast_lower: 2 contrast_upper: 2", seed),
                  0, 0) == 200;
  }
  EXPECT_NEAR(changed, 100, 35);
}

TEST(ImageChanges, SaturationAndHue) {
  const cv::Mat image(2, 2, CV_8UC3, cv::Scalar(50, 100, 200));
  // Without saturation the colour is the largest channel's gray; the hue makes no difference.
  const cv::Mat gray = distorted(image, "saturation_prob: 1", 1);
  for (int c = 0; c < 3; ++c) EXPECT_EQ(at(gray, 0, 0, c), 200);
  std::set<int> largest;
  for (int seed = 0; seed < 200; ++seed) {
    const cv::Mat one = distorted(image, "hue_prob: 1 hue_delta: 180", seed);
    for (int c = 0; c < 3; ++c) {
      if (at(one, 0, 0, c) == 200) largest.insert(c);
    }
    EXPECT_NEAR(std::min({at(one, 0, 0, 0), at(one, 0, 0, 1), at(one, 0, 0, 2)}), 50, 1);
  }
  EXPECT_EQ(largest, (std::set<int>{0, 1, 2}));  // the hue turns all the way round
  std::set<int> first;
  for (int seed = 0; seed < 60; ++seed) {
    const cv::Mat one = distorted(image, "random_order_prob: 1", seed);
    EXPECT_EQ(at(one, 0, 0, 0) + at(one, 0, 0, 1) + at(one, 0, 0, 2), 350);
    first.insert(at(one, 0, 0, 0) * 1000 + at(one, 0, 0, 1));
  }
  EXPECT_EQ(first.size(), 6u);
  const cv::Mat one_channel(2, 2, CV_8UC1, cv::Scalar(100));
  EXPECT_TRUE(same(distorted(one_channel, "saturation_prob: 1 hue_prob: 1 random_order_prob: 1", 1),
                   one_channel));
}

TEST(ImageChanges, Expansion) {
  const cv::Mat image = picture(3, 20, 30);
  for (int seed = 0; seed < 50; ++seed) {
    ItemRandom random(seed, 0);
    Window shown;
    const cv::Mat canvas = expanded(image, parsed<ExpansionParameter>("max_expand_ratio: 3"),
                                    {1, 2, 3}, &random, &shown);
    EXPECT_TRUE(canvas.rows >= 20 && canvas.rows <= 60 && canvas.cols >= 30 && canvas.cols <= 90);
    const int left = static_cast<int>(std::lround(-shown.xmin * 30));
    const int top = static_cast<int>(std::lround(-shown.ymin * 20));
    EXPECT_TRUE(same(canvas(cv::Rect(left, top, 30, 20)), image));
    EXPECT_NEAR((shown.xmax - shown.xmin) * 30, canvas.cols, 1e-9);
    EXPECT_NEAR((shown.ymax - shown.ymin) * 20, canvas.rows, 1e-9);
    if (top > 0) {
      for (int c = 0; c < 3; ++c) EXPECT_EQ(at(canvas, 0, 0, c), c + 1);
    }
  }
  ItemRandom random(1, 0);
  Window shown;
  EXPECT_TRUE(same(expanded(image, parsed<ExpansionParameter>("prob: 0 max_expand_ratio: 3"), {},
                            &random, &shown),
                   image));
  EXPECT_TRUE(same(expanded(image, parsed<ExpansionParameter>(""), {}, &random, &shown), image));
}

}  // namespace
}  // namespace caffe
