#include <string>
#include <vector>

#include "caffe/sgd_solvers.hpp"

namespace caffe {

/// Gradient descent with momentum and weight decay, written out with Caffe's functions.
template <typename Dtype>
class OldSGDSolver : public SGDSolver<Dtype> {
 public:
  explicit OldSGDSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {}
  explicit OldSGDSolver(const string& param_file) : SGDSolver<Dtype>(param_file) {}
  virtual inline const char* type() const { return "OldSGD"; }

 protected:
  virtual void Normalize(int param_id) {
    if (this->param_.iter_size() == 1) {
      return;
    }
    const vector<Blob<Dtype>*>& net_params = this->net_->learnable_params();
    const Dtype accum_normalization = Dtype(1.) / this->param_.iter_size();
    caffe_scal(net_params[param_id]->count(), accum_normalization,
               net_params[param_id]->mutable_cpu_diff());
  }
  virtual void Regularize(int param_id) {
    const vector<Blob<Dtype>*>& net_params = this->net_->learnable_params();
    const vector<float>& net_params_weight_decay = this->net_->params_weight_decay();
    Dtype local_decay = this->param_.weight_decay() * net_params_weight_decay[param_id];
    if (local_decay) {
      caffe_axpy(net_params[param_id]->count(), local_decay, net_params[param_id]->cpu_data(),
                 net_params[param_id]->mutable_cpu_diff());
    }
  }
  virtual void ComputeUpdateValue(int param_id, Dtype rate) {
    const vector<Blob<Dtype>*>& net_params = this->net_->learnable_params();
    const vector<float>& net_params_lr = this->net_->params_lr();
    Dtype momentum = this->param_.momentum();
    Dtype local_rate = rate * net_params_lr[param_id];
    caffe_cpu_axpby(net_params[param_id]->count(), local_rate, net_params[param_id]->cpu_diff(),
                    momentum, this->history_[param_id]->mutable_cpu_data());
    caffe_copy(net_params[param_id]->count(), this->history_[param_id]->cpu_data(),
               net_params[param_id]->mutable_cpu_diff());
  }

  DISABLE_COPY_AND_ASSIGN(OldSGDSolver);
};

/// Adam, from AdamSolver, which stays as it is.
template <typename Dtype>
class OldAdamSolver : public AdamSolver<Dtype> {
 public:
  explicit OldAdamSolver(const SolverParameter& param) : AdamSolver<Dtype>(param) {}
  virtual inline const char* type() const { return "OldAdam"; }
};

INSTANTIATE_CLASS(OldSGDSolver);
REGISTER_SOLVER_CLASS(OldSGD);
INSTANTIATE_CLASS(OldAdamSolver);
REGISTER_SOLVER_CLASS(OldAdam);

}  // namespace caffe
