#ifndef TESTS_CPP_ENGINE_IMAGE_KINDS_HPP_
#define TESTS_CPP_ENGINE_IMAGE_KINDS_HPP_

#include <algorithm>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

#include "test_paths.hpp"

namespace caffe {

/// A file of tests/golden/images, which make_images.py there made: a picture of 16 x 24 pixels, in
/// six blocks of one color or gray value each.
struct ImageFile {
  enum Content { kColor, kGray, kBits };
  std::string name;
  Content content;
  bool plain;     // 8 bits per value, and no alpha, PNG palette, CMYK or turn
  int tolerance;  // of its values; more than 0 for JPEG

  bool is_color() const { return content == kColor; }
  std::string path() const { return std::string(GOLDEN) + "/images/" + name; }
};

inline const std::vector<ImageFile>& image_files() {
  static const std::vector<ImageFile> files{
      {"color.png", ImageFile::kColor, true, 0},
      {"color.jpg", ImageFile::kColor, true, 3},
      {"color.bmp", ImageFile::kColor, true, 0},
      {"color.tif", ImageFile::kColor, true, 0},
      {"color.webp", ImageFile::kColor, true, 0},
      {"gray.png", ImageFile::kGray, true, 0},
      {"gray.jpg", ImageFile::kGray, true, 3},
      {"bits.png", ImageFile::kBits, true, 0},
      {"alpha.png", ImageFile::kColor, false, 0},
      {"gray_alpha.png", ImageFile::kGray, false, 0},
      {"palette.png", ImageFile::kColor, false, 0},
      {"palette.bmp", ImageFile::kColor, true, 0},
      {"palette_alpha.png", ImageFile::kColor, false, 0},
      {"cmyk.jpg", ImageFile::kColor, false, 3},
      {"color16.png", ImageFile::kColor, false, 0},
      {"alpha16.png", ImageFile::kColor, false, 0},
      {"gray16.png", ImageFile::kGray, false, 0},
      {"turned.jpg", ImageFile::kColor, false, 3},
  };
  return files;
}

/// The picture with 3 channels (blue, green, red) or 1.
inline cv::Mat picture_of(const ImageFile& file, bool is_color) {
  static const cv::Vec3b colors[] = {{40, 30, 200},  {60, 180, 30}, {220, 60, 50},
                                     {20, 230, 240}, {10, 10, 10},  {250, 250, 250}};
  static const int grays[] = {15, 60, 105, 150, 195, 240};
  cv::Mat image(16, 24, CV_8UC3);
  for (int h = 0; h < image.rows; ++h) {
    for (int w = 0; w < image.cols; ++w) {
      const int block = h / 8 * 3 + w / 8;
      const int gray = file.content == ImageFile::kBits ? 255 * (grays[block] > 127) : grays[block];
      image.at<cv::Vec3b>(h, w) = file.is_color() ? colors[block] : cv::Vec3b::all(gray);
    }
  }
  if (!is_color) cv::cvtColor(image, image, cv::COLOR_BGR2GRAY);
  return image;
}

/// The largest difference between two images; 999 if their shapes differ.
inline double distance(const cv::Mat& a, const cv::Mat& b) {
  if (a.size() != b.size() || a.type() != b.type()) return 999;
  return cv::norm(a, b, cv::NORM_INF);
}

/// How much a JPEG changes the inside of the blocks when OpenCV encodes it, with a quality of 95.
constexpr int kEncodedAsJpeg = 6;

/// The same without two pixels at the edges of the blocks: OpenCV's JPEG has colors at half the
/// resolution, so those mix.
inline double distance_in_blocks(const cv::Mat& a, const cv::Mat& b) {
  double largest = distance(a.row(0), b.row(0)) == 999 || a.rows != b.rows ? 999 : 0;
  for (int h = 0; h < a.rows && largest < 999; h += 8) {
    for (int w = 0; w < a.cols; w += 8) {
      const cv::Rect inside(w + 2, h + 2, 4, 4);
      largest = std::max(largest, distance(a(inside), b(inside)));
    }
  }
  return largest;
}

/// How far a gray or color reading of the file may be from picture_of().
inline int tolerance_of(const ImageFile& file, bool is_color) {
  return file.tolerance + (file.is_color() && !is_color ? 1 : 0);  // gray values are rounded
}

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_IMAGE_KINDS_HPP_
