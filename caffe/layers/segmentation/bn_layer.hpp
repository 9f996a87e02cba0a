#ifndef CAFFE_LAYERS_SEGMENTATION_BN_LAYER_HPP_
#define CAFFE_LAYERS_SEGMENTATION_BN_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

/// Batch normalisation with scale and shift in one layer, for each channel (axis 1):
///   y = slope n + bias,  n = (x - mean) / sqrt(variance + eps).
/// Two families of forks have a layer of this name. PSPNet's keeps averages:
///   blobs[0..3]  slope, bias, averages of the mean and of the variance, each 1 x C x 1 x 1
///   TRAIN        mean and (biased) variance are the batch's; average = momentum average +
///                (1 - momentum) batch's
///   TEST, or `frozen`  they are the averages, as stored. Solvers change neither these nor, where
///                frozen, slope and bias
/// SegNet's (also DeconvNet's and ENet's) has none:
///   blobs[0..1]  scale (the slope), shift (the bias), each 1 x C x 1 x 1
///   LEARN        mean and variance are the batch's, in phase TEST as well; eps is 1e-9. top[1] and
///                top[2], optional: this mean and this variance, 1 x C x 1 x 1, without a gradient
///   INFERENCE    n = x: the statistics are part of scale and shift
/// LayerParameter.dialect says which holds; without it the fields of bn_param do (slope_filler,
/// bias_filler, momentum, eps, frozen; scale_filler, shift_filler, bn_mode), then the number of
/// stored blobs, of param { } or of tops. May work in place, at the cost of a copy of n.
template <typename Dtype>
class BNLayer : public Portable<Layer<Dtype>>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "BN"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int MinTopBlobs() const override { return 1; }
  int MaxTopBlobs() const override { return 3; }
  size_t own_bytes() const override { return sizeof(Dtype) * static_cast<size_t>(kept_.count()); }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  /// Where mean and variance come from; kNone: n = x.
  enum class Source { kBatch, kAverages, kNone };

  /// Whether this is PSPNet's; throws where nothing in the prototxt tells.
  bool has_averages(size_t tops) const;
  void make_blobs(int channels);
  /// Gives the layer a param { } for each blob, and those of statistics and frozen ones
  /// multipliers of 0.
  void fix_multipliers(int first_fixed);
  /// Sets mean_, variance_ and factor_ for a forward pass.
  void take_statistics(Order order, const Blob<Dtype>& x);
  /// Whether a backward pass needs n while x is overwritten.
  bool keeps_values(const Blobs& bottom, const Blobs& top) const {
    return bottom[0] == top[0] && (source_ == Source::kBatch || this->param_propagate_down_[0]);
  }

  bool averages_ = false;
  Source source_ = Source::kBatch;
  Blob<Dtype> mean_, variance_, factor_;  // [channels]; factor = 1 / sqrt(variance + eps)
  Blob<Dtype> kept_;                      // n, if keeps_values()
  Blob<Dtype> means_;                     // [2, channels], of dy and of dy n
  Blob<double> sums_;                     // memory of channel_sums
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEGMENTATION_BN_LAYER_HPP_
