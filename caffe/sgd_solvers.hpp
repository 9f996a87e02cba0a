#ifndef CAFFE_SGD_SOLVERS_HPP_
#define CAFFE_SGD_SOLVERS_HPP_

// The six solvers. Below, g is a parameter's gradient, w the parameter, r the learning rate times
// the parameter's lr_mult, and u the value subtracted from w; all element by element.
//
// ApplyUpdate applies these steps to the gradients in the diffs:
//   ClipGradients       g *= clip_gradients / |all g|, where the L2 norm |all g| is larger
//   Normalize           g /= iter_size
//   Regularize          g += d w (L2) or d sign(w) (L1), where d = weight_decay decay_mult
//   ComputeUpdateValue  u = the solver's rule(g, history); u replaces g in the diff
//   Net::Update         w -= u
//
// A class of your own derives from SGDSolver, or from another of the six, and overrides any of
// these steps; ApplyUpdate then calls them one after the other, each in a pass over memory. For
// objects of the six classes themselves, ApplyRule does the same arithmetic in one pass (two with
// clip_gradients, which needs the norm first) and gives the same weights, diffs and history, bit
// for bit. In GPU mode their parameters lie side by side (caffe/solvers/param_arena.hpp), and
// ApplyRuleToArena updates all of them in one kernel, again with the same bits. The choice depends
// on typeid, so a derived class that overrides nothing also runs the separate steps.

#include <memory>
#include <string>
#include <vector>

#include "caffe/solver.hpp"
#include "caffe/solvers/learning_rate.hpp"

namespace caffe {

/// clip, normalize and regularize for one parameter: g = g clip normalize + decay R(w), where R(w)
/// is 0, sign(w) or w.
template <typename Dtype>
struct GradientSteps {
  enum Decay { kNone, kL1, kL2 };
  Dtype clip;
  Dtype normalize;
  Dtype decay;
  Decay kind;
  const Dtype* gpu_clip = nullptr;  // on the GPU, instead of `clip`
  const int* gpu_stop = nullptr;    // on the GPU: if it is not 0 there, nothing changes
};

template <typename Dtype>
struct ArenaUpdate;
template <typename Dtype>
class ParamArena;
template <typename Dtype>
class GradientNorm;
template <typename Dtype>
class LossScale;
template <typename Dtype>
struct Clipping;
template <typename Dtype>
struct RateNow;

/// h = momentum h + r g; u = h.
template <typename Dtype>
class SGDSolver : public Solver<Dtype> {
 public:
  explicit SGDSolver(const SolverParameter& param);
  explicit SGDSolver(const string& param_file);
  ~SGDSolver() override;
  const char* type() const override { return "SGD"; }

  /// What a solverstate stores: one blob per parameter, in the same order and of the same shape.
  /// AdaDelta and Adam have a second blob per parameter, after all the first ones.
  const vector<shared_ptr<Blob<Dtype>>>& history() { return history_; }

  void ApplyUpdate() override;
  /// The learning rate at t = iter(), by lr_policy:
  ///   fixed      base_lr
  ///   step       base_lr gamma^floor(t / stepsize)
  ///   exp        base_lr gamma^t
  ///   inv        base_lr (1 + gamma t)^-power
  ///   multistep  base_lr gamma^(number of stepvalues reached); at most one step per call
  ///   poly       base_lr (1 - t / max_iter)^power
  ///   sigmoid    base_lr / (1 + e^(-gamma (t - stepsize)))
  ///   plateau    base_lr gamma^(number of plateaus); SSD's. One ends after plateau_winsize
  ///              iterations, one value for each, without a loss (the mean of average_loss) below
  ///              the smallest so far. ApplyUpdate counts them
  /// step, multistep and plateau count their steps in a solverstate's current_step.
  Dtype GetLearningRate();
  /// That of math_mode FP16 on a GPU, once training has begun; else null.
  LossScale<Dtype>* loss_scale() { return loss_scale_.get(); }

 protected:
  /// Creates the history.
  void PreSolve();
  virtual void Normalize(int param_id);
  virtual void Regularize(int param_id);
  virtual void ComputeUpdateValue(int param_id, Dtype rate);
  virtual void ClipGradients();
  /// Applies this solver's rule to one parameter. Without `steps` this is what ComputeUpdateValue
  /// does; with `steps`, clip, normalize and regularize run before it and update after it, all in
  /// one pass.
  virtual void ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps);
  /// On a GPU: all steps for all parameters of an arena.
  virtual void ApplyRuleToArena(Dtype rate, const ArenaUpdate<Dtype>& update);
  /// What the rule multiplies the rate by in this iteration.
  virtual Dtype RateCorrection() const { return 1; }

  void SnapshotSolverState(const string& model_filename) override;
  virtual void SnapshotSolverStateToBinaryProto(const string& model_filename);
  virtual void SnapshotSolverStateToHDF5(const string& model_filename);
  void RestoreSolverStateFromHDF5(const string& state_file) override;
  void RestoreSolverStateFromBinaryProto(const string& state_file) override;
  void CheckSettings() override;
  void PrepareUpdates() override;
  void ClearGradients() override;
  bool UpdatesLate() const override {
    return is_one_of_the_six() && this->param_.lr_policy() != "plateau";  // that needs the loss
  }
  string DescribeRate() override;
  void BroadcastState(DataParallel<Dtype>* ranks) override;
  size_t GradientRoom(int param_id) const override;
  vector<double> UpdateSettings() const override;
  const Dtype* GpuLossFactor() override;

  /// Appends a second history blob for each parameter.
  void AddHistory();
  Blob<Dtype>* second_history(int param_id) const {
    return history_[history_.size() / 2 + param_id].get();
  }
  /// The learning rate of one parameter.
  Dtype local_rate(int param_id, Dtype rate) const {
    return rate * static_cast<Dtype>(this->net_->params_lr()[param_id]);
  }

  vector<shared_ptr<Blob<Dtype>>> history_;
  /// One blob per parameter, of the same shape, for derived classes; allocates nothing until used.
  vector<shared_ptr<Blob<Dtype>>> update_, temp_;

  /// The steps applied to a parameter's gradient before the rule.
  GradientSteps<Dtype> gradient_steps(int param_id, Dtype clip) const;

 private:
  bool is_one_of_the_six() const;
  /// Whether an update would change neither a parameter nor its history: lr_mult is 0, there is no
  /// gradient, the history is 0, and for these the rule gives 0.
  bool stays(int param_id, const GradientSteps<Dtype>& steps) const;
  /// Called after a state was restored or received.
  void find_zero_history();
  /// The learning rate of this iteration, logged where the settings say so.
  Dtype take_rate();
  Dtype find_rate();
  void tell_rate();
  /// The factor that clip_gradients requires; 1 if there is nothing to clip. Logs the factor.
  Dtype clip_factor();
  Dtype gradient_norm();
  void log_clipping(Dtype norm, Dtype factor) const;
  bool scales_loss() const;
  // On a GPU, all steps of one of the six:
  void update_on_gpu(Dtype rate);
  const RateNow<Dtype>* rate_place(Dtype rate);
  Clipping<Dtype>* new_clipping(LateValues* late);
  /// Whether all parameters that change are in the arena, and what stays is outside of it.
  bool arena_serves() const;

  Plateau plateau_;
  Dtype rate_now_ = 0;  // of this iteration, and current_step_ after it
  int step_now_ = 0;
  vector<bool> history_is_zero_;  // [param]
  std::unique_ptr<ParamArena<Dtype>> arena_;
  bool arena_tried_ = false;
  std::unique_ptr<GradientNorm<Dtype>> norm_;
  std::unique_ptr<LossScale<Dtype>> loss_scale_;

  DISABLE_COPY_AND_ASSIGN(SGDSolver);
};

/// h' = momentum h + r g; u = (1 + momentum) h' - momentum h. Nesterov's accelerated gradient.
template <typename Dtype>
class NesterovSolver : public SGDSolver<Dtype> {
 public:
  explicit NesterovSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {}
  explicit NesterovSolver(const string& param_file) : SGDSolver<Dtype>(param_file) {}
  const char* type() const override { return "Nesterov"; }

 protected:
  void ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps) override;
  void ApplyRuleToArena(Dtype rate, const ArenaUpdate<Dtype>& update) override;

  DISABLE_COPY_AND_ASSIGN(NesterovSolver);
};

/// h += g^2; u = r g / (sqrt(h) + delta). momentum must be 0. Duchi et al. 2011.
template <typename Dtype>
class AdaGradSolver : public SGDSolver<Dtype> {
 public:
  explicit AdaGradSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {
    constructor_sanity_check();
  }
  explicit AdaGradSolver(const string& param_file) : SGDSolver<Dtype>(param_file) {
    constructor_sanity_check();
  }
  const char* type() const override { return "AdaGrad"; }

 protected:
  void constructor_sanity_check();
  void ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps) override;
  void ApplyRuleToArena(Dtype rate, const ArenaUpdate<Dtype>& update) override;

  DISABLE_COPY_AND_ASSIGN(AdaGradSolver);
};

/// h = rms_decay h + (1 - rms_decay) g^2; u = r g / (sqrt(h) + delta). momentum must be 0,
/// rms_decay in [0, 1). Tieleman and Hinton 2012.
template <typename Dtype>
class RMSPropSolver : public SGDSolver<Dtype> {
 public:
  explicit RMSPropSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {
    constructor_sanity_check();
  }
  explicit RMSPropSolver(const string& param_file) : SGDSolver<Dtype>(param_file) {
    constructor_sanity_check();
  }
  const char* type() const override { return "RMSProp"; }

 protected:
  void constructor_sanity_check();
  void ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps) override;
  void ApplyRuleToArena(Dtype rate, const ArenaUpdate<Dtype>& update) override;

  DISABLE_COPY_AND_ASSIGN(RMSPropSolver);
};

/// h = momentum h + (1 - momentum) g^2; v = g sqrt((s + delta) / (h + delta));
/// s = momentum s + (1 - momentum) v^2; u = r v. h and s are the two histories. Zeiler 2012.
template <typename Dtype>
class AdaDeltaSolver : public SGDSolver<Dtype> {
 public:
  explicit AdaDeltaSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {
    AdaDeltaPreSolve();
  }
  explicit AdaDeltaSolver(const string& param_file) : SGDSolver<Dtype>(param_file) {
    AdaDeltaPreSolve();
  }
  const char* type() const override { return "AdaDelta"; }

 protected:
  void AdaDeltaPreSolve();
  void ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps) override;
  void ApplyRuleToArena(Dtype rate, const ArenaUpdate<Dtype>& update) override;

  DISABLE_COPY_AND_ASSIGN(AdaDeltaSolver);
};

/// m = momentum m + (1 - momentum) g; v = momentum2 v + (1 - momentum2) g^2;
/// u = r c m / (sqrt(v) + delta), c = sqrt(1 - momentum2^t) / (1 - momentum^t), t = iter() + 1. m
/// and v are the two histories. Kingma and Ba 2015.
template <typename Dtype>
class AdamSolver : public SGDSolver<Dtype> {
 public:
  explicit AdamSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) { AdamPreSolve(); }
  explicit AdamSolver(const string& param_file) : SGDSolver<Dtype>(param_file) { AdamPreSolve(); }
  const char* type() const override { return "Adam"; }

 protected:
  void AdamPreSolve();
  void ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps) override;
  void ApplyRuleToArena(Dtype rate, const ArenaUpdate<Dtype>& update) override;
  /// c.
  Dtype RateCorrection() const override;

  DISABLE_COPY_AND_ASSIGN(AdamSolver);
};

}  // namespace caffe

#endif  // CAFFE_SGD_SOLVERS_HPP_
