#ifndef CAFFE_LAYERS_WINDOW_DATA_LAYER_HPP_
#define CAFFE_LAYERS_WINDOW_DATA_LAYER_HPP_

#include <string>
#include <vector>

#include "caffe/layers/base_data_layer.hpp"

namespace caffe {

/// Windows of images, for training R-CNN. `source` lists images and, for each image, windows with a
/// label and their overlap with an object:
///
///   # 0
///   /path/to/image.jpg
///   3 375 500                (channels, height, width; on lines of their own or not)
///   2                        (windows)
///   7 0.9 10 20 109 119      (label, overlap, x1 y1 x2 y2, both ends inside)
///   7 0.1 0 0 99 80
///
/// In a batch, a fraction fg_fraction are objects (overlap of at least fg_threshold); they follow
/// the background (overlap below bg_threshold; label 0). All are drawn at random. A window is
/// resized to crop_size x crop_size, including context_pad pixels of its surroundings on each side
/// ("square": after extending it to a square). Pixels outside the image are 0, that is, the mean.
/// Of transform_param, only crop_size, mirror and the mean (the middle of a mean_file) are used;
/// the scale comes from window_data_param.
template <typename Dtype>
class WindowDataLayer : public BasePrefetchingDataLayer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using BasePrefetchingDataLayer<Dtype>::BasePrefetchingDataLayer;
  ~WindowDataLayer() override;
  void DataLayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "WindowData"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int ExactNumTopBlobs() const override { return 2; }

 protected:
  struct Window {
    int image;  // in image_database_
    int label;
    float overlap;
    int x1, y1, x2, y2;
  };
  struct Image {
    string file;
    int height, width;
    string bytes;  // the file's content, with cache_images
  };
  virtual unsigned int PrefetchRand();
  void load_batch(Batch<Dtype>* batch) override;

  shared_ptr<Caffe::RNG> prefetch_rng_;
  vector<Image> image_database_;
  vector<Window> fg_windows_;
  vector<Window> bg_windows_;
  Blob<Dtype> data_mean_;
  vector<Dtype> mean_values_;

 private:
  /// A drawn window.
  struct Sample {
    const Window* window;
    bool mirror;
  };
  /// The part of the image to use, and where it goes in the result.
  struct Place {
    int x, y, width, height;             // of the part
    int left, top, to_width, to_height;  // its position and size in the result
  };

  void read_source();
  void read_image_windows(std::istream& source, int number);
  void read_mean(int crop);
  vector<Sample> draw_samples();
  Place place(const Window& window, bool mirror) const;
  cv::Mat read(const Sample& sample, const Place& at) const;
  void write(const cv::Mat& part, const Place& at, Dtype* data) const;
  PackedImage pack(const cv::Mat& part, const Place& at, unsigned char* bytes) const;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_WINDOW_DATA_LAYER_HPP_
