#include "caffe/util/gpu_sums.hpp"

#include "caffe/util/gpu_total.hpp"

namespace caffe {

namespace {

template <typename T>
struct Products {
  using Value = T;
  const T* x;
  const T* y;
  template <typename W>
  CAFFE_HD Product<W> first(int, int i) const {
    return {x[i], y[i]};
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

template <typename T>
struct Absolutes {
  using Value = T;
  const T* x;
  template <typename W>
  CAFFE_HD W first(int, int i) const {
    return x[i] < T(0) ? -x[i] : x[i];
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

template <typename T>
struct StoreSum {
  T* sum;
  CAFFE_HD void operator()(int, T value, T) const { *sum = value; }
};

}  // namespace

Blob<double>* gpu_total_pieces() {
  static thread_local Blob<double> pieces;
  return &pieces;
}

template <typename T>
void gpu_sum(int n, const T* x, const T* y, T* sum) {
  if (y == nullptr) {
    gpu_total(n, Absolutes<T>{x}, StoreSum<T>{sum});
  } else {
    gpu_total(n, Products<T>{x, y}, StoreSum<T>{sum});
  }
}

template void gpu_sum<float>(int, const float*, const float*, float*);
template void gpu_sum<double>(int, const double*, const double*, double*);

}  // namespace caffe
