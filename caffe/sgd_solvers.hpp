#ifndef CAFFE_SGD_SOLVERS_HPP_
#define CAFFE_SGD_SOLVERS_HPP_

// The six solvers. In what follows g is a parameter's gradient, w the parameter, r the learning
// rate times the parameter's lr_mult, u what is subtracted from w; all element by element.
//
// ApplyUpdate makes of the gradients that stand in the diffs:
//   clip       g *= clip_gradients / |all g|        where the L2 norm |all g| is larger
//   (ClipGradients) normalize  g /= iter_size                       (Normalize) regularize g += d w
//   (L2) or d sign(w) (L1),     d = weight_decay decay_mult (Regularize) value      u = the
//   solver's rule(g, history)    (ComputeUpdateValue); u replaces g in the diff update     w -= u
//   (Net::Update)
//
// A class of your own derives from SGDSolver, or from another of the six, and overrides any of
// these steps; ApplyUpdate then calls them one after the other, each a pass over memory. For
// objects of the six classes themselves it does the same arithmetic in one pass (two, with
// clip_gradients: the norm comes first), through ApplyRule: bit for bit the same weights, diffs and
// history. What decides is typeid, so a derived class that overrides nothing takes the steps as
// well.

#include <string>
#include <vector>

#include "caffe/solver.hpp"

namespace caffe {

/// clip, normalize and regularize for one parameter: g = g clip normalize + decay R(w), R(w) being
/// 0, sign(w) or w.
template <typename Dtype>
struct GradientSteps {
  enum Decay { kNone, kL1, kL2 };
  Dtype clip;
  Dtype normalize;
  Dtype decay;
  Decay kind;
};

/// h = momentum h + r g; u = h.
template <typename Dtype>
class SGDSolver : public Solver<Dtype> {
 public:
  explicit SGDSolver(const SolverParameter& param) : Solver<Dtype>(param) { PreSolve(); }
  explicit SGDSolver(const string& param_file) : Solver<Dtype>(param_file) { PreSolve(); }
  const char* type() const override { return "SGD"; }

  /// What a solverstate keeps: one blob a parameter, in their order, of its shape. AdaDelta and
  /// Adam have a second one for each, behind all the first ones.
  const vector<shared_ptr<Blob<Dtype>>>& history() { return history_; }

  void ApplyUpdate() override;
  /// That of iteration iter(), by lr_policy, from t = iter():
  ///   fixed      base_lr
  ///   step       base_lr gamma^floor(t / stepsize)
  ///   exp        base_lr gamma^t
  ///   inv        base_lr (1 + gamma t)^-power
  ///   multistep  base_lr gamma^(how many stepvalues were reached); one step a call at most
  ///   poly       base_lr (1 - t / max_iter)^power
  ///   sigmoid    base_lr / (1 + e^(-gamma (t - stepsize)))
  /// step and multistep note the steps in what a solverstate has as current_step.
  Dtype GetLearningRate();

 protected:
  /// Makes the history.
  void PreSolve();
  virtual void Normalize(int param_id);
  virtual void Regularize(int param_id);
  virtual void ComputeUpdateValue(int param_id, Dtype rate);
  virtual void ClipGradients();
  /// This solver's rule for one parameter. Without `steps` it is what ComputeUpdateValue does; with
  /// them clip, normalize and regularize come before it and update after it, all in one pass.
  virtual void ApplyRule(int param_id, Dtype rate, const GradientSteps<Dtype>* steps);

  void SnapshotSolverState(const string& model_filename) override;
  virtual void SnapshotSolverStateToBinaryProto(const string& model_filename);
  virtual void SnapshotSolverStateToHDF5(const string& model_filename);
  void RestoreSolverStateFromHDF5(const string& state_file) override;
  void RestoreSolverStateFromBinaryProto(const string& state_file) override;
  void CheckSettings() override;
  string DescribeRate() override;

  /// Appends a second history blob for each parameter.
  void AddHistory();
  Blob<Dtype>* second_history(int param_id) const {
    return history_[history_.size() / 2 + param_id].get();
  }
  /// The rate of one parameter.
  Dtype local_rate(int param_id, Dtype rate) const {
    return rate * static_cast<Dtype>(this->net_->params_lr()[param_id]);
  }

  vector<shared_ptr<Blob<Dtype>>> history_;
  /// Room for one blob a parameter, of its shape, for derived classes; no memory until it is used.
  vector<shared_ptr<Blob<Dtype>>> update_, temp_;

  /// What is done to a parameter's gradient before the rule.
  GradientSteps<Dtype> gradient_steps(int param_id, Dtype clip) const;

 private:
  bool is_one_of_the_six() const;
  /// Whether a parameter and its history stay as they are: lr_mult is 0, it has no gradient, its
  /// history is 0, and the rule makes 0 of that.
  bool stays(int param_id, const GradientSteps<Dtype>& steps) const;
  /// After a restoring.
  void find_zero_history();
  /// The factor that clip_gradients asks for; 1 where there is nothing to clip. Logs it.
  Dtype clip_factor();

  vector<bool> history_is_zero_;  // [param]

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

  DISABLE_COPY_AND_ASSIGN(AdamSolver);
};

}  // namespace caffe

#endif  // CAFFE_SGD_SOLVERS_HPP_
