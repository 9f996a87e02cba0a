#ifndef TESTS_CPP_INSTALLED_OLD_INNER_PRODUCT_LAYER_HPP_
#define TESTS_CPP_INSTALLED_OLD_INNER_PRODUCT_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// A layer with weights, by calls of the BLAS. It has no methods for the GPU.
template <typename Dtype>
class OldInnerProductLayer : public Layer<Dtype> {
 public:
  explicit OldInnerProductLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  virtual void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);
  virtual void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);

  virtual inline const char* type() const { return "OldInnerProduct"; }
  virtual inline int ExactNumBottomBlobs() const { return 1; }
  virtual inline int ExactNumTopBlobs() const { return 1; }

 protected:
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);
  virtual void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                            const vector<Blob<Dtype>*>& bottom);

  int images_;
  int inputs_;
  int outputs_;
  Blob<Dtype> ones_;
};

}  // namespace caffe

#endif  // TESTS_CPP_INSTALLED_OLD_INNER_PRODUCT_LAYER_HPP_
