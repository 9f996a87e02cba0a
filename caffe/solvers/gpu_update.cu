// How the six solvers update the parameters on a GPU.

#include "caffe/sgd_solvers.hpp"
#include "caffe/solvers/gradient_norm.hpp"
#include "caffe/solvers/update.hpp"

namespace caffe {

template <typename Dtype>
void SGDSolver<Dtype>::PrepareUpdates() {
  if (arena_tried_ || Caffe::mode() != Caffe::GPU || !is_one_of_the_six()) return;
  arena_tried_ = true;
  vector<int> changing;
  for (size_t i = 0; i < this->net_->learnable_params().size(); ++i) {
    const int param = static_cast<int>(i);
    if (!stays(param, gradient_steps(param, Dtype(1)))) changing.push_back(param);
  }
  arena_ = ParamArena<Dtype>::make(*this->net_, history_, changing);
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
  const size_t room = arena_ == nullptr ? 0 : arena_->gradient_room(*this->net_, param_id);
  return room > 0 ? room : Solver<Dtype>::GradientRoom(param_id);
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

template <typename Dtype>
void SGDSolver<Dtype>::update_on_gpu(Dtype rate) {
  with_late_values([&](LateValues& late) {
    const Dtype most = this->param_.clip_gradients();
    Clipping<Dtype>* clipping = nullptr;
    if (most >= 0) {
      if (norm_ == nullptr) norm_ = std::make_unique<GradientNorm<Dtype>>();
      clipping = late.place<Clipping<Dtype>>(1, [this, most](const Clipping<Dtype>* found) {
        if (found->norm > most) log_clipping(found->norm, found->factor);
      });
    }
    ArenaUpdate<Dtype> update;
    update.stop = late.stop();
    update.clip = clipping == nullptr ? nullptr : &clipping->factor;
    if (arena_ != nullptr && arena_serves() && arena_->take(*this->net_, history_, &update.arena)) {
      if (clipping != nullptr) norm_->measure(update.arena, most, clipping);
      const GradientSteps<Dtype> steps = gradient_steps(arena_->params()[0], Dtype(1));
      update.normalize = steps.normalize;
      update.weight_decay = static_cast<Dtype>(this->param_.weight_decay());
      update.l1 = this->param_.regularization_type() == "L1";
      ApplyRuleToArena(rate, update);
      for (const int param : arena_->params()) history_is_zero_[param] = false;
      return;
    }
    if (clipping != nullptr) norm_->measure(*this->net_, most, clipping);
    for (size_t i = 0; i < this->net_->learnable_params().size(); ++i) {
      const int param = static_cast<int>(i);
      GradientSteps<Dtype> steps = gradient_steps(param, Dtype(1));
      if (stays(param, steps)) continue;
      steps.gpu_clip = update.clip;
      steps.gpu_stop = update.stop;
      ApplyRule(param, rate, &steps);
      history_is_zero_[param] = false;
    }
  });
}

#define INSTANTIATE_UPDATE(Dtype)                            \
  template size_t SGDSolver<Dtype>::GradientRoom(int) const; \
  template void SGDSolver<Dtype>::PrepareUpdates();          \
  template void SGDSolver<Dtype>::ClearGradients();          \
  template bool SGDSolver<Dtype>::arena_serves() const;      \
  template void SGDSolver<Dtype>::update_on_gpu(Dtype rate)
INSTANTIATE_UPDATE(float);
INSTANTIATE_UPDATE(double);

}  // namespace caffe
