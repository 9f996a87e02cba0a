#ifndef CAFFE_LAYERS_SOFTMAX_LAYER_HPP_
#define CAFFE_LAYERS_SOFTMAX_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// y_c = exp(x_c) / sum over c' of exp(x_c'), along `axis`. May work in place.
template <typename Dtype>
class SoftmaxLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Softmax"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  int outer_num_ = 0;
  int inner_num_ = 0;
  int softmax_axis_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SOFTMAX_LAYER_HPP_
