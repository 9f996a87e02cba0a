#ifndef TESTS_CPP_ENGINE_TOY_LAYER_HPP_
#define TESTS_CPP_ENGINE_TOY_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

/// top = factor * bottom: written like a user's Caffe layer.
template <typename Dtype, int factor>
class TimesLayer : public Layer<Dtype> {
 public:
  explicit TimesLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  virtual void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
    top[0]->ReshapeLike(*bottom[0]);
  }
  virtual inline int ExactNumBottomBlobs() const { return 1; }
  virtual inline int ExactNumTopBlobs() const { return 1; }

 protected:
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
    caffe_cpu_scale(bottom[0]->count(), Dtype(factor), bottom[0]->cpu_data(),
                    top[0]->mutable_cpu_data());
  }
  virtual void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                            const vector<Blob<Dtype>*>& bottom) {
    if (!propagate_down[0]) return;
    caffe_cpu_scale(top[0]->count(), Dtype(factor), top[0]->cpu_diff(),
                    bottom[0]->mutable_cpu_diff());
  }
};

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_TOY_LAYER_HPP_
