#ifndef CAFFE_LAYERS_REDUCTION_LAYER_HPP_
#define CAFFE_LAYERS_REDUCTION_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Reduces `axis` and all axes after it to one number: coeff times the SUM, the sum of absolute
/// values (ASUM), of squares (SUMSQ), or the MEAN. Sums are computed in double.
template <typename Dtype>
class ReductionLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Reduction"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  int rows_ = 0;       // number of values in the top
  int length_ = 0;     // number of values reduced to one
  Dtype coeff_ = 1;    // including 1 / length
  Blob<double> sums_;  // memory of channel_sums
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_REDUCTION_LAYER_HPP_
