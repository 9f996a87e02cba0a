#ifndef CAFFE_LAYERS_INNER_PRODUCT_LAYER_HPP_
#define CAFFE_LAYERS_INNER_PRODUCT_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Fully connected: top (M x N) = bottom (M x K) * weights^T + bias. The axes before `axis` form M,
/// the others K; the top's shape is the axes before `axis` and N = num_output.
///
///   blobs_[0]  weights: N x K, or K x N with transpose
///   blobs_[1]  bias: N, with bias_term
template <typename Dtype>
class InnerProductLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "InnerProduct"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  int M_ = 0;
  int K_ = 0;
  int N_ = 0;
  bool bias_term_ = true;
  bool transpose_ = false;
  Blob<Dtype> bias_multiplier_;  // M ones
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_INNER_PRODUCT_LAYER_HPP_
