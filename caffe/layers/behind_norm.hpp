#ifndef CAFFE_LAYERS_BEHIND_NORM_HPP_
#define CAFFE_LAYERS_BEHIND_NORM_HPP_

#include <cstddef>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/layers/scale_layer.hpp"

namespace caffe {

/// The first layers behind a BatchNorm, as far as it can compute them with its own work: a Scale
/// with a factor for each channel and, behind it or alone, a ReLU.
template <typename Dtype>
class BehindNorm {
 public:
  /// None.
  BehindNorm() = default;
  /// Of what the net offers (caffe/layers/takes_followers.hpp), for a blob of this shape.
  BehindNorm(const std::vector<Layer<Dtype>*>& followers, const std::vector<int>& shape) {
    const int axes = static_cast<int>(shape.size());
    if (count_ < followers.size() && is_channel_scale(*followers[count_], shape[1], axes)) {
      scale_ = followers[count_++];
    }
    if (count_ < followers.size() && is_plain_relu(*followers[count_])) {
      relu_ = true;
      ++count_;
    }
  }

  size_t count() const { return count_; }
  bool has_relu() const { return relu_; }
  /// [channels], or null for 1.
  Blob<Dtype>* factors() const { return scale_ == nullptr ? nullptr : scale_->blobs()[0].get(); }
  /// [channels], or null for 0.
  Blob<Dtype>* shifts() const {
    return scale_ != nullptr && scale_->blobs().size() > 1 ? scale_->blobs()[1].get() : nullptr;
  }
  bool learns_factors() const { return scale_ != nullptr && scale_->param_propagate_down(0); }
  bool learns_shifts() const { return shifts() != nullptr && scale_->param_propagate_down(1); }
  bool learns() const { return learns_factors() || learns_shifts(); }

 private:
  Layer<Dtype>* scale_ = nullptr;
  bool relu_ = false;
  size_t count_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_BEHIND_NORM_HPP_
