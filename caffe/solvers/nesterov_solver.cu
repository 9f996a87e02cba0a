#include <cmath>

#include "caffe/sgd_solvers.hpp"
#include "caffe/solvers/update.hpp"

namespace caffe {

namespace {

template <typename T>
struct NesterovRule {
  T rate, momentum;
  T* h;
  CAFFE_HD NesterovRule for_param(T lr_mult) const {
    NesterovRule rule = *this;
    rule.rate = rate * lr_mult;
    return rule;
  }
  CAFFE_HD T operator()(int i, T g) const {
    const T before = h[i];
    h[i] = momentum * before + rate * g;
    return (T(1) + momentum) * h[i] - momentum * before;
  }
};

}  // namespace

template <typename Dtype>
void NesterovSolver<Dtype>::ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps) {
  const Dtype momentum = this->param_.momentum();
  const NesterovRule<Dtype> rule{rate, momentum, this->history_[param_id]->mutable_active_data()};
  solvers::apply_rule(rule.for_param(this->net_->params_lr()[param_id]), steps,
                      this->net_->learnable_params()[param_id]);
}

template <typename Dtype>
void NesterovSolver<Dtype>::ApplyRuleToArena(Dtype rate, const ArenaUpdate<Dtype>& update) {
  const Dtype momentum = this->param_.momentum();
  solvers::apply_rule_to_arena(NesterovRule<Dtype>{rate, momentum, update.arena.history}, update);
}

INSTANTIATE_CLASS(NesterovSolver);
REGISTER_SOLVER_CLASS(Nesterov);

}  // namespace caffe
