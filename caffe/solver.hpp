#ifndef CAFFE_SOLVER_HPP_
#define CAFFE_SOLVER_HPP_

// Trains a net: a loop of forward, backward and update, with tests, log lines and snapshots in
// between. The derived class defines how a gradient becomes an update (sgd_solvers.hpp).
//
// An iteration of Step:
//   the diffs of the parameters are cleared
//   test nets run                       every test_interval iterations
//   Callback::on_start
//   forward and backward                iter_size times; the gradients add up
//   the loss is checked and shown       shown every display iterations
//   Callback::on_gradients_ready
//   ApplyUpdate; iter() grows by one
//   snapshot                            every `snapshot` iterations, or on request
//
// In GPU mode an iteration waits for the GPU once: Step queues all of it, and what the host reads
// (the loss, outputs, debug_info) comes after the update, with the log lines in their usual order.
// With callbacks, or a derived class whose update does not allow that (UpdatesLate), it waits
// before the update as well. With cuda_graph it replays a recording (caffe/solver_graph.hpp).
//
// A loss that is NaN or infinite ends Step with an Error before the update, so that the weights are
// those of the last good iteration; continue_on_nonfinite_loss: true continues instead.
//
// Several ranks may train one net (TrainTogether, caffe/parallel/data_parallel.hpp): each computes
// gradients of its own part of the images, and ApplyUpdate and callbacks see the mean. Rank 0 alone
// writes log lines, tests and snapshots.
//
// Snapshots. A snapshot is two files, PREFIX_iter_N.caffemodel and PREFIX_iter_N.solverstate (".h5"
// is appended for HDF5). Each is written under a temporary name in the same folder and renamed when
// complete, the state last. So a file with a final name is complete, and a state always has its
// model. A file that cannot be written is an Error that names it.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/benchmark.hpp"
#include "caffe/util/late_values.hpp"

namespace caffe {

class Communicator;
template <typename Dtype>
class DataParallel;
template <typename Dtype>
struct RankVerdict;
template <typename Dtype>
class IterationGraph;

/// What a user can request of a solver between two iterations, by a signal for example.
namespace SolverAction {
enum Enum {
  NONE = 0,
  STOP = 1,     // stop early, with a snapshot if snapshot_after_train
  SNAPSHOT = 2  // snapshot, then continue
};
}  // namespace SolverAction

/// Called after every iteration and before every batch of a test; returns each request once.
typedef std::function<SolverAction::Enum()> ActionCallback;

template <typename Dtype>
class Solver {
 public:
  explicit Solver(const SolverParameter& param);
  /// From a solver's prototxt.
  explicit Solver(const string& param_file);
  virtual ~Solver() = default;

  /// Called by the constructors: seeds the thread's generator if random_seed >= 0, creates the
  /// nets, and loads `weights`.
  void Init(const SolverParameter& param);
  void InitTrainNet();
  void InitTestNets();

  /// Step and Solve train together with the other ranks from now on: all ranks call this with their
  /// communicator, and then make the same calls. The first iteration begins with rank 0's weights,
  /// history and iteration; so does the first one after a Restore, which all ranks call. A request
  /// of one rank's action function counts for all. An error on one rank ends all. Throws unless
  /// Caffe::solver_count and solver_rank are the communicator's (become_rank() sets them), now and
  /// when the solver was made, and, at the first iteration, if the ranks' solvers or nets differ.
  /// Null: this solver is alone again. All ranks call that too, before one of them is destroyed.
  void TrainTogether(shared_ptr<Communicator> ranks);

  void SetActionFunction(ActionCallback func);
  /// What the action function requests now; NONE if there is no such function.
  SolverAction::Enum GetRequestedAction();

  /// Trains up to max_iter, from a solverstate if one is given; then writes a snapshot and tests.
  /// Where ranks train together, all of them call it; otherwise only the root solver may.
  virtual void Solve(const char* resume_file = nullptr);
  void Solve(const string& resume_file) { Solve(resume_file.c_str()); }
  /// Runs `iters` more iterations, regardless of max_iter.
  void Step(int iters);
  /// Restores a solverstate: weights, history and position in the learning rate schedule. If it
  /// throws, nothing has changed.
  void Restore(const char* resume_file);
  /// Writes a snapshot. Where ranks train together all of them call it, because rank 0, which
  /// writes it, needs the others' statistics; otherwise only the root solver may.
  void Snapshot();

  const SolverParameter& param() const { return param_; }
  shared_ptr<Net<Dtype>> net() { return net_; }
  const vector<shared_ptr<Net<Dtype>>>& test_nets() { return test_nets_; }
  /// The number of updates so far.
  int iter() const { return iter_; }

  /// Called in every iteration of Step. on_gradients_ready runs before the update: the diffs are
  /// not yet divided by iter_size, clipped or regularized.
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

  /// Throws unless snapshots can be written where snapshot_prefix says.
  void CheckSnapshotWritePermissions();
  /// As in the prototxt: "SGD".
  virtual const char* type() const { return ""; }

  /// Updates the weights from the gradients in the diffs. Afterwards the diffs hold the values that
  /// were subtracted from the weights.
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
  /// Runs a test net, or the training net for -1, and logs its outputs.
  void DisplayOutputBlobs(const int net_id);
  /// smoothed_loss_ becomes the mean of the last average_loss losses since start_iter.
  void UpdateSmoothedLoss(Dtype loss, int start_iter, int average_loss);
  /// Throws if the settings allow no update; called when training begins.
  virtual void CheckSettings() {}
  /// Called when training begins, after CheckSettings.
  virtual void PrepareUpdates() {}
  /// Sets the gradients of all parameters to 0.
  virtual void ClearGradients() { net_->ClearParamDiffs(); }
  /// Whether ApplyUpdate changes nothing on a GPU if LateValues::stop() says so, and reads nothing
  /// back before the late values.
  virtual bool UpdatesLate() const { return false; }
  /// Where ranks train together: rank 0's position, weights and whatever else an update depends on,
  /// to all ranks.
  virtual void BroadcastState(DataParallel<Dtype>* ranks);
  /// On a GPU: how many values from the beginning of a parameter's gradient on are its own or 0, if
  /// the solver has laid the gradients side by side; 0 if it has not.
  virtual size_t GradientRoom(int /*param_id*/) const { return 0; }
  /// All numbers that the update of an iteration depends on, but for the rate (solver_graph.hpp).
  virtual vector<double> UpdateSettings() const;
  /// On a GPU: what the loss's gradient is multiplied by, or null (caffe/solvers/loss_scale.hpp).
  virtual const Dtype* GpuLossFactor() { return nullptr; }
  /// Whether the diffs that ApplyUpdate finds were computed with that factor: in an iteration of
  /// Step, but not where somebody else called Backward.
  bool gradients_are_scaled() const { return gradients_are_scaled_; }
  bool display_is_due() const { return param_.display() > 0 && iter_ % param_.display() == 0; }
  /// For messages: "learning rate 0.01"; "" if there is none.
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
  CPUTimer iteration_timer_;
  float iterations_last_ = 0;

 private:
  void step(int iters);
  void solve(const char* resume_file);
  bool test_is_due() const;
  void take_request();
  void iterate();
  void iterate_late();
  void run_passes_late(LateLoss<Dtype>* loss, IterationGraph<Dtype>* graph,
                       const std::function<void()>& conclude);
  IterationGraph<Dtype>* graph_for_now();
  void check_loss_scale();
  Dtype forward_backward();
  void show(Dtype loss, const string& where = "");
  void check_loss(Dtype loss, const string& where);
  void display_iteration();
  /// Handles a request made during a test; false means that the test must stop.
  bool go_on_testing();
  void write_snapshot();

  // solver_ranks.cpp: alone or together
  void test_together();
  void snapshot_together();
  void begin_pass(int pass);
  // together
  void begin_together();
  void request_together();
  void show_together(const RankVerdict<Dtype>& verdict);
  string describe_for_ranks() const;

  int start_iter_ = 0;  // of this Step
  std::unique_ptr<LateValues> late_values_;
  shared_ptr<IterationGraph<Dtype>> graph_;  // null: none was asked for yet
  bool gradients_are_scaled_ = false;
  shared_ptr<DataParallel<Dtype>> together_;  // null: this solver is alone
  bool has_begun_together_ = false;
  int made_as_rank_ = 0, made_of_ranks_ = 1;  // what data layers chose their records by
  bool stop_requested_ = false, snapshot_requested_ = false;  // by any rank

  DISABLE_COPY_AND_ASSIGN(Solver);
};

}  // namespace caffe

#endif  // CAFFE_SOLVER_HPP_
