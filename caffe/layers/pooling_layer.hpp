#ifndef CAFFE_LAYERS_POOLING_LAYER_HPP_
#define CAFFE_LAYERS_POOLING_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/util/gpu_trace.hpp"
#include "caffe/util/value_format.hpp"

namespace caffe {

/// One value for each window of each plane (N x C x H x W):
///   MAX         the largest; the first of equal ones. NaN is ignored unless all values are NaN;
///               then the first counts. top[1], optional: its index in the plane, y W + x.
///   AVE         the sum divided by the window's size, padding included (a window reaches at most
///               `pad` beyond the plane).
///   STOCHASTIC  TRAIN: a value drawn with a probability proportional to it; TEST: the mean with
///               those probabilities. Values must not be negative. No padding.
/// A spatial length i becomes ceil((i + 2 pad - kernel) / stride) + 1, with floor instead for
/// round_mode FLOOR; if either axis is padded, one less when the last window would start beyond i +
/// pad. Without padding, a window may lie outside the plane; it yields -FLT_MAX (MAX) or 0.
template <typename Dtype>
class PoolingLayer : public Portable<Layer<Dtype>>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Pooling"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int MinTopBlobs() const override { return 1; }
  int MaxTopBlobs() const override { return method() == PoolingParameter::MAX ? 2 : 1; }
  size_t own_bytes() const override { return sizeof(int) * static_cast<size_t>(max_idx_.count()); }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;
  PoolingParameter::PoolMethod method() const { return this->layer_param_.pooling_param().pool(); }

  /// The number of windows along an axis; throws if the kernel does not fit.
  int pooled_size(int length, int kernel, int stride, int pad) const;

  /// The order and type of values to work in.
  Format format(const Blob<Dtype>& bottom, const Blobs& top) const;
  void forward_stochastic(const Blob<Dtype>& bottom, Blob<Dtype>* top);

  int kernel_h_ = 0, kernel_w_ = 0;
  int stride_h_ = 1, stride_w_ = 1;
  int pad_h_ = 0, pad_w_ = 0;
  int channels_ = 0;
  int height_ = 0, width_ = 0;
  int pooled_height_ = 0, pooled_width_ = 0;
  bool global_pooling_ = false;
  PoolingParameter::RoundMode round_mode_ = PoolingParameter::CEIL;
  GpuSeed seed_;       // STOCHASTIC: of the last forward pass
  Blob<int> max_idx_;  // MAX and STOCHASTIC: index of the chosen value; -1: none
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_POOLING_LAYER_HPP_
