#ifndef CAFFE_LAYERS_SEGMENTATION_UNPOOLING_LAYER_HPP_
#define CAFFE_LAYERS_SEGMENTATION_UNPOOLING_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/layers/segmentation/put_back.hpp"

namespace caffe {

/// DeconvNet's opposite of pooling: N x C x h x w becomes N x C x H x W, where H and W are unpool_h
/// and unpool_w, or both unpool_size. Value (y, x) has a window of kernel_h x kernel_w values from
/// (y stride_h, x stride_w) on, as far as that is inside the plane. No padding.
///   MAX   the value goes to one place, all others are 0: with bottom[1], the second top of a
///         Pooling MAX, to its place there, otherwise to the first of its window, or the plane's
///         last row or column if that begins behind it. If several values go to one place, the last
///         one counts, and it alone gets the gradient
///   AVE   the sum over the windows that hold a place of their value divided by their size
///   TILE  the same without the division
/// The gradient of bottom[1] is 0.
template <typename Dtype>
class UnpoolingLayer : public Portable<Layer<Dtype>>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Unpooling"; }
  int MinBottomBlobs() const override { return 1; }
  int MaxBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int bottom_index) const override { return bottom_index == 0; }
  size_t own_bytes() const override {
    return put_back_.bytes() + sizeof(Dtype) * static_cast<size_t>(first_places_.count());
  }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  UnpoolingParameter::UnpoolMethod method() const {
    return this->layer_param_.unpooling_param().unpool();
  }
  void read_windows();
  const Blob<Dtype>& places(const Blobs& bottom) const {
    return bottom.size() > 1 ? *bottom[1] : first_places_;
  }
  /// Fills first_places_ for a bottom of that shape.
  void place_first(const std::vector<int>& shape);

  int kernel_h_ = 1, kernel_w_ = 1, stride_h_ = 1, stride_w_ = 1;
  int height_ = 0, width_ = 0;  // of the top
  PutBack<Dtype> put_back_;
  Blob<Dtype> first_places_;  // as bottom[0]: of MAX without bottom[1]
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEGMENTATION_UNPOOLING_LAYER_HPP_
