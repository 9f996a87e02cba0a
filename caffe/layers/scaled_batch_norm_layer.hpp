#ifndef CAFFE_LAYERS_SCALED_BATCH_NORM_LAYER_HPP_
#define CAFFE_LAYERS_SCALED_BATCH_NORM_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"

namespace caffe {

/// BatchNorm of NVIDIA's fork with a learnt scale and shift of each channel: a BatchNorm and a
/// Scale, which it makes at set-up, and whose blobs are its own: means, variances, weight (as in
/// caffe/layers/batch_norm_layer.hpp), scales, biases. May work in place.
///
/// A BatchNorm is such a layer with scale_bias, in the dialect nv017 also with scale_filler or
/// bias_filler, and always in nv015 (DIGITS). The scales are 1 and the biases 0 without fillers.
/// The first three blobs have lr_mult 0. Dialect nv017 gives the others lr_mult 1 and decay_mult 1,
/// whatever the params say; nv015 gives the params in its own order, scales, biases and then the
/// statistics. The order of 0.15 is that in which the first param has another lr_mult than 0.
template <typename Dtype>
class ScaledBatchNormLayer : public Layer<Dtype>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Layer<Dtype>::Layer;
  /// Whether a BatchNorm of these parameters is scaled.
  static bool takes(const LayerParameter& param);
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "BatchNorm"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }
  size_t own_bytes() const override;
  size_t workspace_bytes() const override;

 protected:
  // Both inner layers choose the device by the thread's mode, for these and for Forward_gpu and
  // Backward_gpu, which call them.
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  void set_rates();
  void make_inner();
  /// What the BatchNorm writes and the Scale reads: the top if the layer works in place.
  Blobs middle(const Blobs& bottom, const Blobs& top);

  shared_ptr<Layer<Dtype>> norm_, scale_;
  Blob<Dtype> normalised_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SCALED_BATCH_NORM_LAYER_HPP_
