#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "image_kinds.hpp"
#include "images.hpp"
#include "layers/layer_test.hpp"
#include "temp_dir.hpp"

namespace caffe {

template <typename TypeParam>
class WindowDataLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  void SetUp() override {
    LayerTest<TypeParam>::SetUp();
    EXPECT_TRUE(cv::imwrite(dir_ / "a.png", image_));
  }
  /// One image with these windows.
  void write(const std::vector<string>& windows) {
    string text = "# 0\na.png\n3\n40\n50\n" + std::to_string(windows.size()) + "\n";
    for (const string& window : windows) text += window + "\n";
    write_file(dir_ / "windows.txt", text);
  }
  std::shared_ptr<Layer<Dtype>> start(const string& param, const string& transform) {
    while (this->top.size() < 2) this->add_top();
    const auto layer = this->make("type: 'WindowData' window_data_param { source: '" +
                                  dir_ / "windows.txt' root_folder: '" + dir_.path() + "/' " +
                                  param + "} transform_param {" + transform + "}");
    layer->SetUp(this->bottom, this->top);
    return layer;
  }
  Dtype at(int n, int c, int h, int w) { return this->top[0]->data_at(n, c, h, w); }
  /// Value of a resized part of the image.
  double part(const cv::Rect& rect, int height, int width, int c, int h, int w) {
    cv::Mat resized;
    cv::resize(image_(rect), resized, cv::Size(width, height));
    return resized.ptr(h)[3 * w + c];
  }

  const cv::Mat image_ = picture(3, 40, 50);
  TempDir dir_;
};
TYPED_TEST_SUITE(WindowDataLayerTest, DtypesAndDevices);

TYPED_TEST(WindowDataLayerTest, ResizesAWindow) {
  this->write({"7 0.9 10 5 29 34", "3 0.1 0 0 9 19", "4 0.5 1 1 2 2"});
  for (const string cache : {"", "cache_images: true"}) {
    const auto layer = this->start(
        "batch_size: 8 fg_fraction: 0.4 scale: 0.5 bg_threshold: 0.4 "
        "fg_threshold: 0.6 " +
            cache,
        "crop_size: 12 mean_value: 1 mean_value: 2 mean_value: 3");
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{8, 3, 12, 12}));
    layer->Forward(this->bottom, this->top);
    EXPECT_EQ(this->data(*this->top[1]), (std::vector<double>{0, 0, 0, 0, 0, 7, 7, 7}));
    for (int n = 0; n < 8; ++n) {
      const cv::Rect window = n < 5 ? cv::Rect(0, 0, 10, 20) : cv::Rect(10, 5, 20, 30);
      for (int c = 0; c < 3; ++c) {
        EXPECT_EQ(this->at(n, c, 11, 4), (this->part(window, 12, 12, c, 11, 4) - 1 - c) / 2);
      }
    }
  }
}

/// Each file's window is one block of the picture, at its size; the label tells the file.
TYPED_TEST(WindowDataLayerTest, EveryKindOfFileInColor) {
  const auto left = [](size_t i) { return 8 * static_cast<int>(i % 3); };
  const auto upper = [](size_t i) { return 8 * static_cast<int>(i / 3 % 2); };
  std::ostringstream text;
  for (size_t i = 0; i < image_files().size(); ++i) {
    text << "# " << i << "\n"
         << image_files()[i].path() << "\n3\n16\n24\n1\n"
         << i + 1 << " 1 " << left(i) << " " << upper(i) << " " << left(i) + 7 << " "
         << upper(i) + 7 << "\n";
  }
  write_file(this->dir_ / "windows.txt", text.str());
  for (const string cache : {"", "cache_images: true "}) {
    while (this->top.size() < 2) this->add_top();
    Caffe::set_random_seed(1);
    const auto layer = this->make("type: 'WindowData' window_data_param { source: '" +
                                  this->dir_ / "windows.txt' batch_size: 200 fg_fraction: 1 " +
                                  cache + "} transform_param { crop_size: 8 }");
    layer->SetUp(this->bottom, this->top);
    layer->Forward(this->bottom, this->top);
    std::set<double> seen;
    for (int n = 0; n < 200; ++n) {
      const double label = this->top[1]->cpu_data()[n];
      const size_t i = static_cast<size_t>(label) - 1;
      const cv::Vec3b color = picture_of(image_files()[i], true).at<cv::Vec3b>(upper(i), left(i));
      for (int c = 0; c < 3; ++c) {
        EXPECT_NEAR(this->at(n, c, 3, 4), color[c], image_files()[i].tolerance)
            << image_files()[i].name;
      }
      seen.insert(label);
    }
    EXPECT_EQ(seen.size(), image_files().size());
  }
}

/// 20 pixels of the window in 12 of 16 are 26.7 of the image in all: from -3 on 24 wide, and so on.
TYPED_TEST(WindowDataLayerTest, AddsContext) {
  this->write({"7 1 0 10 19 29", "1 0 0 0 9 9"});
  for (const string mode : {"warp", "square"}) {
    const auto layer = this->start(
        "batch_size: 1 fg_fraction: 1 context_pad: 2 crop_mode: '" + mode + "'", "crop_size: 16");
    layer->Forward(this->bottom, this->top);
    const cv::Rect rect(0, 7, 24, 17 + 10);  // x and y from -3 to 23, from 7 to 33
    for (int h = 0; h < 16; ++h) {
      EXPECT_EQ(this->at(0, 1, h, 0), 0);
      EXPECT_EQ(this->at(0, 1, h, 1), 0);
      EXPECT_EQ(this->at(0, 1, h, 2), this->part(rect, 16, 14, 1, h, 0)) << h;
      EXPECT_EQ(this->at(0, 1, h, 15), this->part(rect, 16, 14, 1, h, 13)) << h;
    }
  }
}

TYPED_TEST(WindowDataLayerTest, DrawsAndMirrors) {
  std::vector<string> windows{"1 0 0 0 9 9"};
  for (int i = 1; i <= 5; ++i) {
    windows.push_back(std::to_string(i) + " 1 " + std::to_string(i) + " 0 20 20");
  }
  this->write(windows);
  const auto run = [&](int seed) {
    Caffe::set_random_seed(seed);
    const auto layer = this->start("batch_size: 60 fg_fraction: 1", "crop_size: 8 mirror: true");
    layer->Forward(this->bottom, this->top);
    std::vector<double> all = this->data(*this->top[0]);
    std::set<double> labels, corners;
    for (int n = 0; n < 60; ++n) {
      labels.insert(this->top[1]->cpu_data()[n]);
      corners.insert(this->at(n, 0, 0, 0));
    }
    EXPECT_EQ(labels.size(), 5u);
    EXPECT_GT(corners.size(), 5u);  // of both sides
    return all;
  };
  const std::vector<double> first = run(1);
  EXPECT_EQ(run(1), first);
  EXPECT_NE(run(2), first);
  // Ranks have one seed and draw windows of their own.
  Caffe::set_solver_count(2);
  EXPECT_EQ(run(1), first);
  Caffe::set_solver_rank(1);
  EXPECT_NE(run(1), first);
  Caffe::set_solver_rank(0);
  Caffe::set_solver_count(1);
}

TYPED_TEST(WindowDataLayerTest, Errors) {
  const string crop = "crop_size: 8", batch = "batch_size: 2";
  EXPECT_ERROR(this->start(batch, crop), "layer 'under_test' (WindowData): the file of windows");
  this->write({"7 0.9 10 5 29 34", "3 0.1 0 0 9 19"});
  EXPECT_ERROR(this->start("", crop), "batch_size is 0");
  EXPECT_ERROR(this->start(batch, ""), "no crop_size");
  EXPECT_ERROR(this->start(batch + " context_pad: 4", crop), "context_pad 4");
  EXPECT_ERROR(this->start(batch + " crop_mode: 'round'", crop), "'round'");
  EXPECT_ERROR(this->start(batch + " fg_fraction: 1.5", crop), "fg_fraction 1.5");
  EXPECT_ERROR(this->start(batch, crop + " mean_value: 1 mean_value: 2"), "2 mean_value");
  EXPECT_ERROR(this->start(batch + " fg_threshold: 0.95 fg_fraction: 0.5", crop), "fg_threshold");
  EXPECT_ERROR(this->start(batch + " bg_threshold: 0.05", crop), "bg_threshold");
  this->write({"7 0.9 10 5 50 34"});
  EXPECT_ERROR(this->start(batch, crop), "window 0 of image 0 of '");
  this->write({"0 0.9 10 5 20 34"});
  EXPECT_ERROR(this->start(batch, crop), "label 0");
  this->write({"7 0.9 10 5 20"});
  EXPECT_ERROR(this->start(batch, crop), "is not label, overlap");
  write_file(this->dir_ / "windows.txt", "a.png\n");
  EXPECT_ERROR(this->start(batch, crop), "does not begin with #");
  write_file(this->dir_ / "windows.txt", "# 0\na.png\n3\n");
  EXPECT_ERROR(this->start(batch, crop), "lacks its path");
  write_file(this->dir_ / "windows.txt", "# 0\na.png\n3 30 50\n2\n7 0.9 1 1 20 9\n1 0 1 1 2 2\n");
  const auto layer = this->start(batch, crop);
  EXPECT_ERROR(layer->Forward(this->bottom, this->top),
               "a.png': it has 40 x 50 pixels; the file of windows says 30 x 50");
}

}  // namespace caffe
