#include <cmath>

#include "caffe/sgd_solvers.hpp"
#include "caffe/solvers/update.hpp"

namespace caffe {

namespace {

template <typename T>
struct NesterovRule {
  T rate, momentum;
  T* h;
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
  const NesterovRule<Dtype> rule{this->local_rate(param_id, rate), momentum,
                                 this->history_[param_id]->mutable_active_data()};
  solvers::apply_rule(rule, steps, this->net_->learnable_params()[param_id]);
}

INSTANTIATE_CLASS(NesterovSolver);
REGISTER_SOLVER_CLASS(Nesterov);

}  // namespace caffe
