#include "caffe/util/math_mode.hpp"

#include <algorithm>
#include <cctype>

#include "caffe/common.hpp"
#include "caffe/util/cpu_isa.hpp"
#include "caffe/util/gpu_capability.hpp"

#ifdef USE_ONEDNN
#include <dnnl.h>
#endif

namespace caffe {

namespace {

const char* const kMathModes[] = {"FLOAT", "TF32", "FP16", "BF16"};

thread_local MathMode current_mode = MathMode::kFloat;

/// Why the CPU has no products of bfloat16 numbers; "" if it has.
string why_no_bf16_on_cpu() {
#ifdef USE_ONEDNN
  if (!avx512_allowed() && processor_has(Isa::kAvx512)) {
    return "CAFFE_CPU_ISA=AVX2 hides AVX512_BF16: leave the variable out";
  }
  const int isa = dnnl_get_effective_cpu_isa();
  if ((isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16) return "";
  return "the processor has no AVX512_BF16 (nor AMX), or ONEDNN_MAX_CPU_ISA hides it: use FLOAT";
#else
  return "this build has no oneDNN, which multiplies bfloat16 numbers on the CPU: use FLOAT, or "
         "install libdnnl-dev and build again";
#endif
}

string why_not_on_cpu(MathMode mode) {
  if (mode == MathMode::kBf16) return why_no_bf16_on_cpu();
  return "a CPU computes in FLOAT or BF16: use one of them";
}

/// TF32 on a GPU without it is float.
string why_not_on_gpu(MathMode mode) {
  if (mode != MathMode::kBf16) return "";
  const int capability = device::capability();
  if (capability >= 80) return "";
  return "the GPU has compute capability " + std::to_string(capability / 10) + "." +
         std::to_string(capability % 10) + ", and products of bfloat16 numbers need 8.0 " +
         "(Ampere): use FP16";
}

}  // namespace

const char* math_mode_name(MathMode mode) {
  return kMathModes[static_cast<int>(mode)];
}

MathMode math_mode_of(const std::string& name) {
  string capitals = name;
  std::transform(name.begin(), name.end(), capitals.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
  for (int i = 0; i < 4; ++i) {
    if (capitals == kMathModes[i]) return static_cast<MathMode>(i);
  }
  CAFFE_FAIL("math mode '" << name << "': must be FLOAT, TF32, FP16 or BF16");
}

MathMode math_mode() {
  return current_mode;
}

void set_math_mode(MathMode mode) {
  current_mode = mode;
}

std::string why_no_math_mode(MathMode mode) {
  if (mode == MathMode::kFloat) return "";
  const string why = Caffe::mode() == Caffe::GPU ? why_not_on_gpu(mode) : why_not_on_cpu(mode);
  return why.empty() ? "" : string("math mode ") + math_mode_name(mode) + ": " + why;
}

void check_math_mode(bool is_float) {
  CAFFE_CHECK(is_float || math_mode() == MathMode::kFloat,
              "math mode " << math_mode_name(math_mode())
                           << ": a net of doubles computes in double: use FLOAT");
  const string why = why_no_math_mode(math_mode());
  CAFFE_CHECK(why.empty(), why);
}

}  // namespace caffe
