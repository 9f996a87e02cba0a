// How the six solvers update the parameters on a GPU.

#include "caffe/net_memory.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/solvers/gradient_norm.hpp"
#include "caffe/solvers/loss_scale.hpp"
#include "caffe/solvers/update.hpp"
#include "caffe/util/gpu_trace.hpp"

namespace caffe {

template <typename Dtype>
void SGDSolver<Dtype>::PrepareUpdates() {
  if (scales_loss() && loss_scale_ == nullptr) loss_scale_ = std::make_unique<LossScale<Dtype>>();
  if (arena_tried_ || Caffe::mode() != Caffe::GPU || !is_one_of_the_six()) return;
  arena_tried_ = true;
  vector<int> changing;
  for (size_t i = 0; i < this->net_->learnable_params().size(); ++i) {
    const int param = static_cast<int>(i);
    if (!stays(param, gradient_steps(param, Dtype(1)))) changing.push_back(param);
  }
  for_parameters_of(*this->net_,
                    [&] { arena_ = ParamArena<Dtype>::make(*this->net_, history_, changing); });
}

template <typename Dtype>
void SGDSolver<Dtype>::ClearGradients() {
  const bool on_gpu = Caffe::mode() == Caffe::GPU;
  if (!on_gpu || arena_ == nullptr || !arena_serves() || !arena_->clear_diffs(*this->net_)) {
    this->net_->ClearParamDiffs();
  }
}

template <typename Dtype>
size_t SGDSolver<Dtype>::GradientRoom(int param_id) const {
  return arena_ == nullptr ? 0 : arena_->gradient_room(*this->net_, param_id);
}

template <typename Dtype>
bool SGDSolver<Dtype>::arena_serves() const {
  size_t next = 0;
  for (size_t i = 0; i < this->net_->learnable_params().size(); ++i) {
    const int param = static_cast<int>(i);
    if (next < arena_->params().size() && arena_->params()[next] == param) {
      ++next;
    } else if (!stays(param, gradient_steps(param, Dtype(1)))) {
      return false;
    }
  }
  return true;
}

/// Of an iteration; the log tells of it where it clips.
template <typename Dtype>
Clipping<Dtype>* SGDSolver<Dtype>::new_clipping(LateValues* late) {
  if (norm_ == nullptr) norm_ = std::make_unique<GradientNorm<Dtype>>();
  const bool scaled = loss_scale_ != nullptr && this->gradients_are_scaled();
  return late->place<Clipping<Dtype>>(1, [this, scaled](const Clipping<Dtype>* found) {
    const bool skipped = scaled && !(found->norm - found->norm == Dtype(0));
    if (skipped || !(found->norm > Dtype(this->param_.clip_gradients()))) return;
    log_clipping(found->norm, found->factor);
  });
}

/// Besides the settings, which parameters the update leaves alone, and where the histories are.
template <typename Dtype>
vector<double> SGDSolver<Dtype>::UpdateSettings() const {
  vector<double> settings = Solver<Dtype>::UpdateSettings();
  for (size_t i = 0; i < this->net_->learnable_params().size(); ++i) {
    const int param = static_cast<int>(i);
    settings.push_back(stays(param, gradient_steps(param, Dtype(1))) ? 1 : 0);
  }
  for (const shared_ptr<Blob<Dtype>>& blob : history_) {
    settings.push_back(static_cast<double>(reinterpret_cast<uintptr_t>(blob->data().get())));
  }
  return settings;
}

/// Where the rate is on the GPU, if this iteration is recorded; else null.
template <typename Dtype>
const RateNow<Dtype>* SGDSolver<Dtype>::rate_place(Dtype rate) {
  typedef RateNow<Dtype> Now;
  GpuTrace* const trace = GpuTrace::current();
  if (trace == nullptr) return nullptr;
  return trace->value<Now>({rate, RateCorrection()},
                           [this] { return Now{find_rate(), RateCorrection()}; });
}

template <typename Dtype>
void SGDSolver<Dtype>::update_on_gpu(Dtype rate) {
  with_late_values([&](LateValues& late) {
    const Dtype most = this->param_.clip_gradients();
    Clipping<Dtype>* const clipping = most >= 0 ? new_clipping(&late) : nullptr;
    ArenaUpdate<Dtype> update = {};
    update.stop = late.stop();
    const bool in_arena = for_parameters_of(*this->net_, [&] {
      return arena_ != nullptr && arena_serves() &&
             arena_->take(*this->net_, history_, &update.arena);
    });
    const Dtype* unscale = nullptr;
    if (loss_scale_ != nullptr && this->gradients_are_scaled()) {
      unscale = in_arena ? loss_scale_->decide(update.arena, &this->iter_, &late)
                         : loss_scale_->decide(*this->net_, &this->iter_, &late);
    }
    update.clip = clipping == nullptr ? unscale : &clipping->all;
    if (in_arena) {
      if (clipping != nullptr) norm_->measure(update.arena, most, unscale, clipping);
      const GradientSteps<Dtype> steps = gradient_steps(arena_->params()[0], Dtype(1));
      update.normalize = steps.normalize;
      update.weight_decay = static_cast<Dtype>(this->param_.weight_decay());
      update.l1 = this->param_.regularization_type() == "L1";
      update.rate_now = rate_place(rate);
      ApplyRuleToArena(rate, update);
      for (const int param : arena_->params()) history_is_zero_[param] = false;
      return;
    }
    note_host_work(arena_ != nullptr && !arena_serves()
                       ? "updates a parameter with lr_mult 0 whose gradient somebody has used"
                       : "goes parameter by parameter");
    if (clipping != nullptr) norm_->measure(*this->net_, most, unscale, clipping);
    for (size_t i = 0; i < this->net_->learnable_params().size(); ++i) {
      const int param = static_cast<int>(i);
      GradientSteps<Dtype> steps = gradient_steps(param, Dtype(1));
      if (stays(param, steps)) continue;
      steps.gpu_clip = update.clip;
      steps.gpu_stop = update.stop;
      for_parameters_of(*this->net_, [&] { ApplyRule(param, rate, &steps); });
      history_is_zero_[param] = false;
    }
  });
}

#define INSTANTIATE_UPDATE(Dtype)                                        \
  template size_t SGDSolver<Dtype>::GradientRoom(int) const;             \
  template void SGDSolver<Dtype>::PrepareUpdates();                      \
  template void SGDSolver<Dtype>::ClearGradients();                      \
  template bool SGDSolver<Dtype>::arena_serves() const;                  \
  template Clipping<Dtype>* SGDSolver<Dtype>::new_clipping(LateValues*); \
  template vector<double> SGDSolver<Dtype>::UpdateSettings() const;      \
  template const RateNow<Dtype>* SGDSolver<Dtype>::rate_place(Dtype);    \
  template void SGDSolver<Dtype>::update_on_gpu(Dtype rate)
INSTANTIATE_UPDATE(float);
INSTANTIATE_UPDATE(double);

}  // namespace caffe
