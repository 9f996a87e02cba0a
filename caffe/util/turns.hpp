#ifndef CAFFE_UTIL_TURNS_HPP_
#define CAFFE_UTIL_TURNS_HPP_

#include "caffe/util/parallel.hpp"

namespace caffe {

/// The cosine of an angle in whole turns, for turns in [0, 1]. std::cos must take any angle: a GPU
/// reduces large ones in double and with an array in memory, which no random number needs.
template <typename T>
CAFFE_HD T cos_of_turns(T turns) {
  constexpr int kTerms = sizeof(T) == 4 ? 5 : 9;  // of Taylor's series, within an eighth of a turn
  const T quarters = T(4) * turns;
  const int nearest = static_cast<int>(quarters + T(0.5));
  const T x = (quarters - T(nearest)) * T(1.5707963267948966), square = x * x;
  // nearest is even: the cosine of x; odd: its sine. Both with a sign.
  const int odd = nearest & 1;
  T sum = T(1);
#pragma unroll
  for (int k = 2 * kTerms; k > 0; k -= 2) {
    const T of_cosine = T(1) / T(k * (k - 1)), of_sine = T(1) / T(k * (k + 1));
    sum = T(1) - square * (odd ? of_sine : of_cosine) * sum;
  }
  const T value = odd ? x * sum : sum;
  return ((nearest + 1) & 2) != 0 ? -value : value;
}

}  // namespace caffe

#endif  // CAFFE_UTIL_TURNS_HPP_
