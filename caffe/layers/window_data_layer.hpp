#ifndef CAFFE_WINDOW_DATA_LAYER_HPP_
#define CAFFE_WINDOW_DATA_LAYER_HPP_

#include <string>
#include <vector>

#include "caffe/layers/base_data_layer.hpp"

namespace caffe {

/// Parts of images, as R-CNN is trained with. `source` lists images, and for each one windows with
/// a label and their overlap with an object:
///
///   # 0
///   /path/to/image.jpg
///   3 375 500                (channels, height, width; on lines of their own or not)
///   2                        (windows)
///   7 0.9 10 20 109 119      (label, overlap, x1 y1 x2 y2, both ends inside)
///   7 0.1 0 0 99 80
///
/// A batch holds fg_fraction of objects (overlap from fg_threshold on), behind background (overlap
/// below bg_threshold; label 0), each drawn at random. A window is resized to crop_size x crop_size
/// with, on each side, context_pad pixels of what surrounds it ("square": after it was made one).
/// What would lie outside of the image is 0, which is the mean. Of transform_param count crop_size,
/// mirror and the mean (the middle of a mean_file); the scale is window_data_param's.
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
    string bytes;  // of the file, with cache_images
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
  /// A window that is drawn.
  struct Sample {
    const Window* window;
    bool mirror;
  };
  /// The part of the image, and where it goes in the result.
  struct Place {
    int x, y, width, height;             // of the part
    int left, top, to_width, to_height;  // of what it becomes
  };

  void read_source();
  void read_image_windows(std::istream& source, int number);
  void read_mean(int crop);
  vector<Sample> draw_samples();
  Place place(const Window& window, bool mirror) const;
  void write(const Sample& sample, Dtype* data) const;
};

}  // namespace caffe

#endif  // CAFFE_WINDOW_DATA_LAYER_HPP_
