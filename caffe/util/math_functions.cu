#include "caffe/util/math_functions.hpp"

#include <cmath>

#include "caffe/util/device.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct Fill {
  T value;
  T* y;
  CAFFE_HD void operator()(int i) const { y[i] = value; }
};

template <typename T>
struct AddScalar {
  T value;
  T* y;
  CAFFE_HD void operator()(int i) const { y[i] += value; }
};

template <typename T>
struct Scale {
  T factor;
  const T* x;
  T* y;
  CAFFE_HD void operator()(int i) const { y[i] = factor * x[i]; }
};

/// y = alpha x + beta y; with beta 0, y is not read and may hold anything.
template <typename T>
struct Axpby {
  T alpha;
  const T* x;
  T beta;
  T* y;
  CAFFE_HD void operator()(int i) const {
    y[i] = beta == T(0) ? alpha * x[i] : alpha * x[i] + beta * y[i];
  }
};

template <typename T>
struct Power {
  const T* a;
  T b;
  T* y;
  CAFFE_HD void operator()(int i) const { y[i] = std::pow(a[i], b); }
};

// One functor for each function of one array and of two.
#define UNARY(Name, expression)             \
  template <typename T>                     \
  struct Name {                             \
    const T* x;                             \
    T* y;                                   \
    CAFFE_HD static T apply(T v) {          \
      return expression;                    \
    }                                       \
    CAFFE_HD void operator()(int i) const { \
      y[i] = apply(x[i]);                   \
    }                                       \
  }
UNARY(Square, v* v);
UNARY(SquareRoot, std::sqrt(v));
UNARY(Exponential, std::exp(v));
UNARY(Logarithm, std::log(v));
UNARY(Absolute, std::fabs(v));
UNARY(Sign, T((v > T(0)) - (v < T(0))));
UNARY(SignBit, T(std::signbit(v) ? 1 : 0));
#undef UNARY

#define BINARY(Name, expression)            \
  template <typename T>                     \
  struct Name {                             \
    const T* a;                             \
    const T* b;                             \
    T* y;                                   \
    CAFFE_HD static T apply(T u, T v) {     \
      return expression;                    \
    }                                       \
    CAFFE_HD void operator()(int i) const { \
      y[i] = apply(a[i], b[i]);             \
    }                                       \
  }
BINARY(Sum, u + v);
BINARY(Difference, u - v);
BINARY(Product, u* v);
BINARY(Quotient, u / v);
#undef BINARY

}  // namespace

// The CPU and GPU functions of one functor, for float and double.
#define DEFINE_UNARY(cpu_name, gpu_name, Functor)              \
  template <typename T>                                        \
  void cpu_name(int n, const T* x, T* y) {                     \
    parallel_for(Device::kCPU, n, Functor<T>{x, y});           \
  }                                                            \
  template <typename T>                                        \
  void gpu_name(int n, const T* x, T* y) {                     \
    parallel_for(Device::kGPU, n, Functor<T>{x, y});           \
  }                                                            \
  template void cpu_name<float>(int, const float*, float*);    \
  template void cpu_name<double>(int, const double*, double*); \
  template void gpu_name<float>(int, const float*, float*);    \
  template void gpu_name<double>(int, const double*, double*)

DEFINE_UNARY(caffe_sqr, caffe_gpu_sqr, Square);
DEFINE_UNARY(caffe_sqrt, caffe_gpu_sqrt, SquareRoot);
DEFINE_UNARY(caffe_exp, caffe_gpu_exp, Exponential);
DEFINE_UNARY(caffe_log, caffe_gpu_log, Logarithm);
DEFINE_UNARY(caffe_abs, caffe_gpu_abs, Absolute);
DEFINE_UNARY(caffe_cpu_fabs, caffe_gpu_fabs, Absolute);
DEFINE_UNARY(caffe_cpu_sign, caffe_gpu_sign, Sign);
DEFINE_UNARY(caffe_cpu_sgnbit, caffe_gpu_sgnbit, SignBit);
#undef DEFINE_UNARY

#define DEFINE_BINARY(cpu_name, gpu_name, Functor)                            \
  template <typename T>                                                       \
  void cpu_name(int n, const T* a, const T* b, T* y) {                        \
    parallel_for(Device::kCPU, n, Functor<T>{a, b, y});                       \
  }                                                                           \
  template <typename T>                                                       \
  void gpu_name(int n, const T* a, const T* b, T* y) {                        \
    parallel_for(Device::kGPU, n, Functor<T>{a, b, y});                       \
  }                                                                           \
  template void cpu_name<float>(int, const float*, const float*, float*);     \
  template void cpu_name<double>(int, const double*, const double*, double*); \
  template void gpu_name<float>(int, const float*, const float*, float*);     \
  template void gpu_name<double>(int, const double*, const double*, double*)

DEFINE_BINARY(caffe_add, caffe_gpu_add, Sum);
DEFINE_BINARY(caffe_sub, caffe_gpu_sub, Difference);
DEFINE_BINARY(caffe_mul, caffe_gpu_mul, Product);
DEFINE_BINARY(caffe_div, caffe_gpu_div, Quotient);
#undef DEFINE_BINARY

template <typename T>
void caffe_set(int N, T alpha, T* X) {
  parallel_for(Device::kCPU, N, Fill<T>{alpha, X});
}

template <typename T>
void caffe_gpu_set(int N, T alpha, T* X) {
  parallel_for(Device::kGPU, N, Fill<T>{alpha, X});
}

template <typename T>
void caffe_add_scalar(int N, T alpha, T* X) {
  parallel_for(Device::kCPU, N, AddScalar<T>{alpha, X});
}

template <typename T>
void caffe_gpu_add_scalar(int N, T alpha, T* X) {
  parallel_for(Device::kGPU, N, AddScalar<T>{alpha, X});
}

template <typename T>
void caffe_powx(int n, const T* a, T b, T* y) {
  parallel_for(Device::kCPU, n, Power<T>{a, b, y});
}

template <typename T>
void caffe_gpu_powx(int n, const T* a, T b, T* y) {
  parallel_for(Device::kGPU, n, Power<T>{a, b, y});
}

template <typename T>
void caffe_cpu_axpby(int N, T alpha, const T* X, T beta, T* Y) {
  parallel_for(Device::kCPU, N, Axpby<T>{alpha, X, beta, Y});
}

template <typename T>
void caffe_axpy(int N, T alpha, const T* X, T* Y) {
  caffe_cpu_axpby(N, alpha, X, T(1), Y);
}

template <typename T>
void caffe_cpu_scale(int n, T alpha, const T* x, T* y) {
  if (alpha == T(0)) {
    caffe_set(n, T(0), y);  // as in the BLAS: values scaled by 0 are not read
  } else {
    parallel_for(Device::kCPU, n, Scale<T>{alpha, x, y});
  }
}

template <typename T>
void caffe_gpu_axpby(int N, T alpha, const T* X, T beta, T* Y) {
  parallel_for(Device::kGPU, N, Axpby<T>{alpha, X, beta, Y});
}

template <typename T>
void caffe_gpu_scale(int n, T alpha, const T* x, T* y) {
  if (alpha == T(0)) {
    caffe_gpu_set(n, T(0), y);
  } else {
    parallel_for(Device::kGPU, n, Scale<T>{alpha, x, y});
  }
}

template <typename T>
void caffe_scal(int N, T alpha, T* X) {
  caffe_cpu_scale(N, alpha, X, X);
}

template <typename T>
void caffe_gpu_scal(int N, T alpha, T* X) {
  caffe_gpu_scale(N, alpha, X, X);
}

template <typename T>
void caffe_gpu_axpy(int N, T alpha, const T* X, T* Y) {
  caffe_gpu_axpby(N, alpha, X, T(1), Y);
}

void caffe_gpu_memcpy(size_t bytes, const void* X, void* Y) {
  if (X != Y) device::copy(Y, X, bytes);
}

template <typename T>
void caffe_copy(int N, const T* X, T* Y) {
  if (N <= 0 || X == Y) return;
  const size_t bytes = sizeof(T) * static_cast<size_t>(N);
  if (Caffe::mode() == Caffe::GPU) {
    device::copy(Y, X, bytes);
  } else {
    std::memcpy(Y, X, bytes);
  }
}

#define INSTANTIATE(T)                                       \
  template void caffe_add_scalar<T>(int, T, T*);             \
  template void caffe_gpu_add_scalar<T>(int, T, T*);         \
  template void caffe_powx<T>(int, const T*, T, T*);         \
  template void caffe_gpu_powx<T>(int, const T*, T, T*);     \
  template void caffe_cpu_axpby<T>(int, T, const T*, T, T*); \
  template void caffe_axpy<T>(int, T, const T*, T*);         \
  template void caffe_cpu_scale<T>(int, T, const T*, T*);    \
  template void caffe_gpu_axpby<T>(int, T, const T*, T, T*); \
  template void caffe_gpu_scale<T>(int, T, const T*, T*);    \
  template void caffe_gpu_axpy<T>(int, T, const T*, T*);     \
  template void caffe_gpu_scal<T>(int, T, T*);               \
  template void caffe_scal<T>(int, T, T*)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

#define INSTANTIATE(T)                        \
  template void caffe_set<T>(int, T, T*);     \
  template void caffe_gpu_set<T>(int, T, T*); \
  template void caffe_copy<T>(int, const T*, T*)
INSTANTIATE(float);
INSTANTIATE(double);
INSTANTIATE(int);
INSTANTIATE(unsigned int);
#undef INSTANTIATE

}  // namespace caffe
