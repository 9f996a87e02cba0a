#include <cmath>

#include "caffe/sgd_solvers.hpp"
#include "caffe/solvers/update.hpp"

namespace caffe {

namespace {

template <typename T>
struct AdaGradRule {
  T rate, delta;
  T* h;
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
  const AdaGradRule<Dtype> rule{this->local_rate(param_id, rate), delta,
                                this->history_[param_id]->mutable_active_data()};
  solvers::apply_rule(rule, steps, this->net_->learnable_params()[param_id]);
}

INSTANTIATE_CLASS(AdaGradSolver);
REGISTER_SOLVER_CLASS(AdaGrad);

}  // namespace caffe
