#include "caffe/layers/onednn/pieces.hpp"

namespace caffe {
namespace onednn {
namespace {

constexpr int64_t kRun = 4096;  // values that a thread converts at a time

/// convert(begin, count) for runs of values, by all threads.
template <typename Convert>
void by_runs(int64_t count, const Convert& convert) {
  const int64_t runs = (count + kRun - 1) / kRun;
#pragma omp parallel for if (runs > 1)
  for (int64_t i = 0; i < runs; ++i) convert(i * kRun, std::min(kRun, count - i * kRun));
}

}  // namespace

void widen_by_all(const Bf16* from, int64_t count, float* to) {
  by_runs(count, [=](int64_t begin, int64_t some) { widen(from + begin, some, to + begin); });
}

void narrow_by_all(const float* from, int64_t count, Bf16* to) {
  by_runs(count, [=](int64_t begin, int64_t some) { narrow(from + begin, some, to + begin); });
}

dnnl::memory as_floats(const dnnl::memory& memory, Slot slot) {
  const Layout layout = memory.get_desc();
  if (!is_bf16(layout)) return memory;
  const FloatResult floats(memory, slot);
  widen_by_all(bf16_values(memory), stored_count(layout), values(floats.memory()));
  return floats.memory();
}

FloatResult::FloatResult(const dnnl::memory& to, Slot slot) : to_(to), memory_(to) {
  const Layout layout = to.get_desc();
  if (is_bf16(layout)) {
    memory_ = scratch(slot, blocked_layout(dims_of(layout), stored_block(layout)));
  }
}

void FloatResult::done() const {
  const Layout layout = to_.get_desc();
  if (is_bf16(layout)) narrow_by_all(values(memory_), stored_count(layout), bf16_values(to_));
}

}  // namespace onednn
}  // namespace caffe
