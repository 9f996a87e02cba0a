#include "caffe/sgd_solvers.hpp"
#include "caffe/solvers/update.hpp"

namespace caffe {

namespace {

template <typename T>
struct SGDRule {
  T rate, momentum;
  T* h;
  CAFFE_HD SGDRule for_param(T lr_mult) const {
    SGDRule rule = *this;
    rule.rate = rate * lr_mult;
    return rule;
  }
  CAFFE_HD T operator()(int i, T g) const {
    h[i] = momentum * h[i] + rate * g;
    return h[i];
  }
};

}  // namespace

template <typename Dtype>
void SGDSolver<Dtype>::ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps) {
  const Dtype momentum = this->param_.momentum();
  const SGDRule<Dtype> rule{rate, momentum, history_[param_id]->mutable_active_data()};
  solvers::apply_rule(rule.for_param(this->net_->params_lr()[param_id]), steps,
                      this->net_->learnable_params()[param_id]);
}

template <typename Dtype>
void SGDSolver<Dtype>::ApplyRuleToArena(Dtype rate, const ArenaUpdate<Dtype>& update) {
  const Dtype momentum = this->param_.momentum();
  solvers::apply_rule_to_arena(SGDRule<Dtype>{rate, momentum, update.arena.history}, update);
}

template <typename Dtype>
void SGDSolver<Dtype>::ComputeUpdateValue(int param_id, Dtype rate) {
  ApplyRule(param_id, rate, nullptr);
}

// ---- the steps before the rule, one by one

template <typename Dtype>
void SGDSolver<Dtype>::ClipGradients() {
  const Dtype factor = clip_factor();
  if (factor == Dtype(1)) return;
  for (Blob<Dtype>* const param : this->net_->learnable_params()) {
    solvers::for_each(param->count(), solvers::Scale<Dtype>{factor, param->mutable_active_diff()});
  }
}

template <typename Dtype>
void SGDSolver<Dtype>::Normalize(int param_id) {
  const GradientSteps<Dtype> steps = gradient_steps(param_id, Dtype(1));
  if (steps.normalize == Dtype(1)) return;
  Blob<Dtype>* const param = this->net_->learnable_params()[param_id];
  solvers::for_each(param->count(),
                    solvers::Scale<Dtype>{steps.normalize, param->mutable_active_diff()});
}

template <typename Dtype>
void SGDSolver<Dtype>::Regularize(int param_id) {
  typedef GradientSteps<Dtype> G;
  const G steps = gradient_steps(param_id, Dtype(1));
  if (steps.kind == G::kNone) return;
  Blob<Dtype>* const param = this->net_->learnable_params()[param_id];
  const Dtype* const w = param->active_data();
  Dtype* const g = param->mutable_active_diff();
  if (steps.kind == G::kL1) {
    solvers::for_each(param->count(), solvers::Regularize<Dtype, G::kL1>{steps.decay, w, g});
  } else {
    solvers::for_each(param->count(), solvers::Regularize<Dtype, G::kL2>{steps.decay, w, g});
  }
}

// The other members are in sgd_solver.cpp, which instantiates the class.
#define INSTANTIATE_STEPS(Dtype)                                                      \
  template void SGDSolver<Dtype>::ApplyRule(int, Dtype, const GradientSteps<Dtype>*); \
  template void SGDSolver<Dtype>::ApplyRuleToArena(Dtype, const ArenaUpdate<Dtype>&); \
  template void SGDSolver<Dtype>::ComputeUpdateValue(int, Dtype);                     \
  template void SGDSolver<Dtype>::ClipGradients();                                    \
  template void SGDSolver<Dtype>::Normalize(int);                                     \
  template void SGDSolver<Dtype>::Regularize(int)
INSTANTIATE_STEPS(float);
INSTANTIATE_STEPS(double);
REGISTER_SOLVER_CLASS(SGD);

}  // namespace caffe
