#include "caffe/sgd_solvers.hpp"

#include <algorithm>
#include <cmath>
#include <typeinfo>

#include "caffe/solvers/learning_rate.hpp"

namespace caffe {

namespace {

/// An empty blob of each parameter's shape; memory is allocated at its first use.
template <typename Dtype>
void append_blobs(const Net<Dtype>& net, vector<shared_ptr<Blob<Dtype>>>* blobs) {
  for (const Blob<Dtype>* param : net.learnable_params()) {
    blobs->push_back(std::make_shared<Blob<Dtype>>(param->shape()));
  }
}

/// False for memory that has not been used yet, which is all zeros.
bool has_values(const SyncedMemory& memory) {
  return memory.head() != SyncedMemory::UNINITIALIZED;
}

}  // namespace

template <typename Dtype>
void SGDSolver<Dtype>::PreSolve() {
  for (auto* blobs : {&history_, &update_, &temp_}) {
    blobs->clear();
    append_blobs(*this->net_, blobs);
  }
  history_is_zero_.assign(this->net_->learnable_params().size(), true);
}

template <typename Dtype>
void SGDSolver<Dtype>::AddHistory() {
  append_blobs(*this->net_, &history_);
}

template <typename Dtype>
Dtype SGDSolver<Dtype>::GetLearningRate() {
  return static_cast<Dtype>(learning_rate(this->param_, this->iter_, &this->current_step_));
}

template <typename Dtype>
void SGDSolver<Dtype>::CheckSettings() {
  int step = this->param_.stepvalue_size();  // past the last step: nothing to log
  learning_rate(this->param_, this->iter_, &step);
  const string& type = this->param_.regularization_type();
  CAFFE_CHECK(type == "L1" || type == "L2",
              "unknown regularization_type \"" << type << "\" (known: L1, L2)");
}

template <typename Dtype>
string SGDSolver<Dtype>::DescribeRate() {
  int step = this->current_step_;
  ostringstream text;
  text << "learning rate " << static_cast<Dtype>(learning_rate(this->param_, this->iter_, &step));
  return text.str();
}

template <typename Dtype>
bool SGDSolver<Dtype>::is_one_of_the_six() const {
  const std::type_info& type = typeid(*this);
  return type == typeid(SGDSolver<Dtype>) || type == typeid(NesterovSolver<Dtype>) ||
         type == typeid(AdaGradSolver<Dtype>) || type == typeid(RMSPropSolver<Dtype>) ||
         type == typeid(AdaDeltaSolver<Dtype>) || type == typeid(AdamSolver<Dtype>);
}

template <typename Dtype>
void SGDSolver<Dtype>::find_zero_history() {
  for (size_t i = 0; i < history_.size(); ++i) {
    const size_t param = i % history_is_zero_.size();
    if (i == param) history_is_zero_[param] = true;
    if (!history_is_zero_[param] || this->net_->params_lr()[param] != 0) continue;
    const Dtype* const begin = history_[i]->cpu_data();
    history_is_zero_[param] = std::all_of(begin, begin + history_[i]->count(),
                                          [](Dtype value) { return value == Dtype(0); });
  }
}

template <typename Dtype>
bool SGDSolver<Dtype>::stays(int param_id, const GradientSteps<Dtype>& steps) const {
  if (this->net_->params_lr()[param_id] != 0 || !history_is_zero_[param_id] ||
      has_values(*this->net_->learnable_params()[param_id]->diff())) {
    return false;
  }
  // The other solvers keep the size of the decay's gradient in their history.
  const std::type_info& type = typeid(*this);
  return steps.kind == GradientSteps<Dtype>::kNone || type == typeid(SGDSolver<Dtype>) ||
         type == typeid(NesterovSolver<Dtype>);
}

template <typename Dtype>
void SGDSolver<Dtype>::ApplyUpdate() {
  const Dtype rate = GetLearningRate();
  if (this->param_.display() > 0 && this->iter_ % this->param_.display() == 0) {
    LOG_IF(INFO, Caffe::root_solver()) << "Iteration " << this->iter_ << ", lr = " << rate;
  }
  const int params = static_cast<int>(this->net_->learnable_params().size());
  if (is_one_of_the_six()) {
    const Dtype clip = clip_factor();
    for (int i = 0; i < params; ++i) {
      const GradientSteps<Dtype> steps = gradient_steps(i, clip);
      if (stays(i, steps)) continue;
      ApplyRule(i, rate, &steps);
      history_is_zero_[i] = false;
    }
    return;
  }
  ClipGradients();
  for (int i = 0; i < params; ++i) {
    Normalize(i);
    Regularize(i);
    ComputeUpdateValue(i, rate);
  }
  this->net_->Update();
}

template <typename Dtype>
GradientSteps<Dtype> SGDSolver<Dtype>::gradient_steps(int param_id, Dtype clip) const {
  typedef GradientSteps<Dtype> G;
  G steps;
  steps.clip = clip;
  steps.normalize = Dtype(1) / static_cast<Dtype>(this->param_.iter_size());
  steps.decay = static_cast<Dtype>(this->param_.weight_decay()) *
                static_cast<Dtype>(this->net_->params_weight_decay()[param_id]);
  const bool l1 = this->param_.regularization_type() == "L1";
  steps.kind = steps.decay == Dtype(0) ? G::kNone : l1 ? G::kL1 : G::kL2;
  return steps;
}

template <typename Dtype>
Dtype SGDSolver<Dtype>::clip_factor() {
  const Dtype most = this->param_.clip_gradients();
  if (most < 0) return 1;
  Dtype sum = 0;
  for (const Blob<Dtype>* param : this->net_->learnable_params()) {
    if (has_values(*param->diff())) sum += param->sumsq_diff();
  }
  const Dtype norm = std::sqrt(sum);
  if (!(norm > most)) return 1;
  const Dtype factor = most / norm;
  LOG(INFO) << "Gradient clipping: scaling down gradients (L2 norm " << norm << " > " << most
            << ") by scale factor " << factor;
  return factor;
}

INSTANTIATE_CLASS(SGDSolver);

}  // namespace caffe
