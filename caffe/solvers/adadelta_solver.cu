#include <cmath>

#include "caffe/sgd_solvers.hpp"
#include "caffe/solvers/update.hpp"

namespace caffe {

namespace {

template <typename T>
struct AdaDeltaRule {
  T rate, momentum, delta;
  T* h;  // mean square of the gradients
  T* s;  // mean square of the steps
  CAFFE_HD AdaDeltaRule for_param(T lr_mult) const {
    AdaDeltaRule rule = *this;
    rule.rate = rate * lr_mult;
    return rule;
  }
  CAFFE_HD T operator()(int i, T g) const {
    h[i] = momentum * h[i] + (T(1) - momentum) * (g * g);
    const T v = g * std::sqrt((s[i] + delta) / (h[i] + delta));
    s[i] = momentum * s[i] + (T(1) - momentum) * (v * v);
    return rate * v;
  }
};

}  // namespace

template <typename Dtype>
void AdaDeltaSolver<Dtype>::AdaDeltaPreSolve() {
  this->AddHistory();
}

template <typename Dtype>
void AdaDeltaSolver<Dtype>::ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps) {
  const Dtype momentum = this->param_.momentum();
  const Dtype delta = this->param_.delta();
  const AdaDeltaRule<Dtype> rule{rate, momentum, delta,
                                 this->history_[param_id]->mutable_active_data(),
                                 this->second_history(param_id)->mutable_active_data()};
  solvers::apply_rule(rule.for_param(this->net_->params_lr()[param_id]), steps,
                      this->net_->learnable_params()[param_id]);
}

template <typename Dtype>
void AdaDeltaSolver<Dtype>::ApplyRuleToArena(Dtype rate, const ArenaUpdate<Dtype>& update) {
  const Dtype momentum = this->param_.momentum();
  const Dtype delta = this->param_.delta();
  solvers::apply_rule_to_arena(
      AdaDeltaRule<Dtype>{rate, momentum, delta, update.arena.history, update.arena.second_history},
      update);
}

INSTANTIATE_CLASS(AdaDeltaSolver);
REGISTER_SOLVER_CLASS(AdaDelta);

}  // namespace caffe
