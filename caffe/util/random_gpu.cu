#include <cmath>

#include "caffe/common.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/philox.hpp"

namespace caffe {

namespace {

/// A key from the thread's generator.
Philox new_key() {
  const uint32_t first = caffe_rng_rand();
  return Philox{{first, caffe_rng_rand()}};
}

struct Bits {
  Philox random;
  unsigned int* r;
  CAFFE_HD void operator()(int i) const { r[i] = random.at(i).word[0]; }
};

template <typename T>
struct Uniform {
  Philox random;
  T a, b;
  T* r;
  CAFFE_HD void operator()(int i) const {
    const T u = unit_from(random.at(i), 0, T());
    const T value = (T(1) - u) * a + u * b;  // b - a might overflow
    r[i] = value < b || a == b ? value : a;  // rounded up to b: once in 2^24
  }
};

/// Box and Muller's method.
template <typename T>
struct Gaussian {
  Philox random;
  T mu, sigma;
  T* r;
  CAFFE_HD void operator()(int i) const {
    const Philox::Block block = random.at(i);
    const T u = T(1) - unit_from(block, 0, T());  // in (0, 1]
    const T angle = T(6.283185307179586) * unit_from(block, 1, T());
    r[i] = mu + sigma * std::sqrt(T(-2) * std::log(u)) * std::cos(angle);
  }
};

template <typename Int>
struct Bernoulli {
  Philox random;
  double p;
  Int* r;
  CAFFE_HD void operator()(int i) const {
    r[i] = unit_from(random.at(i), 0, double()) < p ? Int(1) : Int(0);
  }
};

template <typename T, typename Int>
void bernoulli(int n, T p, Int* r) {
  CAFFE_CHECK(p >= T(0) && p <= T(1), "a probability is in [0, 1], not " << p);
  parallel_for(Device::kGPU, n, Bernoulli<Int>{new_key(), static_cast<double>(p), r});
}

}  // namespace

void caffe_gpu_rng_uniform(int n, unsigned int* r) {
  parallel_for(Device::kGPU, n, Bits{new_key(), r});
}

template <typename T>
void caffe_gpu_rng_uniform(int n, T a, T b, T* r) {
  CAFFE_CHECK(a <= b, "uniform random numbers from " << a << " to " << b
                                                     << ": the lower bound is the larger one");
  parallel_for(Device::kGPU, n, Uniform<T>{new_key(), a, b, r});
}

template <typename T>
void caffe_gpu_rng_gaussian(int n, T mu, T sigma, T* r) {
  CAFFE_CHECK(sigma >= T(0), "gaussian random numbers: the deviation " << sigma << " is negative");
  parallel_for(Device::kGPU, n, Gaussian<T>{new_key(), mu, sigma, r});
}

template <typename T>
void caffe_gpu_rng_bernoulli(int n, T p, int* r) {
  bernoulli(n, p, r);
}

template <typename T>
void caffe_gpu_rng_bernoulli(int n, T p, unsigned int* r) {
  bernoulli(n, p, r);
}

#define INSTANTIATE(T)                                    \
  template void caffe_gpu_rng_uniform<T>(int, T, T, T*);  \
  template void caffe_gpu_rng_gaussian<T>(int, T, T, T*); \
  template void caffe_gpu_rng_bernoulli<T>(int, T, int*); \
  template void caffe_gpu_rng_bernoulli<T>(int, T, unsigned int*)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
