#ifndef CAFFE_UTIL_PAIRED_SUM_HPP_
#define CAFFE_UTIL_PAIRED_SUM_HPP_

#include <cmath>

#include "caffe/util/parallel.hpp"

namespace caffe {

/// A term of a sum: a b.
template <typename T>
struct Product {
  T a, b;
};

/// The sum of terms in double.
struct DoubleSum {
  using Working = double;  // the terms' type
  double value;
  CAFFE_HD void add(double term) { value += term; }
  CAFFE_HD void add(const Product<double>& term) { value += term.a * term.b; }
  CAFFE_HD DoubleSum operator+(const DoubleSum& other) const { return {value + other.value}; }
  CAFFE_HD double total() const { return value; }
};

/// The sum of terms in T as two numbers, so that it is nearly as exact as one in double is for
/// floats: `low` has what rounding took from `high`. For GPUs, most of which compute in double at
/// 1/32 or 1/64 of the rate of float. Sums and products beyond T's range are infinite.
///
/// After Ogita, Rump and Oishi, "Accurate sum and dot product", algorithms 3.1 (TwoSum), 3.5
/// (TwoProduct, with a fused multiply-add) and 5.3 (Dot2).
template <typename T>
struct PairedSum {
  using Working = T;
  T high, low;
  CAFFE_HD void add(T term) {
    const T sum = high + term, added = sum - high;
    low += (high - (sum - added)) + (term - added);
    high = sum;
  }
  CAFFE_HD void add(const Product<T>& term) {
    const T product = term.a * term.b;
    low += std::fma(term.a, term.b, -product);
    add(product);
  }
  CAFFE_HD PairedSum operator+(const PairedSum& other) const {
    PairedSum sum = *this;
    sum.add(other.high);
    sum.low += other.low;
    return sum;
  }
  /// Where `high` is infinite, `low` is not a number.
  CAFFE_HD double total() const {
    return low - low == T(0) ? double(high) + double(low) : double(high);
  }
};

namespace internal {

template <typename T>
struct GpuSumOf {
  using Type = DoubleSum;
};
template <>
struct GpuSumOf<float> {
  using Type = PairedSum<float>;
};

}  // namespace internal

/// How values of type T are added up on a GPU.
template <typename T>
using GpuSum = typename internal::GpuSumOf<T>::Type;

}  // namespace caffe

#endif  // CAFFE_UTIL_PAIRED_SUM_HPP_
