#include <cmath>

#include "caffe/sgd_solvers.hpp"
#include "caffe/solvers/update.hpp"

namespace caffe {

namespace {

template <typename T>
struct RMSPropRule {
  T rate, decay, delta;
  T* h;
  CAFFE_HD RMSPropRule for_param(T lr_mult) const {
    RMSPropRule rule = *this;
    rule.rate = rate * lr_mult;
    return rule;
  }
  CAFFE_HD T operator()(int i, T g) const {
    h[i] = decay * h[i] + (T(1) - decay) * (g * g);
    return rate * (g / (std::sqrt(h[i]) + delta));
  }
};

}  // namespace

template <typename Dtype>
void RMSPropSolver<Dtype>::constructor_sanity_check() {
  const float momentum = this->param_.momentum(), decay = this->param_.rms_decay();
  CAFFE_CHECK(momentum == 0,
              "solver RMSProp has no momentum: leave momentum " << momentum << " out");
  CAFFE_CHECK(decay >= 0 && decay < 1,
              "solver RMSProp: rms_decay is " << decay << "; it must be in [0, 1)");
}

template <typename Dtype>
void RMSPropSolver<Dtype>::ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps) {
  const Dtype decay = this->param_.rms_decay();
  const Dtype delta = this->param_.delta();
  const RMSPropRule<Dtype> rule{rate, decay, delta,
                                this->history_[param_id]->mutable_active_data()};
  solvers::apply_rule(rule.for_param(this->net_->params_lr()[param_id]), steps,
                      this->net_->learnable_params()[param_id]);
}

template <typename Dtype>
void RMSPropSolver<Dtype>::ApplyRuleToArena(Dtype rate, const ArenaUpdate<Dtype>& update) {
  const Dtype decay = this->param_.rms_decay();
  const Dtype delta = this->param_.delta();
  solvers::apply_rule_to_arena(RMSPropRule<Dtype>{rate, decay, delta, update.arena.history},
                               update);
}

INSTANTIATE_CLASS(RMSPropSolver);
REGISTER_SOLVER_CLASS(RMSProp);

}  // namespace caffe
