#include "caffe/layers/eltwise_layer.hpp"

#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/gradient_order.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_format.hpp"
#include "kernels/half.hpp"

namespace caffe {

namespace {

template <typename T, bool kRelu>
struct TakeSum {
  using C = maap::Computed<T>;
  C c0, c1;
  const T* a;  // [count], y itself for the third and later bottoms
  const T* b;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const {
    const C sum = c0 * a[i] + c1 * b[i];
    y[i] = kRelu && sum < C(0) ? C(0) : sum;  // NaN stays
  }
};

template <typename T>
struct TakeProduct {
  const T* a;
  const T* b;
  T* y;
  CAFFE_HD void operator()(int i) const { y[i] = a[i] * b[i]; }
};

/// The larger of bottoms 0 and 1; the latter if they are equal.
template <typename T>
struct FirstMax {
  const T* a;
  const T* b;
  T* y;
  int* largest;  // [count]
  CAFFE_HD void operator()(int i) const {
    const bool second = b[i] >= a[i] || b[i] != b[i];
    y[i] = second ? b[i] : a[i];
    largest[i] = second ? 1 : 0;
  }
};

/// Bottom `index` where it is larger than all earlier bottoms.
template <typename T>
struct TakeMax {
  int index;
  const T* x;
  T* y;
  int* largest;
  CAFFE_HD void operator()(int i) const {
    if (x[i] > y[i] || x[i] != x[i]) {
      y[i] = x[i];
      largest[i] = index;
    }
  }
};

/// The gradients of one or two bottoms of a sum.
template <typename T, bool kRelu, bool kTwo>
struct SumGradient {
  using C = maap::Computed<T>;
  C c0, c1;
  const T* y;  // null without a ReLU
  const T* dy;
  T* dx0;  // may be dy, for one bottom
  T* dx1;  // null for one bottom
  CAFFE_HD void operator()(int i) const {
    const C all = dy[i];
    const C there = !kRelu || C(y[i]) > C(0) ? all : C(0);
    dx0[i] = c0 * there;
    if (kTwo) dx1[i] = c1 * there;
  }
};

template <typename T>
void sum_gradient(int count, const SumGradient<T, true, true>& all) {
  if (all.y != nullptr && all.dx1 != nullptr) {
    parallel_for(count, all);
  } else if (all.y != nullptr) {
    parallel_for(count, SumGradient<T, true, false>{all.c0, all.c1, all.y, all.dy, all.dx0, {}});
  } else if (all.dx1 != nullptr) {
    parallel_for(count,
                 SumGradient<T, false, true>{all.c0, all.c1, all.y, all.dy, all.dx0, all.dx1});
  } else {
    parallel_for(count, SumGradient<T, false, false>{all.c0, all.c1, all.y, all.dy, all.dx0, {}});
  }
}

template <typename T>
struct WhereLargest {
  int index;
  const int* largest;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int i) const {
    const T there = dy[i];
    dx[i] = largest[i] == index ? there : T(0);
  }
};

}  // namespace

template <typename Dtype>
void EltwiseLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  const EltwiseParameter& param = this->layer_param_.eltwise_param();
  const int given = param.coeff_size(), bottoms = static_cast<int>(bottom.size());
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(given == 0 || given == bottoms, this->name()
                                                  << "has " << given << " coeffs and " << bottoms
                                                  << " bottoms: give one for each, or none at all");
  CAFFE_CHECK(given == 0 || param.operation() != EltwiseParameter::PROD,
              this->name() << "PROD takes no coeffs; add a Power layer with a scale after it");
  if (given > 0 && param.operation() == EltwiseParameter::MAX) {
    LOG(WARNING) << this->name() << "MAX ignores its coeffs";
  }
}

template <typename Dtype>
void EltwiseLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  for (size_t i = 1; i < bottom.size(); ++i) {
    CAFFE_CHECK(bottom[i]->shape() == bottom[0]->shape(),
                this->name() << "its bottoms must have the same shape; bottom 0 is "
                             << bottom[0]->shape_string() << " and bottom " << i << " "
                             << bottom[i]->shape_string());
  }
  top[0]->ReshapeLike(*bottom[0]);
  if (this->layer_param_.eltwise_param().operation() == EltwiseParameter::MAX) {
    largest_.Reshape(bottom[0]->shape());
  }
}

template <typename Dtype>
Dtype EltwiseLayer<Dtype>::coeff(int i) const {
  const EltwiseParameter& param = this->layer_param_.eltwise_param();
  return param.coeff_size() == 0 ? Dtype(1) : Dtype(param.coeff(i));
}

/// With the ReLU behind it, if there is one.
template <typename Dtype>
template <typename T>
void EltwiseLayer<Dtype>::forward_sum(const Values<Dtype, T>& values, const Blobs& bottom,
                                      Blob<Dtype>* top) {
  const bool relu = has_relu();
  const int bottoms = static_cast<int>(bottom.size());
  T* const y = values.mutable_data(top);
  for (int k = 1; k < bottoms; ++k) {
    const T* const a = k == 1 ? values.data(*bottom[0]) : y;
    const T* const b = values.data(*bottom[k]);
    const Dtype c0 = k == 1 ? coeff(0) : Dtype(1);
    if (relu && k + 1 == bottoms) {
      parallel_for(top->count(), TakeSum<T, true>{c0, coeff(k), a, b, y});
    } else {
      parallel_for(top->count(), TakeSum<T, false>{c0, coeff(k), a, b, y});
    }
  }
}

template <typename Dtype>
void EltwiseLayer<Dtype>::add_up(const Blobs& bottom, const Blobs& top) {
  with_values<Dtype>(common_data_format(bottom),
                     [&](auto values) { forward_sum(values, bottom, top[0]); });
}

template <typename Dtype>
bool EltwiseLayer<Dtype>::has_relu() const {
  return !this->followers().empty() && is_plain_relu(*this->followers()[0]);
}

template <typename Dtype>
void EltwiseLayer<Dtype>::take_relu() {
  if (has_relu()) this->take(1, TakesFollowers<Dtype>::Gradient::kEither);
}

template <typename Dtype>
void EltwiseLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const auto operation = this->layer_param_.eltwise_param().operation();
  const int count = top[0]->count();
  if (operation == EltwiseParameter::SUM) {
    add_up(bottom, top);
    return take_relu();
  }
  const Order order = common_data_order(bottom);
  const bool stores = operation == EltwiseParameter::MAX;
  int* const largest = stores ? mutable_data_in(order, &largest_) : nullptr;
  Dtype* const y = mutable_data_in(order, top[0]);
  for (int k = 1; k < static_cast<int>(bottom.size()); ++k) {
    const bool start = k == 1;
    const Dtype* const a = start ? data_in(order, *bottom[0]) : y;
    const Dtype* const b = data_in(order, *bottom[k]);
    if (operation == EltwiseParameter::PROD) {
      parallel_for(count, TakeProduct<Dtype>{a, b, y});
    } else if (start) {
      parallel_for(count, FirstMax<Dtype>{a, b, y, largest});
    } else {
      parallel_for(count, TakeMax<Dtype>{k, b, y, largest});
    }
  }
}

/// dx_k = dy times the other bottoms.
template <typename Dtype>
void EltwiseLayer<Dtype>::product_gradient(Order order, const Blobs& bottom, int k,
                                           const Dtype* dy) {
  Dtype* const dx = mutable_diff_in(order, bottom[k]);
  const Dtype* so_far = dy;
  for (int other = 0; other < static_cast<int>(bottom.size()); ++other) {
    if (other == k) continue;
    parallel_for(bottom[k]->count(),
                 TakeProduct<Dtype>{so_far, data_in(order, *bottom[other]), dx});
    so_far = dx;
  }
}

/// Through the ReLU, too, if the forward pass took one. Two bottoms share one pass over dy.
template <typename Dtype>
template <typename T>
void EltwiseLayer<Dtype>::sum_gradients(const Values<Dtype, T>& values, Blob<Dtype>* top,
                                        const std::vector<bool>& propagate_down,
                                        const Blobs& bottom) {
  const int count = top->count();
  const T* y = this->followers().empty() ? nullptr : values.data(*top);
  const T* dy = values.diff(*top);
  if (y != nullptr && this->keeps_gradient()) {
    T* const kept = values.mutable_diff(top);
    sum_gradient<T>(count, {Dtype(1), Dtype(1), y, kept, kept, nullptr});
    y = nullptr;
    dy = kept;
  }
  std::vector<int> wanted;
  for (int k = 0; k < static_cast<int>(bottom.size()); ++k) {
    if (propagate_down[k]) wanted.push_back(k);
  }
  for (size_t i = 0; i < wanted.size(); i += 2) {
    const int a = wanted[i], b = i + 1 < wanted.size() ? wanted[i + 1] : -1;
    T* const dx = values.mutable_diff(bottom[a]);
    sum_gradient<T>(count, {coeff(a), b < 0 ? Dtype(0) : coeff(b), y, dy, dx,
                            b < 0 ? nullptr : values.mutable_diff(bottom[b])});
  }
}

template <typename Dtype>
void EltwiseLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                       const Blobs& bottom) {
  const auto operation = this->layer_param_.eltwise_param().operation();
  if (operation == EltwiseParameter::SUM) {
    return with_values<Dtype>(gradient_format(bottom, top), [&](auto values) {
      sum_gradients(values, top[0], propagate_down, bottom);
    });
  }
  const Order order = gradient_order(bottom, top);
  const Dtype* const dy = diff_in(order, *top[0]);
  for (int k = 0; k < static_cast<int>(bottom.size()); ++k) {
    if (!propagate_down[k]) continue;
    if (operation == EltwiseParameter::PROD) {
      product_gradient(order, bottom, k, dy);
    } else {
      parallel_for(top[0]->count(), WhereLargest<Dtype>{k, data_in(order, largest_), dy,
                                                        mutable_diff_in(order, bottom[k])});
    }
  }
}

INSTANTIATE_CLASS(EltwiseLayer);
REGISTER_LAYER_WITH_ADAPTER(Eltwise);

}  // namespace caffe
