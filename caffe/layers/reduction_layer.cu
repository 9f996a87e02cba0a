#include "caffe/layers/reduction_layer.hpp"

#include "caffe/layers/axis.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/util/channel_sums.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

// The function that is summed, as a type: its value for x and its derivative.
struct Value {
  template <typename W>
  static CAFFE_HD W of(W x) {
    return x;
  }
  template <typename T>
  static CAFFE_HD T slope(T) {
    return T(1);
  }
};
struct Absolute {
  template <typename W>
  static CAFFE_HD W of(W x) {
    return x < W(0) ? -x : x;
  }
  template <typename T>
  static CAFFE_HD T slope(T x) {
    return T((x > T(0)) - (x < T(0)));
  }
};
struct Square {
  template <typename W>
  static CAFFE_HD Product<W> of(W x) {
    return {x, x};
  }
  template <typename T>
  static CAFFE_HD T slope(T x) {
    return T(2) * x;
  }
};

/// Calls run(Value, Absolute or Square).
template <typename Run>
void with_term(ReductionParameter::ReductionOp operation, const Run& run) {
  if (operation == ReductionParameter::ASUM) {
    run(Absolute());
  } else if (operation == ReductionParameter::SUMSQ) {
    run(Square());
  } else {
    run(Value());
  }
}

template <typename T, typename Term>
struct Terms {
  using Value = T;
  const T* x;  // [rows, length]
  template <typename W>
  CAFFE_HD auto first(int, int i) const {
    return Term::of(W(x[i]));
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

template <typename T>
struct StoreReduction {
  T coeff;
  T* y;  // [rows]
  CAFFE_HD void operator()(int row, double sum, double) const {
    y[row] = static_cast<T>(coeff * sum);
  }
};

template <typename T, typename Term>
struct ReductionBackward {
  T coeff;
  const T* x;   // [rows, length]
  const T* dy;  // [rows]
  T* dx;        // [rows, length]
  CAFFE_HD void operator()(int row, int i) const { dx[i] = coeff * dy[row] * Term::slope(x[i]); }
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
  CAFFE_CHECK(!mean || length_ > 0, this->name()
                                        << "an empty bottom has no mean; the bottom's shape is "
                                        << bottom[0]->shape_string());
  coeff_ = static_cast<Dtype>(double(param.coeff()) / (mean ? length_ : 1));
  top[0]->Reshape(std::vector<int>(bottom[0]->shape().begin(), bottom[0]->shape().begin() + axis));
}

template <typename Dtype>
void ReductionLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Dtype* const x = bottom[0]->active_data();
  const StoreReduction<Dtype> store = {coeff_, top[0]->mutable_active_data()};
  with_term(this->layer_param_.reduction_param().operation(), [&](auto term) {
    channel_sums({1, rows_, length_}, Terms<Dtype, decltype(term)>{x}, &sums_, store);
  });
}

template <typename Dtype>
void ReductionLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                         const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Dtype* const x = bottom[0]->active_data();
  const Dtype* const dy = top[0]->active_diff();
  Dtype* const dx = bottom[0]->mutable_active_diff();
  with_term(this->layer_param_.reduction_param().operation(), [&](auto term) {
    parallel_planes(rows_, length_, ReductionBackward<Dtype, decltype(term)>{coeff_, x, dy, dx});
  });
}

INSTANTIATE_CLASS(ReductionLayer);
REGISTER_LAYER_CLASS(Reduction);

}  // namespace caffe
