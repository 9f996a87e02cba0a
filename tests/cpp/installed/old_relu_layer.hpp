#ifndef TESTS_CPP_INSTALLED_OLD_RELU_LAYER_HPP_
#define TESTS_CPP_INSTALLED_OLD_RELU_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/neuron_layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// ReLU as people wrote layers for Caffe: the CPU's methods in the .cpp, the GPU's in the .cu.
template <typename Dtype>
class OldReLULayer : public NeuronLayer<Dtype> {
 public:
  explicit OldReLULayer(const LayerParameter& param) : NeuronLayer<Dtype>(param) {}

  virtual inline const char* type() const { return "OldReLU"; }

 protected:
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);
  virtual void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top);
  virtual void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                            const vector<Blob<Dtype>*>& bottom);
  virtual void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                            const vector<Blob<Dtype>*>& bottom);
};

}  // namespace caffe

#endif  // TESTS_CPP_INSTALLED_OLD_RELU_LAYER_HPP_
