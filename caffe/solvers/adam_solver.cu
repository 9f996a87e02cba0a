#include <cmath>

#include "caffe/sgd_solvers.hpp"
#include "caffe/solvers/update.hpp"

namespace caffe {

namespace {

template <typename T>
struct AdamRule {
  T rate, beta1, beta2, delta;
  T* m;
  T* v;
  CAFFE_HD T operator()(int i, T g) const {
    m[i] = beta1 * m[i] + (T(1) - beta1) * g;
    v[i] = beta2 * v[i] + (T(1) - beta2) * (g * g);
    return rate * (m[i] / (std::sqrt(v[i]) + delta));
  }
};

}  // namespace

template <typename Dtype>
void AdamSolver<Dtype>::AdamPreSolve() {
  this->AddHistory();
}

template <typename Dtype>
void AdamSolver<Dtype>::ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps) {
  const Dtype beta1 = this->param_.momentum();
  const Dtype beta2 = this->param_.momentum2();
  const Dtype delta = this->param_.delta();
  const double t = this->iter_ + 1;
  const Dtype correction = static_cast<Dtype>(std::sqrt(1 - std::pow(double(beta2), t)) /
                                              (1 - std::pow(double(beta1), t)));
  const AdamRule<Dtype> rule{this->local_rate(param_id, rate) * correction,
                             beta1,
                             beta2,
                             delta,
                             this->history_[param_id]->mutable_active_data(),
                             this->second_history(param_id)->mutable_active_data()};
  solvers::apply_rule(rule, steps, this->net_->learnable_params()[param_id]);
}

INSTANTIATE_CLASS(AdamSolver);
REGISTER_SOLVER_CLASS(Adam);

}  // namespace caffe
