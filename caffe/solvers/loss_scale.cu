#include "caffe/solvers/loss_scale.hpp"

#include <algorithm>

#include "caffe/util/parallel.hpp"
#include "kernels/tiles.hpp"

namespace caffe {

namespace {

enum Event { kNothing, kHalved, kDoubled };

/// For the log.
template <typename T>
struct Report {
  int event;
  int skipped;
  T scale;
};

/// Whether a chunk of gradients has one that is not finite.
template <typename T>
struct FindInChunk {
  static constexpr int kChunk = ArenaTable<T>::kChunk;
  int count;
  const T* g;  // [count]
  int* flags;  // [chunks]
  template <typename Team>
  CAFFE_HD void operator()(int chunk, const Team& team) const {
    int found = 0;
    for (int k = team.rank(); k < kChunk; k += Team::size()) {
      const int i = chunk * kChunk + k;
      if (i < count && !(g[i] - g[i] == T(0))) found = 1;
    }
    found = team.max(found);
    if (team.rank() == 0) flags[chunk] = found;
  }
};

template <typename T>
struct Decide {
  int chunks;
  const int* flags;  // [chunks]
  int* stop;
  LossScaleState<T>* state;
  Report<T>* report;
  template <typename Team>
  CAFFE_HD void operator()(int, const Team& team) const {
    int found = 0;
    for (int k = team.rank(); k < chunks; k += Team::size()) {
      if (flags[k] != 0) found = 1;
    }
    found = team.max(found);
    if (team.rank() == 0) conclude(found != 0);
  }
  CAFFE_HD void conclude(bool found) const {
    LossScaleState<T> now = *state;
    now.inverse = T(1) / now.scale;
    int event = kNothing;
    if (*stop != 0) {  // no update: something else is wrong
    } else if (found) {
      *stop = 1;
      now.scale = now.scale / T(2);
      now.good = 0;
      ++now.skipped;
      event = kHalved;
    } else if (++now.good == LossScale<T>::kGoodIterations) {
      now.good = 0;
      if (now.scale < T(LossScale<T>::kMost)) {
        now.scale = now.scale * T(2);
        event = kDoubled;
      }
    }
    *state = now;
    report->event = event;
    report->skipped = now.skipped;
    report->scale = now.scale;
  }
};

template <typename T>
void tell(const Report<T>& report, int iter) {
  if (report.event == kDoubled) {
    LOG_IF(INFO, Caffe::root_solver())
        << "Iteration " << iter << ", loss scale = " << static_cast<int64_t>(report.scale) << " ("
        << LossScale<T>::kGoodIterations << " good iterations)";
  } else if (report.event == kHalved) {
    LOG_IF(INFO, Caffe::root_solver())
        << "Iteration " << iter << ", loss scale = " << report.scale
        << " (a gradient is not finite: the update is left out, " << report.skipped << " so far)";
    CAFFE_CHECK(report.scale >= T(1),
                "iteration " << iter << ": gradients are not finite even at a loss scale of 1. The "
                             << "weights are still those of the last good iteration. Lower "
                                "base_lr, look for bad input, or use math_mode BF16 or FLOAT");
  }
}

}  // namespace

template <typename Dtype>
LossScale<Dtype>::LossScale() : state_(sizeof(LossScaleState<Dtype>)) {
  set_state({Dtype(kStart), Dtype(1) / Dtype(kStart), 0, 0});
}

template <typename Dtype>
const Dtype* LossScale<Dtype>::factor() const {
  return &static_cast<const LossScaleState<Dtype>*>(state_.gpu_data())->scale;
}

template <typename Dtype>
int* LossScale<Dtype>::new_flags(int chunks) {
  flags_.Reshape({std::max(chunks, 1)});
  return flags_.mutable_gpu_data();
}

template <typename Dtype>
const Dtype* LossScale<Dtype>::decide(const ArenaView<Dtype>& arena, const int* iter,
                                      LateValues* late) {
  const int chunks = arena.table->chunks();  // what is between two parameters is 0
  maap::internal::gpu_tiles(chunks, FindInChunk<Dtype>{chunks * ArenaTable<Dtype>::kChunk,
                                                       arena.diff, new_flags(chunks)});
  return conclude(chunks, iter, late);
}

template <typename Dtype>
const Dtype* LossScale<Dtype>::decide(const Net<Dtype>& net, const int* iter, LateValues* late) {
  constexpr int kChunk = ArenaTable<Dtype>::kChunk;
  const auto chunks_of = [](const Blob<Dtype>& param) {
    const bool never = param.diff()->head() == SyncedMemory::UNINITIALIZED;
    return never ? 0 : param.count() / kChunk + (param.count() % kChunk > 0);
  };
  int chunks = 0;
  for (const Blob<Dtype>* param : net.learnable_params()) chunks += chunks_of(*param);
  int* flags = new_flags(chunks);
  for (const Blob<Dtype>* param : net.learnable_params()) {
    const int own = chunks_of(*param);
    if (own == 0) continue;
    maap::internal::gpu_tiles(own, FindInChunk<Dtype>{param->count(), param->gpu_diff(), flags});
    flags += own;
  }
  return conclude(chunks, iter, late);
}

template <typename Dtype>
const Dtype* LossScale<Dtype>::conclude(int chunks, const int* iter, LateValues* late) {
  auto* const state = static_cast<LossScaleState<Dtype>*>(state_.mutable_gpu_data());
  Report<Dtype>* const report =
      late->place<Report<Dtype>>(1, [iter](const Report<Dtype>* found) { tell(*found, *iter); });
  parallel_teams(Device::kGPU, 1, chunks,
                 Decide<Dtype>{chunks, flags_.gpu_data(), late->stop(), state, report});
  return &state->inverse;
}

template <typename Dtype>
LossScaleState<Dtype> LossScale<Dtype>::state() const {
  return *static_cast<const LossScaleState<Dtype>*>(state_.cpu_data());
}

template <typename Dtype>
void LossScale<Dtype>::set_state(const LossScaleState<Dtype>& state) {
  *static_cast<LossScaleState<Dtype>*>(state_.mutable_cpu_data()) = state;
}

template class LossScale<float>;
template class LossScale<double>;

}  // namespace caffe
