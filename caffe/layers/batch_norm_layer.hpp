#ifndef CAFFE_LAYERS_BATCH_NORM_LAYER_HPP_
#define CAFFE_LAYERS_BATCH_NORM_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/behind_norm.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/layers/takes_followers.hpp"
#include "caffe/util/affine_norm.hpp"
#include "caffe/util/value_format.hpp"

namespace caffe {

/// Normalises each channel (axis 1) over the batch: y = (x - mean) / sqrt(variance + eps) (Ioffe
/// and Szegedy 2015); a Scale layer can scale and shift the result. May work in place, at the cost
/// of a copy of y while training.
///
/// With use_global_stats, the default while testing, mean and variance are the averages stored in
/// the blobs; otherwise they are the batch's own, which then update the averages:
///   blobs[0] = f blobs[0] + mean, blobs[1] = f blobs[1] + m / (m - 1) variance,
///   blobs[2] = f blobs[2] + 1 (one value),
/// where f is moving_average_fraction and m the number of values per channel. The averages
/// are blobs[0] / blobs[2] and blobs[1] / blobs[2], or 0 while blobs[2] is 0. Solvers do not change
/// them: their lr_mult is 0.
///
/// In the dialects nv017 and nv015, of NVIDIA's fork, the averages are blobs[0] = f blobs[0] +
/// (1 - f) mean and so on, the first batch's own at first, and blobs[2] is 1.
///
/// On a GPU, takes a Scale of each channel and a ReLU behind it: one sweep over the values instead
/// of three, and backward two instead of five. On a CPU the layer for oneDNN does.
template <typename Dtype>
class BatchNormLayer : public Portable<Layer<Dtype>>,
                       public TakesFollowers<Dtype>,
                       public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "BatchNorm"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }
  size_t own_bytes() const override { return sizeof(Dtype) * static_cast<size_t>(x_norm_.count()); }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  /// Updates the averages with mean_ and variance_, which come from `count` values per channel.
  void enter_averages(double count);
  /// Sets mean_ and variance_ to the averages.
  void take_averages();

  bool use_global_stats_ = false;
  Blob<Dtype> mean_;      // [channels]
  Blob<Dtype> variance_;  // [channels]

 private:
  template <typename T>
  void take_batch_statistics(const Values<Dtype, T>& values, const Blob<Dtype>& x);
  template <typename T>
  void forward(const Values<Dtype, T>& values, const Blob<Dtype>& bottom, Blob<Dtype>* top);
  /// The last pass, as if no layer behind this one had been taken.
  void forward_again(const Blob<Dtype>& bottom, Blob<Dtype>* top);
  template <typename T>
  void backward(const Values<Dtype, T>& values, const Blob<Dtype>& top, Blob<Dtype>* bottom);
  /// Through the layers behind this one, too; without `down` only to what these learn.
  template <typename T>
  void backward_together(const Values<Dtype, T>& values, const BehindNorm<Dtype>& behind, bool down,
                         Blob<Dtype>* top, Blob<Dtype>* bottom);
  template <typename T>
  Affine<T> affine(const BehindNorm<Dtype>& behind) const;
  bool as_nvidia() const {
    return this->layer_param_.dialect() == "nv017" || this->layer_param_.dialect() == "nv015";
  }

  Blob<Dtype> factor_;   // [channels], 1 / sqrt(variance + eps)
  Blob<Dtype> x_norm_;   // y, if the layer works in place and Backward needs it
  bool kept_y_ = false;  // in x_norm_, in the last forward pass
  Blob<Dtype> means_;    // memory of normalise_backward
  Blob<double> sums_;    // memory of channel_sums
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_BATCH_NORM_LAYER_HPP_
