#ifndef CAFFE_LAYERS_ELTWISE_LAYER_HPP_
#define CAFFE_LAYERS_ELTWISE_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/layers/takes_followers.hpp"
#include "caffe/util/value_format.hpp"

namespace caffe {

/// Two or more bottoms of one shape, element by element:
///   SUM   coeff[0] x0 + coeff[1] x1 + ..., each coeff 1 unless given
///   PROD  x0 x1 ...; the gradient of a factor is dy times the others, exact also where it is 0, so
///         stable_prod_grad makes no difference
///   MAX   the largest; NaN if one is NaN. The gradient goes to the bottom that has the largest
///         value; among equal ones to the second bottom if it has it, else to the first that has
/// SUM takes a ReLU behind it.
template <typename Dtype>
class EltwiseLayer : public Portable<Layer<Dtype>>, public TakesFollowers<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Eltwise"; }
  int MinBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
  /// Of bottom i of a sum.
  Dtype coeff(int i) const;
  /// The top of SUM, behind the ReLU if has_relu(). Threads may call it at once for parts of blobs.
  void add_up(const Blobs& bottom, const Blobs& top);
  /// After add_up(), once in a forward pass.
  void take_relu();

 private:
  bool has_relu() const;
  template <typename T>
  void forward_sum(const Values<Dtype, T>& values, const Blobs& bottom, Blob<Dtype>* top);
  template <typename T>
  void sum_gradients(const Values<Dtype, T>& values, Blob<Dtype>* top,
                     const std::vector<bool>& propagate_down, const Blobs& bottom);
  void product_gradient(Order order, const Blobs& bottom, int k, const Dtype* dy);

  Blob<int> largest_;  // MAX: which bottom each value of the top came from
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_ELTWISE_LAYER_HPP_
