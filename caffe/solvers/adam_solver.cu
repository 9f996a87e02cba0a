#include <cmath>

#include "caffe/sgd_solvers.hpp"
#include "caffe/solvers/update.hpp"

namespace caffe {

namespace {

template <typename T>
struct AdamRule {
  T rate, correction, beta1, beta2, delta;
  T* m;
  T* v;
  CAFFE_HD AdamRule for_param(T lr_mult) const {
    AdamRule rule = *this;
    rule.rate = rate * lr_mult * correction;
    return rule;
  }
  CAFFE_HD T operator()(int i, T g) const {
    m[i] = beta1 * m[i] + (T(1) - beta1) * g;
    v[i] = beta2 * v[i] + (T(1) - beta2) * (g * g);
    return rate * (m[i] / (std::sqrt(v[i]) + delta));
  }
};

template <typename T>
CAFFE_HD AdamRule<T> with_rate(AdamRule<T> rule, const RateNow<T>& now) {
  rule.rate = now.rate;
  rule.correction = now.correction;
  return rule;
}

/// Of the bias towards 0 of both histories at iteration t, from 1 on.
template <typename T>
T bias_correction(T beta1, T beta2, double t) {
  return static_cast<T>(std::sqrt(1 - std::pow(double(beta2), t)) /
                        (1 - std::pow(double(beta1), t)));
}

}  // namespace

template <typename Dtype>
Dtype AdamSolver<Dtype>::RateCorrection() const {
  return bias_correction<Dtype>(this->param_.momentum(), this->param_.momentum2(), this->iter_ + 1);
}

template <typename Dtype>
void AdamSolver<Dtype>::AdamPreSolve() {
  this->AddHistory();
}

template <typename Dtype>
void AdamSolver<Dtype>::ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps) {
  const Dtype beta1 = this->param_.momentum();
  const Dtype beta2 = this->param_.momentum2();
  const Dtype delta = this->param_.delta();
  const AdamRule<Dtype> rule{rate,
                             RateCorrection(),
                             beta1,
                             beta2,
                             delta,
                             this->history_[param_id]->mutable_active_data(),
                             this->second_history(param_id)->mutable_active_data()};
  solvers::apply_rule(rule.for_param(this->net_->params_lr()[param_id]), steps,
                      this->net_->learnable_params()[param_id]);
}

template <typename Dtype>
void AdamSolver<Dtype>::ApplyRuleToArena(Dtype rate, const ArenaUpdate<Dtype>& update) {
  const Dtype beta1 = this->param_.momentum();
  const Dtype beta2 = this->param_.momentum2();
  const Dtype delta = this->param_.delta();
  solvers::apply_rule_to_arena(AdamRule<Dtype>{rate, RateCorrection(), beta1, beta2, delta,
                                               update.arena.history, update.arena.second_history},
                               update);
}

INSTANTIATE_CLASS(AdamSolver);
REGISTER_SOLVER_CLASS(Adam);

}  // namespace caffe
