#ifndef CAFFE_SOLVERS_UPDATE_HPP_
#define CAFFE_SOLVERS_UPDATE_HPP_

// Runs a solver's rule over a parameter, or over all parameters of an arena. For .cu files only
// (kernels/parallel.hpp).
//
// A rule is a functor with CAFFE_HD T operator()(int i, T g) const: it takes the gradient of
// element i, changes the history of element i, and returns the value to subtract from the weight.
// Its for_param(lr_mult) is the rule of one parameter, made from the rule of the net.

#include <algorithm>

#include "caffe/blob.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/solvers/param_arena.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

/// What of an update is another in each iteration.
template <typename T>
struct RateNow {
  T rate, correction;
};

/// An update of all parameters of an arena; pointers to the GPU.
template <typename T>
struct ArenaUpdate {
  ArenaView<T> arena;
  const RateNow<T>* rate_now;  // null: the rule has it
  T normalize, weight_decay;
  bool l1;
  const T* clip;    // null: nothing is clipped
  const int* stop;  // null: nothing stops
};

namespace solvers {

/// Calls f(i) for i in [0, n), vectorised on the CPU; the elements must be independent of each
/// other.
template <typename F>
struct Piece {
  static constexpr int kSize = 4096;
  F f;
  int n;
  CAFFE_HD void operator()(int piece) const {
    const int begin = piece * kSize;
    const int end = n - begin < kSize ? n : begin + kSize;
    MAAP_SIMD for (int i = begin; i < end; ++i) f(i);
  }
};

template <typename F, typename GpuF>
void for_each(int n, const F& f, const GpuF& gpu_f) {
  const int pieces = static_cast<int>((int64_t(n) + Piece<F>::kSize - 1) / Piece<F>::kSize);
  parallel_for(current_device(), pieces, Piece<F>::kSize, Piece<F>{f, n}, n, gpu_f);
}

template <typename F>
void for_each(int n, const F& f) {
  for_each(n, f, f);
}

template <typename T>
struct Scale {  // g *= factor
  T factor;
  T* g;
  CAFFE_HD void operator()(int i) const { g[i] *= factor; }
};

template <typename T, typename GradientSteps<T>::Decay kDecay>
CAFFE_HD inline T regularized(T g, T decay, T w) {
  if (kDecay == GradientSteps<T>::kL2) return g + decay * w;
  if (kDecay == GradientSteps<T>::kL1) return g + decay * T((w > T(0)) - (w < T(0)));
  return g;
}

template <typename T, typename GradientSteps<T>::Decay kDecay>
struct Regularize {  // g += decay R(w)
  T decay;
  const T* w;
  T* g;
  CAFFE_HD void operator()(int i) const { g[i] = regularized<T, kDecay>(g[i], decay, w[i]); }
};

template <typename T, typename Rule>
struct Value {  // g = rule(g)
  Rule rule;
  T* g;
  CAFFE_HD void operator()(int i) const { g[i] = rule(i, g[i]); }
};

template <typename T, typename Rule, typename GradientSteps<T>::Decay kDecay>
struct OnePass {  // all steps: g = rule(g clip normalize + decay R(w)); w -= g
  GradientSteps<T> steps;
  Rule rule;
  T* w;
  T* g;
  CAFFE_HD void operator()(int i) const {
    const T value = g[i] * steps.clip * steps.normalize;
    const T u = rule(i, regularized<T, kDecay>(value, steps.decay, w[i]));
    g[i] = u;
    w[i] -= u;
  }
};

/// The same on a GPU, where the factor may be known there alone, and with the order to stop.
template <typename T, typename Rule, typename GradientSteps<T>::Decay kDecay>
struct OnePassOnGpu {
  OnePass<T, Rule, kDecay> pass;
  CAFFE_HD void operator()(int i) const {
    if (pass.steps.gpu_stop != nullptr && *pass.steps.gpu_stop != 0) return;
    OnePass<T, Rule, kDecay> now = pass;
    if (now.steps.gpu_clip != nullptr) now.steps.clip = *now.steps.gpu_clip;
    now(i);
  }
};

/// The rule of the net with an iteration's rate. A rule that has a correction as well has a
/// function of its own.
template <typename Rule, typename T>
CAFFE_HD Rule with_rate(Rule rule, const RateNow<T>& now) {
  rule.rate = now.rate;
  return rule;
}

/// All steps for all parameters of an arena.
template <typename T, typename Rule>
struct ArenaPass {
  typedef GradientSteps<T> G;
  Rule rule;  // with the arena's histories
  const RateNow<T>* rate_now;
  T normalize, weight_decay;
  bool l1;
  const T* clip;
  const int* stop;
  const int* segment_of;  // [chunks]
  const ArenaSegment<T>* segments;
  T* w;
  T* g;
  CAFFE_HD void operator()(int i) const {
    if (stop != nullptr && *stop != 0) return;
    const ArenaSegment<T> segment = segments[segment_of[i / ArenaTable<T>::kChunk]];
    if (i - segment.begin >= segment.count) return;  // between two parameters
    const T decay = weight_decay * segment.decay;
    T value = g[i] * (clip != nullptr ? *clip : T(1)) * normalize;
    if (decay != T(0)) {
      value = l1 ? regularized<T, G::kL1>(value, decay, w[i])
                 : regularized<T, G::kL2>(value, decay, w[i]);
    }
    const Rule now = rate_now != nullptr ? with_rate(rule, *rate_now) : rule;
    const T u = now.for_param(segment.lr)(i, value);
    g[i] = u;
    w[i] -= u;
  }
};

/// SGDSolver::ApplyRuleToArena for a rule.
template <typename T, typename Rule>
void apply_rule_to_arena(const Rule& rule, const ArenaUpdate<T>& update) {
  const ArenaTable<T>& table = *update.arena.table;
  parallel_for(Device::kGPU, int64_t(table.chunks()) * ArenaTable<T>::kChunk,
               ArenaPass<T, Rule>{rule, update.rate_now, update.normalize, update.weight_decay,
                                  update.l1, update.clip, update.stop, table.gpu_segment_of(),
                                  table.gpu_segments(), update.arena.data, update.arena.diff});
}

template <typename T, typename Rule, typename GradientSteps<T>::Decay kDecay>
void one_pass(int n, const OnePass<T, Rule, kDecay>& pass) {
  for_each(n, pass, OnePassOnGpu<T, Rule, kDecay>{pass});
}

/// SGDSolver::ApplyRule for a rule.
template <typename T, typename Rule>
void apply_rule(const Rule& rule, const GradientSteps<T>* steps, Blob<T>* param) {
  typedef GradientSteps<T> G;
  const int n = param->count();
  T* const g = param->mutable_active_diff();
  if (steps == nullptr) return for_each(n, Value<T, Rule>{rule, g});
  T* const w = param->mutable_active_data();
  switch (steps->kind) {
    case G::kL1:
      return one_pass(n, OnePass<T, Rule, G::kL1>{*steps, rule, w, g});
    case G::kL2:
      return one_pass(n, OnePass<T, Rule, G::kL2>{*steps, rule, w, g});
    case G::kNone:
      return one_pass(n, OnePass<T, Rule, G::kNone>{*steps, rule, w, g});
  }
  CAFFE_FAIL("weight decay number " << steps->kind << " is unknown");
}

}  // namespace solvers
}  // namespace caffe

#endif  // CAFFE_SOLVERS_UPDATE_HPP_
