#include "caffe/layers/reduction_layer.hpp"

#include <cmath>

#include "caffe/layers/axis.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/util/channel_sums.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

enum class Term { kValue, kAbsolute, kSquare };

Term term_of(ReductionParameter::ReductionOp operation) {
  switch (operation) {
    case ReductionParameter::ASUM:
      return Term::kAbsolute;
    case ReductionParameter::SUMSQ:
      return Term::kSquare;
    default:
      return Term::kValue;
  }
}

template <typename T>
struct Terms {
  Term term;
  const T* x;  // [rows, length]
  CAFFE_HD double first(int, int i) const {
    const double value = x[i];
    return term == Term::kValue ? value : term == Term::kSquare ? value * value : std::fabs(value);
  }
  CAFFE_HD double second(int, int) const { return 0; }
};

template <typename T>
struct StoreSum {
  T coeff;
  T* y;  // [rows]
  CAFFE_HD void operator()(int row, double sum, double) const {
    y[row] = static_cast<T>(coeff * sum);
  }
};

template <typename T>
struct ReductionBackward {
  Term term;
  T coeff;
  const T* x;   // [rows, length]
  const T* dy;  // [rows]
  T* dx;        // [rows, length]
  CAFFE_HD void operator()(int row, int i) const {
    const T g = coeff * dy[row];
    if (term == Term::kValue) {
      dx[i] = g;
    } else if (term == Term::kSquare) {
      dx[i] = T(2) * g * x[i];
    } else {
      dx[i] = x[i] > T(0) ? g : x[i] < T(0) ? -g : T(0);
    }
  }
};

}  // namespace

template <typename Dtype>
void ReductionLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
}

template <typename Dtype>
void ReductionLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const ReductionParameter& param = this->layer_param_.reduction_param();
  const int axis = axis_of(*this, *bottom[0], param.axis());
  const bool mean = param.operation() == ReductionParameter::MEAN;
  rows_ = bottom[0]->count(0, axis);
  length_ = bottom[0]->count(axis);
  CAFFE_CHECK(!mean || length_ > 0, this->name() << "no values have no mean; the bottom's shape is "
                                                 << bottom[0]->shape_string());
  coeff_ = static_cast<Dtype>(double(param.coeff()) / (mean ? length_ : 1));
  top[0]->Reshape(std::vector<int>(bottom[0]->shape().begin(), bottom[0]->shape().begin() + axis));
}

template <typename Dtype>
void ReductionLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Term term = term_of(this->layer_param_.reduction_param().operation());
  channel_sums({1, rows_, length_}, Terms<Dtype>{term, bottom[0]->active_data()}, &sums_,
               StoreSum<Dtype>{coeff_, top[0]->mutable_active_data()});
}

template <typename Dtype>
void ReductionLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                         const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Term term = term_of(this->layer_param_.reduction_param().operation());
  parallel_planes(
      rows_, length_,
      ReductionBackward<Dtype>{term, coeff_, bottom[0]->active_data(), top[0]->active_diff(),
                               bottom[0]->mutable_active_diff()});
}

INSTANTIATE_CLASS(ReductionLayer);
REGISTER_LAYER_CLASS(Reduction);

}  // namespace caffe
