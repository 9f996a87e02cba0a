#include <cmath>

#include "caffe/common.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/random_bits.hpp"
#include "caffe/util/turns.hpp"

namespace caffe {

namespace {

constexpr double kTwoTo53 = 9007199254740992.0;

/// Two sequences that the thread's generator seeds: 64 random bits per index.
struct Random {
  RandomBits high, low;

  static Random drawn() {
    const uint32_t seed = caffe_rng_rand();
    return Random{RandomBits(seed), RandomBits(caffe_rng_rand())};
  }
  /// In [0, 1), with as many random bits as the type has.
  CAFFE_HD float unit_at(int i, float) const {
    return static_cast<float>(high.at(i) >> 8) * (1.0f / 16777216.0f);
  }
  CAFFE_HD double unit_at(int i, double) const {
    return static_cast<double>(bits_at(i)) * (1.0 / kTwoTo53);
  }
  /// 53 random bits.
  CAFFE_HD uint64_t bits_at(int i) const {
    const uint64_t first = high.at(i) >> 5, second = low.at(i) >> 6;  // 27 + 26 bits
    return (first << 26) | second;
  }
};

struct Bits {
  RandomBits random;
  unsigned int* r;
  CAFFE_HD void operator()(int i) const { r[i] = random.at(i); }
};

template <typename T>
struct Uniform {
  Random random;
  T a, b;
  T* r;
  CAFFE_HD void operator()(int i) const {
    const T u = random.unit_at(i, T());
    const T value = (T(1) - u) * a + u * b;  // b - a might overflow
    r[i] = value < b || a == b ? value : a;  // rounding to b happens once in 2^24
  }
};

/// Box and Muller's method.
template <typename T>
struct Gaussian {
  Random first, second;
  T mu, sigma;
  T* r;
  CAFFE_HD void operator()(int i) const {
    const T u = T(1) - first.unit_at(i, T());  // in (0, 1]
    const T direction = cos_of_turns(second.unit_at(i, T()));
    r[i] = mu + sigma * std::sqrt(T(-2) * std::log(u)) * direction;
  }
};

/// 1 with probability p: where 53 random bits are below p 2^53.
template <typename Int>
struct Bernoulli {
  Random random;
  uint64_t below;
  Int* r;
  CAFFE_HD void operator()(int i) const { r[i] = random.bits_at(i) < below ? Int(1) : Int(0); }
};

template <typename T, typename Int>
void draw_bernoulli(int n, T p, Int* r) {
  CAFFE_CHECK(p >= T(0) && p <= T(1), "a probability must be in [0, 1], not " << p);
  const auto below = static_cast<uint64_t>(std::ceil(static_cast<double>(p) * kTwoTo53));
  parallel_for(Device::kGPU, n, Bernoulli<Int>{Random::drawn(), below, r});
}

}  // namespace

void caffe_gpu_rng_uniform(int n, unsigned int* r) {
  parallel_for(Device::kGPU, n, Bits{RandomBits(caffe_rng_rand()), r});
}

template <typename T>
void caffe_gpu_rng_uniform(int n, T a, T b, T* r) {
  CAFFE_CHECK(a <= b, "uniform random numbers from " << a << " to " << b
                                                     << ": the lower bound is the larger one");
  parallel_for(Device::kGPU, n, Uniform<T>{Random::drawn(), a, b, r});
}

template <typename T>
void caffe_gpu_rng_gaussian(int n, T mu, T sigma, T* r) {
  CAFFE_CHECK(sigma >= T(0), "gaussian random numbers: the deviation " << sigma << " is negative");
  const Random first = Random::drawn();
  parallel_for(Device::kGPU, n, Gaussian<T>{first, Random::drawn(), mu, sigma, r});
}

template <typename T>
void caffe_gpu_rng_bernoulli(int n, T p, int* r) {
  draw_bernoulli(n, p, r);
}

template <typename T>
void caffe_gpu_rng_bernoulli(int n, T p, unsigned int* r) {
  draw_bernoulli(n, p, r);
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
