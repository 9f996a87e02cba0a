#ifndef CAFFE_UTIL_DIVISOR_HPP_
#define CAFFE_UTIL_DIVISOR_HPP_

// For .cu files only (kernels/parallel.hpp).

#include <cstdint>

#include "kernels/parallel.hpp"

namespace caffe {

/// A number from 1 on by which functors divide indices. As an int, known only when the functor
/// runs, it would cost each thread of a GPU some twenty instructions; this is a multiplication and
/// a shift (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994).
///
/// In a functor it is a member where an int would be: i / d and i % d are exact for every index i
/// from 0 on, and d in other places is the number.
class Divisor {
 public:
  Divisor(int value) : value_(value > 0 ? value : 1) {  // 0 where there is nothing to divide
    int bits = 0;
    while ((int64_t(1) << bits) < value_) ++bits;
    shift_ = 31 + bits;
    factor_ = static_cast<uint32_t>(((uint64_t(1) << shift_) + value_ - 1) / value_);
  }
  MAAP_HD operator int() const { return value_; }
  friend MAAP_HD int operator/(int i, const Divisor& by) {
    return static_cast<int>((static_cast<uint64_t>(i) * by.factor_) >> by.shift_);
  }
  friend MAAP_HD int operator%(int i, const Divisor& by) { return i - i / by * by.value_; }

 private:
  int value_, shift_;
  uint32_t factor_;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_DIVISOR_HPP_
