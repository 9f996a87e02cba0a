#include <cmath>

#include "caffe/sgd_solvers.hpp"
#include "caffe/solvers/update.hpp"

namespace caffe {

namespace {

template <typename T>
struct AdaGradRule {
  T rate, delta;
  T* h;
  CAFFE_HD AdaGradRule for_param(T lr_mult) const {
    AdaGradRule rule = *this;
    rule.rate = rate * lr_mult;
    return rule;
  }
  CAFFE_HD T operator()(int i, T g) const {
    h[i] += g * g;
    return rate * (g / (std::sqrt(h[i]) + delta));
  }
};

}  // namespace

template <typename Dtype>
void AdaGradSolver<Dtype>::constructor_sanity_check() {
  CAFFE_CHECK(this->param_.momentum() == 0, "solver AdaGrad has no momentum: leave momentum "
                                                << this->param_.momentum() << " out");
}

template <typename Dtype>
void AdaGradSolver<Dtype>::ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps) {
  const Dtype delta = this->param_.delta();
  const AdaGradRule<Dtype> rule{rate, delta, this->history_[param_id]->mutable_active_data()};
  solvers::apply_rule(rule.for_param(this->net_->params_lr()[param_id]), steps,
                      this->net_->learnable_params()[param_id]);
}

template <typename Dtype>
void AdaGradSolver<Dtype>::ApplyRuleToArena(Dtype rate, const ArenaUpdate<Dtype>& update) {
  const Dtype delta = this->param_.delta();
  solvers::apply_rule_to_arena(AdaGradRule<Dtype>{rate, delta, update.arena.history}, update);
}

INSTANTIATE_CLASS(AdaGradSolver);
REGISTER_SOLVER_CLASS(AdaGrad);

}  // namespace caffe
