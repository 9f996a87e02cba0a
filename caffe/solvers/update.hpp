#ifndef CAFFE_SOLVERS_UPDATE_HPP_
#define CAFFE_SOLVERS_UPDATE_HPP_

// Runs a solver's rule over a parameter. For .cu files only (kernels/parallel.hpp).
//
// A rule is a functor with CAFFE_HD T operator()(int i, T g) const: it takes the gradient of
// element i, changes the history of element i, and returns the value to subtract from the weight.

#include <algorithm>

#include "caffe/blob.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {
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

template <typename F>
void for_each(int n, const F& f) {
  const int pieces = static_cast<int>((int64_t(n) + Piece<F>::kSize - 1) / Piece<F>::kSize);
  parallel_for(current_device(), pieces, Piece<F>::kSize, Piece<F>{f, n}, n, f);
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
      return for_each(n, OnePass<T, Rule, G::kL1>{*steps, rule, w, g});
    case G::kL2:
      return for_each(n, OnePass<T, Rule, G::kL2>{*steps, rule, w, g});
    case G::kNone:
      return for_each(n, OnePass<T, Rule, G::kNone>{*steps, rule, w, g});
  }
  CAFFE_FAIL("weight decay number " << steps->kind << " is unknown");
}

}  // namespace solvers
}  // namespace caffe

#endif  // CAFFE_SOLVERS_UPDATE_HPP_
