#ifndef CAFFE_UTIL_MATH_MODE_HPP_
#define CAFFE_UTIL_MATH_MODE_HPP_

// What activations are stored in and matrices multiplied in (docs/math-modes.md).
//
//   kFloat  float
//   kTf32   float; a GPU's products round their operands to 10 bits behind the point
//   kFp16   half: 5 bits of exponent, 10 behind the point
//   kBf16   bfloat16: 8 bits of exponent, as a float has, 7 behind the point
//
// Weights, their gradients, updates, statistics, losses and what users read are float in all modes,
// and so are the sums of products.
//
// A net has the mode that its thread had when it was made, and sets it for its passes. So a layer
// asks for math_mode() in LayerSetUp or later; called by hand, without its net, it may find the
// thread's instead: one that stores something for its backward pass keeps the answer of its set-up.
// A solver makes its nets in the mode of its field math_mode; without the field in the thread's.

#include <string>

namespace caffe {

enum class MathMode { kFloat, kTf32, kFp16, kBf16 };

/// "FLOAT", "TF32", "FP16" or "BF16".
const char* math_mode_name(MathMode mode);
/// The mode of that name, in capitals or small letters; throws an Error that lists the names.
MathMode math_mode_of(const std::string& name);

/// The calling thread's mode; a new thread has kFloat.
MathMode math_mode();
/// For nets that this thread makes from now on.
void set_math_mode(MathMode mode);

/// The thread's mode while this object exists.
class MathModeScope {
 public:
  explicit MathModeScope(MathMode mode) : before_(math_mode()) { set_math_mode(mode); }
  ~MathModeScope() { set_math_mode(before_); }
  MathModeScope(const MathModeScope&) = delete;
  MathModeScope& operator=(const MathModeScope&) = delete;

 private:
  MathMode before_;
};

/// Why nets cannot compute in a mode on the device that this thread has chosen (Caffe::mode()), and
/// what to do; "" if they can.
std::string why_no_math_mode(MathMode mode);
/// For a net that is being made: throws if it cannot compute in the thread's mode. `is_float`: its
/// values are float, not double.
void check_math_mode(bool is_float);

}  // namespace caffe

#endif  // CAFFE_UTIL_MATH_MODE_HPP_
