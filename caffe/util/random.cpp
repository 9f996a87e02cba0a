#include <cmath>
#include <limits>

#include "caffe/util/error.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

namespace {

/// In [0, 1), with as many random bits as the type has.
float unit(rng_t* generator, float) {
  return static_cast<float>((*generator)() >> 8) * (1.0f / 16777216.0f);
}

double unit(rng_t* generator, double) {
  const uint64_t high = (*generator)() >> 5, low = (*generator)() >> 6;  // 27 + 26 bits
  return static_cast<double>((high << 26) | low) * (1.0 / 9007199254740992.0);
}

template <typename Dtype, typename Int>
void bernoulli(int n, Dtype p, Int* r) {
  CAFFE_CHECK(p >= Dtype(0) && p <= Dtype(1), "a probability must be in [0, 1], not " << p);
  rng_t* generator = caffe_rng();
  // In double, so that p is exact for both types, and float and double draw the same values.
  for (int i = 0; i < n; ++i) r[i] = unit(generator, double()) < p ? 1 : 0;
}

}  // namespace

unsigned int caffe_rng_rand() {
  return static_cast<unsigned int>((*caffe_rng())());
}

template <typename Dtype>
Dtype caffe_nextafter(Dtype b) {
  return std::nextafter(b, std::numeric_limits<Dtype>::max());
}

template <typename Dtype>
void caffe_rng_uniform(int n, Dtype a, Dtype b, Dtype* r) {
  CAFFE_CHECK(a <= b, "uniform random numbers from " << a << " to " << b
                                                     << ": the lower bound is the larger one");
  rng_t* generator = caffe_rng();
  for (int i = 0; i < n; ++i) {
    const Dtype u = unit(generator, Dtype());
    const Dtype value = (Dtype(1) - u) * a + u * b;  // b - a might overflow
    r[i] = value < b || a == b ? value : std::nextafter(b, a);
  }
}

/// Draws two numbers from a point in the unit disc (Marsaglia's polar method).
template <typename Dtype>
void caffe_rng_gaussian(int n, Dtype mu, Dtype sigma, Dtype* r) {
  CAFFE_CHECK(sigma >= Dtype(0),
              "gaussian random numbers: the deviation " << sigma << " is negative");
  rng_t* generator = caffe_rng();
  for (int i = 0; i < n; i += 2) {
    double x, y, square;
    do {
      x = 2 * unit(generator, double()) - 1;
      y = 2 * unit(generator, double()) - 1;
      square = x * x + y * y;
    } while (square >= 1 || square == 0);
    const double factor = std::sqrt(-2 * std::log(square) / square);
    r[i] = static_cast<Dtype>(mu + sigma * x * factor);
    if (i + 1 < n) r[i + 1] = static_cast<Dtype>(mu + sigma * y * factor);
  }
}

template <typename Dtype>
void caffe_rng_bernoulli(int n, Dtype p, int* r) {
  bernoulli(n, p, r);
}

template <typename Dtype>
void caffe_rng_bernoulli(int n, Dtype p, unsigned int* r) {
  bernoulli(n, p, r);
}

#define INSTANTIATE(T)                                \
  template T caffe_nextafter<T>(T);                   \
  template void caffe_rng_uniform<T>(int, T, T, T*);  \
  template void caffe_rng_gaussian<T>(int, T, T, T*); \
  template void caffe_rng_bernoulli<T>(int, T, int*); \
  template void caffe_rng_bernoulli<T>(int, T, unsigned int*)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
