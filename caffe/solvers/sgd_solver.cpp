#include "caffe/sgd_solvers.hpp"

#include <algorithm>
#include <cmath>
#include <typeinfo>

#include "caffe/solvers/gradient_norm.hpp"
#include "caffe/solvers/loss_scale.hpp"
#include "caffe/solvers/param_arena.hpp"

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

void log_step(const SolverParameter& param, int iter, int before, int now) {
  const bool plateau = param.lr_policy() == "plateau";
  if ((param.lr_policy() != "multistep" && !plateau) || now == before) return;
  LOG_IF(INFO, Caffe::root_solver())
      << (plateau ? "Plateau" : "MultiStep") << " Status: Iteration " << iter << ", step = " << now;
}

}  // namespace

template <typename Dtype>
SGDSolver<Dtype>::SGDSolver(const SolverParameter& param) : Solver<Dtype>(param) {
  PreSolve();
}

template <typename Dtype>
SGDSolver<Dtype>::SGDSolver(const string& param_file) : Solver<Dtype>(param_file) {
  PreSolve();
}

template <typename Dtype>
SGDSolver<Dtype>::~SGDSolver() = default;

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
  const int before = this->current_step_;
  const double rate = learning_rate(this->param_, this->iter_, &this->current_step_);
  log_step(this->param_, this->iter_, before, this->current_step_);
  return static_cast<Dtype>(rate);
}

/// The same, where the step is taken and logged together with the late values.
template <typename Dtype>
Dtype SGDSolver<Dtype>::take_rate() {
  find_rate();
  after_late_values([this] { tell_rate(); });
  return rate_now_;
}

template <typename Dtype>
Dtype SGDSolver<Dtype>::find_rate() {
  step_now_ = this->current_step_;
  if (this->param_.lr_policy() == "plateau") {
    note_loss(this->param_, this->iter_, this->smoothed_loss_, &step_now_, &plateau_);
  }
  rate_now_ = static_cast<Dtype>(learning_rate(this->param_, this->iter_, &step_now_));
  return rate_now_;
}

template <typename Dtype>
void SGDSolver<Dtype>::tell_rate() {
  const int before = this->current_step_;
  this->current_step_ = step_now_;
  log_step(this->param_, this->iter_, before, step_now_);
  LOG_IF(INFO, Caffe::root_solver() && this->display_is_due())
      << "Iteration " << this->iter_ << ", lr = " << rate_now_;
}

template <typename Dtype>
void SGDSolver<Dtype>::CheckSettings() {
  int step = this->param_.stepvalue_size();  // past the last step: nothing to log
  learning_rate(this->param_, this->iter_, &step);
  const string& type = this->param_.regularization_type();
  CAFFE_CHECK(type == "L1" || type == "L2",
              "unknown regularization_type \"" << type << "\" (known: L1, L2)");
  CAFFE_CHECK(!scales_loss() || is_one_of_the_six(),
              "math_mode FP16 scales the loss, and the update of a solver class of one's own does "
              "not know that: use BF16, or one of SGD, Nesterov, AdaGrad, RMSProp, AdaDelta, Adam");
}

template <typename Dtype>
bool SGDSolver<Dtype>::scales_loss() const {
  return Caffe::mode() == Caffe::GPU && this->param_.math_mode() == SolverParameter::FP16;
}

template <typename Dtype>
const Dtype* SGDSolver<Dtype>::GpuLossFactor() {
  return loss_scale_ == nullptr ? nullptr : loss_scale_->factor();
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
  loss_scale_.reset();  // a state has none
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
  const Dtype rate = take_rate();
  const int params = static_cast<int>(this->net_->learnable_params().size());
  if (is_one_of_the_six() && Caffe::mode() == Caffe::GPU) return update_on_gpu(rate);
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
  const Dtype norm = gradient_norm();
  if (!(norm > most)) return 1;
  const Dtype factor = most / norm;
  log_clipping(norm, factor);
  return factor;
}

template <typename Dtype>
Dtype SGDSolver<Dtype>::gradient_norm() {
  if (Caffe::mode() == Caffe::GPU) {  // for a class of the user's, which takes the steps one by one
    Dtype norm = 0;
    if (norm_ == nullptr) norm_ = std::make_unique<GradientNorm<Dtype>>();
    with_late_values([&](LateValues& late) {
      norm_->measure(*this->net_, this->param_.clip_gradients(), nullptr,
                     late.place<Clipping<Dtype>>(
                         1, [&norm](const Clipping<Dtype>* found) { norm = found->norm; }));
    });
    return norm;
  }
  Dtype sum = 0;
  for (const Blob<Dtype>* param : this->net_->learnable_params()) {
    if (has_values(*param->diff())) sum += param->sumsq_diff();
  }
  return std::sqrt(sum);
}

template <typename Dtype>
void SGDSolver<Dtype>::log_clipping(Dtype norm, Dtype factor) const {
  LOG_IF(INFO, Caffe::root_solver())
      << "Gradient clipping: scaling down gradients (L2 norm " << norm << " > "
      << Dtype(this->param_.clip_gradients()) << ") by scale factor " << factor;
}

INSTANTIATE_CLASS(SGDSolver);

}  // namespace caffe
