#include "caffe/layers/inner_product_layer.hpp"

#include "caffe/layers/axis.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/layers/learnt.hpp"
#include "caffe/util/mixed_gemm.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// Each row of top += bias.
template <typename T>
struct AddBiasToEachRow {
  int n;
  const T* bias;  // [n]
  T* top;         // [rows x n]
  CAFFE_HD void operator()(int row, int i) const { top[i] += bias[i - row * n]; }
};

}  // namespace

template <typename Dtype>
void InnerProductLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs&) {
  const InnerProductParameter& param = this->layer_param_.inner_product_param();
  N_ = static_cast<int>(param.num_output());
  CAFFE_CHECK(N_ > 0, this->name() << "num_output is missing or 0");
  bias_term_ = param.bias_term();
  transpose_ = param.transpose();
  K_ = bottom[0]->count(axis_of(*this, *bottom[0], param.axis()));
  vector<int> shape = {N_, K_};
  if (transpose_) std::swap(shape[0], shape[1]);
  vector<LearntBlob> wanted = {{"weights", shape, param.weight_filler()}};
  if (bias_term_) wanted.push_back({"bias", {N_}, param.bias_filler()});
  make_learnt(*this, wanted, &this->blobs_);
  this->param_propagate_down_.resize(this->blobs_.size(), true);
}

template <typename Dtype>
void InnerProductLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const int axis = axis_of(*this, *bottom[0], this->layer_param_.inner_product_param().axis());
  CAFFE_CHECK(bottom[0]->count(axis) == K_,
              this->name() << "was made for " << K_ << " inputs from axis " << axis
                           << " on; the bottom is now " << bottom[0]->shape_string());
  M_ = bottom[0]->count(0, axis);
  vector<int> shape(bottom[0]->shape().begin(), bottom[0]->shape().begin() + axis);
  shape.push_back(N_);
  top[0]->Reshape(shape);
  if (bias_term_ && bias_multiplier_.count() != M_) {
    bias_multiplier_.Reshape({M_});
    caffe_set(M_, Dtype(1), bias_multiplier_.mutable_cpu_data());
  }
}

template <typename Dtype>
void InnerProductLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Dtype* const x = bottom[0]->active_data();
  Dtype* const y = top[0]->mutable_active_data();
  if (M_ == 1) {
    const CBLAS_TRANSPOSE stored = transpose_ ? CblasTrans : CblasNoTrans;
    caffe_gemv(stored, transpose_ ? K_ : N_, transpose_ ? N_ : K_, Dtype(1),
               this->blobs_[0]->active_data(), x, Dtype(0), y);
  } else {
    multiply_by_weights(transpose_ ? CblasNoTrans : CblasTrans, M_, N_, K_, x, *this->blobs_[0], y);
  }
  // The bias last, as a layer written with Caffe's functions adds it: the same bits as there.
  if (bias_term_) {
    parallel_planes(M_, N_, AddBiasToEachRow<Dtype>{N_, this->blobs_[1]->active_data(), y});
  }
}

template <typename Dtype>
void InnerProductLayer<Dtype>::Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                                            const Blobs& bottom) {
  const Dtype* const dy = top[0]->active_diff();
  if (this->param_propagate_down_[0]) {
    const Dtype* const x = bottom[0]->active_data();
    Dtype* const dw = this->blobs_[0]->mutable_active_diff();
    if (transpose_) {
      caffe_gemm(CblasTrans, CblasNoTrans, K_, N_, M_, Dtype(1), x, dy, Dtype(1), dw);
    } else {
      caffe_gemm(CblasTrans, CblasNoTrans, N_, K_, M_, Dtype(1), dy, x, Dtype(1), dw);
    }
  }
  if (bias_term_ && this->param_propagate_down_[1]) {
    caffe_gemv(CblasTrans, M_, N_, Dtype(1), dy, bias_multiplier_.active_data(), Dtype(1),
               this->blobs_[1]->mutable_active_diff());
  }
  if (propagate_down[0]) {
    multiply_by_weights(transpose_ ? CblasTrans : CblasNoTrans, M_, K_, N_, dy, *this->blobs_[0],
                        bottom[0]->mutable_active_diff());
  }
}

INSTANTIATE_CLASS(InnerProductLayer);

/// InnerProductParameter has no field `engine`.
template <typename Dtype>
shared_ptr<Layer<Dtype>> Creator_InnerProductLayer(const LayerParameter& param) {
  return EngineChoice<Dtype>::make(param, ConvolutionParameter::DEFAULT,
                                   make_plain<Dtype, InnerProductLayer>);
}
REGISTER_LAYER_CREATOR(InnerProduct, Creator_InnerProductLayer);

}  // namespace caffe
