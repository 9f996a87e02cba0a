#include "old_inner_product_layer.hpp"

#include <vector>

#include "caffe/filler.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void OldInnerProductLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                             const vector<Blob<Dtype>*>& /* top */) {
  const InnerProductParameter& param = this->layer_param_.inner_product_param();
  outputs_ = param.num_output();
  inputs_ = bottom[0]->count(1);
  if (this->blobs_.size() > 0) {
    LOG(INFO) << "Skipping parameter initialization";
  } else {
    this->blobs_.resize(2);
    vector<int> shape(2);
    shape[0] = outputs_;
    shape[1] = inputs_;
    this->blobs_[0].reset(new Blob<Dtype>(shape));
    shared_ptr<Filler<Dtype>> weight_filler(GetFiller<Dtype>(param.weight_filler()));
    weight_filler->Fill(this->blobs_[0].get());
    this->blobs_[1].reset(new Blob<Dtype>(vector<int>(1, outputs_)));
    shared_ptr<Filler<Dtype>> bias_filler(GetFiller<Dtype>(param.bias_filler()));
    bias_filler->Fill(this->blobs_[1].get());
  }
  this->param_propagate_down_.resize(this->blobs_.size(), true);
}

template <typename Dtype>
void OldInnerProductLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                          const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(inputs_, bottom[0]->count(1)) << "Input size incompatible.";
  images_ = bottom[0]->shape(0);
  vector<int> shape(1, images_);
  shape.push_back(outputs_);
  top[0]->Reshape(shape);
  ones_.Reshape(vector<int>(1, images_));
  caffe_set(images_, Dtype(1), ones_.mutable_cpu_data());
}

template <typename Dtype>
void OldInnerProductLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                              const vector<Blob<Dtype>*>& top) {
  Dtype* top_data = top[0]->mutable_cpu_data();
  caffe_cpu_gemm<Dtype>(CblasNoTrans, CblasTrans, images_, outputs_, inputs_, (Dtype)1.,
                        bottom[0]->cpu_data(), this->blobs_[0]->cpu_data(), (Dtype)0., top_data);
  caffe_cpu_gemm<Dtype>(CblasNoTrans, CblasNoTrans, images_, outputs_, 1, (Dtype)1.,
                        ones_.cpu_data(), this->blobs_[1]->cpu_data(), (Dtype)1., top_data);
}

template <typename Dtype>
void OldInnerProductLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                               const vector<bool>& propagate_down,
                                               const vector<Blob<Dtype>*>& bottom) {
  const Dtype* top_diff = top[0]->cpu_diff();
  if (this->param_propagate_down_[0]) {
    caffe_cpu_gemm<Dtype>(CblasTrans, CblasNoTrans, outputs_, inputs_, images_, (Dtype)1., top_diff,
                          bottom[0]->cpu_data(), (Dtype)1., this->blobs_[0]->mutable_cpu_diff());
  }
  if (this->param_propagate_down_[1]) {
    caffe_cpu_gemv<Dtype>(CblasTrans, images_, outputs_, (Dtype)1., top_diff, ones_.cpu_data(),
                          (Dtype)1., this->blobs_[1]->mutable_cpu_diff());
  }
  if (propagate_down[0]) {
    caffe_cpu_gemm<Dtype>(CblasNoTrans, CblasNoTrans, images_, inputs_, outputs_, (Dtype)1.,
                          top_diff, this->blobs_[0]->cpu_data(), (Dtype)0.,
                          bottom[0]->mutable_cpu_diff());
  }
}

INSTANTIATE_CLASS(OldInnerProductLayer);
REGISTER_LAYER_CLASS(OldInnerProduct);

}  // namespace caffe
