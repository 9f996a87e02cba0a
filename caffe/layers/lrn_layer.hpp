#ifndef CAFFE_LAYERS_LRN_LAYER_HPP_
#define CAFFE_LAYERS_LRN_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/eltwise_layer.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/layers/pooling_layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/layers/power_layer.hpp"
#include "caffe/layers/split_layer.hpp"
#include "caffe/util/value_format.hpp"

namespace caffe {

/// y = x s^-beta, where s is
///   ACROSS_CHANNELS  k + alpha / n * sum of x^2 over the n = local_size channels around x's own
///   WITHIN_CHANNEL   1 + alpha / n^2 * sum of x^2 over the n x n window around x; k is not used
/// Values beyond the border count as 0. n must be odd. The bottom is N x C x H x W.
template <typename Dtype>
class LRNLayer : public Portable<Layer<Dtype>>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "LRN"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }
  /// s, and what its gradient is computed with.
  size_t own_bytes() const override {
    return 2 * sizeof(Dtype) * static_cast<size_t>(scale_.count());
  }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  int size_ = 0;     // n
  int pre_pad_ = 0;  // (n - 1) / 2
  Dtype alpha_ = 0;
  Dtype beta_ = 0;
  Dtype k_ = 0;
  int num_ = 0;
  int channels_ = 0;
  int height_ = 0;
  int width_ = 0;
  Blob<Dtype> scale_;       // s; its diff holds dy y / s in the backward pass
  bool has_scale_ = false;  // of the last forward pass; a library's may do without

 private:
  struct Planes {
    int count, height, width;
  };
  bool is_across() const;
  /// Values in a window.
  int window() const { return is_across() ? size_ : size_ * size_; }
  Planes planes() const;
  template <typename Power>
  void forward_with(const Power& power, const Blob<Dtype>& bottom, Blob<Dtype>* top);
  template <typename Power>
  void backward_with(const Power& power, const Blob<Dtype>& top, Blob<Dtype>* bottom);
  template <typename Power>
  void forward_rows(Format format, const Power& power, const Blob<Dtype>& bottom, Blob<Dtype>* top);
  template <typename Power>
  void backward_rows(Format format, const Power& power, const Blob<Dtype>& top,
                     Blob<Dtype>* bottom);

  static constexpr Format kPlain = {Order::kNchw, type_of<Dtype>()};
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_LRN_LAYER_HPP_
