#ifndef CAFFE_LAYERS_SCALE_LAYER_HPP_
#define CAFFE_LAYERS_SCALE_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/bias_layer.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/util/channel_shape.hpp"
#include "caffe/util/value_format.hpp"

namespace caffe {

/// y = x s, or x s + b with bias_term. s is the second bottom or, if there is only one bottom,
/// learnt. It covers num_axes axes of x (-1: all; 0: none, s is one number) from `axis` on and is
/// repeated over the others; for a second bottom, its shape gives the number of axes. b has the
/// shape of s and is always learnt. May work in place, at the cost of a copy of x if the gradient
/// of s is needed (behind a BatchNorm in place, both share one).
template <typename Dtype>
class ScaleLayer : public Portable<Layer<Dtype>>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Scale"; }
  int MinBottomBlobs() const override { return 1; }
  int MaxBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  size_t own_bytes() const override;
  /// From now on a scale of 0 gives 0, also for values that are not finite: LSTM and RNN start a
  /// sequence anew where it is 0.
  void reset_by_zeros() { resets_ = true; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  Blob<Dtype>& scale(const Blobs& bottom) const;
  Blob<Dtype>* bias() const;
  bool keeps_input(const Blobs& bottom, const Blobs& top) const;

  ChannelShape shape_ = {0, 0, 0};  // of x; a channel is a value of s

 private:
  template <typename T>
  void keep_input(const Values<Dtype, T>& values, const Blob<Dtype>& x);
  template <typename T>
  const T* kept_input(const Values<Dtype, T>& values, const std::vector<int>& shape) const;
  template <typename T>
  void backward(const Values<Dtype, T>& values, const Blobs& top,
                const std::vector<bool>& propagate_down, const Blobs& bottom);

  bool resets_ = false;
  shared_ptr<SyncedMemory> input_;  // x, if the layer works in place: of copy_, or BatchNorm's
  std::vector<int> input_shape_;
  Blob<Dtype> copy_;
  Blob<double> sums_;  // memory of channel_sums
};

/// Whether the layer is a Scale with one learnt factor for each of the channels (axis 1) of a
/// bottom with so many axes.
template <typename Dtype>
bool is_channel_scale(Layer<Dtype>& layer, int channels, int axes = 4) {
  if (dynamic_cast<const ScaleLayer<Dtype>*>(&layer) == nullptr) return false;
  const ScaleParameter& param = layer.layer_param().scale_param();
  const size_t learnt = param.bias_term() ? 2 : 1;  // without a second bottom
  return (param.axis() == 1 || param.axis() == 1 - axes) && layer.blobs().size() == learnt &&
         layer.blobs()[0]->shape() == std::vector<int>{channels};
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_SCALE_LAYER_HPP_
