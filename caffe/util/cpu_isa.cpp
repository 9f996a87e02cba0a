#include "caffe/util/cpu_isa.hpp"

#include <cstdlib>
#include <string>

#include "caffe/common.hpp"

#ifdef USE_ONEDNN
#include <dnnl.h>
#endif

namespace caffe {

namespace {

void hide_avx512_from_onednn() {
#ifdef USE_ONEDNN
  if (dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2) != dnnl_success) {
    LOG(WARNING) << "CAFFE_CPU_ISA=AVX2: oneDNN has chosen its instructions already; set "
                 << "ONEDNN_MAX_CPU_ISA=AVX2, too";
  }
#endif
}

bool read_environment() {
  const char* const text = std::getenv("CAFFE_CPU_ISA");
  if (text == nullptr || *text == '\0') return processor_has(Isa::kAvx512);
  CAFFE_CHECK(std::string(text) == "AVX2",
              "CAFFE_CPU_ISA is '" << text << "': AVX2 hides AVX-512; leave it out to use all that "
                                   << "the processor has");
  if (processor_has(Isa::kAvx512)) hide_avx512_from_onednn();
  return false;
}

}  // namespace

bool avx512_allowed() {
  static const bool allowed = read_environment();
  return allowed;
}

bool processor_has(Isa isa) {
#if defined(__x86_64__) && defined(__GNUC__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::kAvx512) return avx2 && __builtin_cpu_supports("avx512f");
  if (isa == Isa::kAvx2) return avx2;
#endif
  return isa == Isa::kPlain;
}

Isa best_isa() {
  if (avx512_allowed()) return Isa::kAvx512;
  return processor_has(Isa::kAvx2) ? Isa::kAvx2 : Isa::kPlain;
}

}  // namespace caffe
