#ifndef CAFFE_SOLVER_HPP_
#define CAFFE_SOLVER_HPP_

// What trains a net: a loop of forward, backward and update, with tests, log lines and snapshots in
// between. How an update is made from a gradient is the derived class's (sgd_solvers.hpp).
//
// An iteration of Step:
//   diffs of what is learnt are cleared
//   test nets run                       every test_interval iterations
//   Callback::on_start
//   forward and backward                iter_size times; the gradients add up
//   the loss is checked and shown       shown every display iterations
//   Callback::on_gradients_ready
//   ApplyUpdate; iter() grows by one
//   snapshot                            every `snapshot` iterations, or on request
//
// A loss that is NaN or infinite ends Step with an Error before the update, so that the weights are
// those of the last good iteration; continue_on_nonfinite_loss: true goes on.
//
// Snapshots. A snapshot is two files, PREFIX_iter_N.caffemodel and PREFIX_iter_N.solverstate (with
// ".h5" behind them in HDF5). Each is written beside its final name and renamed when complete, the
// state last, so whatever has a final name is whole, and a state has its model. One that cannot be
// written is an Error that names the file.

#include <functional>
#include <string>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/benchmark.hpp"

namespace caffe {

/// What a user (by a signal, say) can ask a solver for between two iterations.
namespace SolverAction {
enum Enum {
  NONE = 0,
  STOP = 1,     // stop early, with a snapshot if snapshot_after_train
  SNAPSHOT = 2  // snapshot, then go on
};
}  // namespace SolverAction

/// Called after every iteration and before every batch of a test; says what to do, once.
typedef std::function<SolverAction::Enum()> ActionCallback;

template <typename Dtype>
class Solver {
 public:
  explicit Solver(const SolverParameter& param);
  /// From a solver's prototxt.
  explicit Solver(const string& param_file);
  virtual ~Solver() = default;

  /// What the constructors do: seeds the thread's generator if random_seed >= 0, makes the nets,
  /// loads `weights`.
  void Init(const SolverParameter& param);
  void InitTrainNet();
  void InitTestNets();

  void SetActionFunction(ActionCallback func);
  /// What the action function says now; NONE without one.
  SolverAction::Enum GetRequestedAction();

  /// Trains up to max_iter, from a solverstate if one is given; then snapshots and tests.
  virtual void Solve(const char* resume_file = nullptr);
  void Solve(const string& resume_file) { Solve(resume_file.c_str()); }
  /// So many iterations more, max_iter or not.
  void Step(int iters);
  /// Continues from a solverstate: weights, history and place in the schedule of learning rates.
  /// On an error nothing has changed.
  void Restore(const char* resume_file);
  void Snapshot();

  const SolverParameter& param() const { return param_; }
  shared_ptr<Net<Dtype>> net() { return net_; }
  const vector<shared_ptr<Net<Dtype>>>& test_nets() { return test_nets_; }
  /// Updates made so far.
  int iter() const { return iter_; }

  /// Called in every iteration of Step. After on_gradients_ready comes the update; what it finds in
  /// the diffs is not yet divided by iter_size, clipped or regularized.
  class Callback {
   protected:
    virtual void on_start() = 0;
    virtual void on_gradients_ready() = 0;
    ~Callback() = default;

    template <typename T>
    friend class Solver;
  };
  const vector<Callback*>& callbacks() const { return callbacks_; }
  /// The caller keeps the callback, which must outlive the solver's last Step.
  void add_callback(Callback* value) { callbacks_.push_back(value); }

  /// Throws unless snapshots can be written to where snapshot_prefix says.
  void CheckSnapshotWritePermissions();
  /// As in the prototxt: "SGD".
  virtual const char* type() const { return ""; }

  /// Changes the weights by the gradients that stand in the diffs, which afterwards hold what was
  /// subtracted from the weights.
  virtual void ApplyUpdate() = 0;

 protected:
  string SnapshotFilename(const string& extension);
  /// Each writes the weights and returns the file's name.
  string SnapshotToBinaryProto();
  string SnapshotToHDF5();
  void TestAll();
  void Test(const int test_net_id = 0);
  virtual void SnapshotSolverState(const string& model_filename) = 0;
  virtual void RestoreSolverStateFromHDF5(const string& state_file) = 0;
  virtual void RestoreSolverStateFromBinaryProto(const string& state_file) = 0;
  /// Logs the outputs of a test net; of the training net for -1.
  void DisplayOutputBlobs(const int net_id);
  /// smoothed_loss_ becomes the mean of the last average_loss losses since start_iter.
  void UpdateSmoothedLoss(Dtype loss, int start_iter, int average_loss);
  /// Throws for settings that no update can be made with; called when training begins.
  virtual void CheckSettings() {}
  /// For messages: "learning rate 0.01"; "" where there is none.
  virtual string DescribeRate() { return ""; }

  SolverParameter param_;
  int iter_ = 0;
  int current_step_ = 0;  // steps of the learning rate so far (step, multistep)
  shared_ptr<Net<Dtype>> net_;
  vector<shared_ptr<Net<Dtype>>> test_nets_;
  vector<Callback*> callbacks_;
  vector<Dtype> losses_;
  Dtype smoothed_loss_ = 0;
  ActionCallback action_request_function_;
  bool requested_early_exit_ = false;
  Timer iteration_timer_;
  float iterations_last_ = 0;

 private:
  Dtype forward_backward();
  void check_loss(Dtype loss);
  void display_iteration();
  /// Obeys what was asked for during a test; false: stop it.
  bool go_on_testing();

  DISABLE_COPY_AND_ASSIGN(Solver);
};

}  // namespace caffe

#endif  // CAFFE_SOLVER_HPP_
