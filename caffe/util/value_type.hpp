#ifndef CAFFE_UTIL_VALUE_TYPE_HPP_
#define CAFFE_UTIL_VALUE_TYPE_HPP_

// What values are stored in. A blob's plain values have its Dtype; copies on a GPU with the
// channels last (caffe/util/value_order.hpp) may have 16 bits each (kernels/half.hpp).

#include <cstddef>
#include <type_traits>

#include "caffe/util/math_mode.hpp"

namespace maap {
struct Float16;
struct Bfloat16;
}  // namespace maap

namespace caffe {

using maap::Bfloat16;
using maap::Float16;

enum class ValueType { kFloat, kDouble, kFloat16, kBfloat16 };

inline bool is_half(ValueType type) {
  return type == ValueType::kFloat16 || type == ValueType::kBfloat16;
}

/// Bytes of a value.
inline size_t size_of(ValueType type) {
  return type == ValueType::kDouble ? 8 : is_half(type) ? 2 : 4;
}

/// "float", "double", "half" or "bfloat16"
inline const char* name_of(ValueType type) {
  constexpr const char* kNames[] = {"float", "double", "half", "bfloat16"};
  return kNames[static_cast<int>(type)];
}

/// Indices (int) are moved as floats are.
template <typename T>
constexpr ValueType type_of() {
  if (std::is_same<T, Float16>::value) return ValueType::kFloat16;
  if (std::is_same<T, Bfloat16>::value) return ValueType::kBfloat16;
  return std::is_same<T, double>::value ? ValueType::kDouble : ValueType::kFloat;
}

/// The type that a GPU multiplies matrices of Dtype in, in the thread's math mode.
template <typename Dtype>
ValueType multiplied_type() {
  if (!std::is_same<Dtype, float>::value) return type_of<Dtype>();
  switch (math_mode()) {
    case MathMode::kFp16:
      return ValueType::kFloat16;
    case MathMode::kBf16:
      return ValueType::kBfloat16;
    case MathMode::kFloat:
    case MathMode::kTf32:
      break;
  }
  return ValueType::kFloat;
}

}  // namespace caffe

#endif  // CAFFE_UTIL_VALUE_TYPE_HPP_
