#include "caffe/solver.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <limits>

#include "log_lines.hpp"
#include "solvers/solver_test.hpp"

namespace caffe {

template <typename T>
class SolverLoopTest : public SolverTest<T> {
 protected:
  typedef typename T::Dtype Dtype;

  std::string path(const std::string& name) const { return this->folder + "/" + name; }
  bool exists(const std::string& name) const {
    struct stat status;
    return stat(path(name).c_str(), &status) == 0;
  }
  int files() const {
    const std::string command = "ls -A '" + this->folder + "' | wc -l > " + this->folder + ".n";
    EXPECT_EQ(std::system(command.c_str()), 0);
    int count = -1;
    std::ifstream(this->folder + ".n") >> count;
    std::remove((this->folder + ".n").c_str());
    return count;
  }
};
TYPED_TEST_SUITE(SolverLoopTest, DtypesAndDevices);

namespace {

template <typename Dtype>
struct Recorder : public Solver<Dtype>::Callback {
  explicit Recorder(Solver<Dtype>* solver) : solver(solver) { solver->add_callback(this); }
  void on_start() override { log += "start" + std::to_string(solver->iter()) + " "; }
  void on_gradients_ready() override {
    log += "ready" + std::to_string(solver->iter()) + " ";
    gradient = solver->net()->learnable_params()[0]->cpu_diff()[0];
  }
  Solver<Dtype>* solver;
  std::string log;
  double gradient = 0;
};

}  // namespace

TYPED_TEST(SolverLoopTest, CallsBackBeforeForwardAndWithTheGradientBeforeTheUpdate) {
  typedef typename TypeParam::Dtype Dtype;
  SGDSolver<Dtype> solver(this->param("iter_size: 2"));
  Recorder<Dtype> recorder(&solver);
  solver.Step(2);
  EXPECT_EQ(recorder.log, "start0 ready0 start1 ready1 ");
  const double before = recorder.gradient;
  EXPECT_NEAR(solver.net()->learnable_params()[0]->cpu_diff()[0], 0.125 * before / 2, 1e-6);
  EXPECT_EQ(solver.callbacks().size(), 1u);
}

TYPED_TEST(SolverLoopTest, StopsAtALossThatIsNotFiniteAndKeepsTheWeights) {
  typedef typename TypeParam::Dtype Dtype;
  SGDSolver<Dtype> solver(this->param("lr_policy: 'step' gamma: 0.5 stepsize: 2"));
  solver.Step(2);
  Dtype* const w = solver.net()->learnable_params()[0]->mutable_cpu_data();
  w[0] = std::numeric_limits<Dtype>::quiet_NaN();
  const std::vector<double> before = this->values(solver.net()->learnable_params());
  EXPECT_ERROR(solver.Step(1), "iteration 2: the training loss is nan (learning rate 0.0625)");
  EXPECT_EQ(solver.iter(), 2);
  EXPECT_EQ(this->values(solver.net()->learnable_params())[1], before[1]);
  w[0] = std::numeric_limits<Dtype>::infinity();
  EXPECT_ERROR(solver.Step(1), "iteration 2: the training loss is inf");
}

TYPED_TEST(SolverLoopTest, ContinuesWithALossThatIsNotFiniteOnRequest) {
  typedef typename TypeParam::Dtype Dtype;
  SGDSolver<Dtype> solver(this->param("continue_on_nonfinite_loss: true"));
  solver.net()->learnable_params()[0]->mutable_cpu_data()[0] =
      std::numeric_limits<Dtype>::quiet_NaN();
  solver.Step(2);
  EXPECT_EQ(solver.iter(), 2);
}

TYPED_TEST(SolverLoopTest, LogsAsCaffeDoes) {
  typedef typename TypeParam::Dtype Dtype;
  LogLines log;
  SGDSolver<Dtype> solver(
      this->param("type: 'SGD' display: 2 max_iter: 4 average_loss: 2 test_iter: 2 "
                  "test_interval: 4 test_compute_loss: true"));
  EXPECT_TRUE(log.has("Creating training net specified in net_param."));
  EXPECT_TRUE(log.has("Creating test net (#0) specified by net_param"));
  EXPECT_TRUE(log.has("Solver scaffolding done."));
  log.clear();
  solver.Solve();
  const std::string number = "[-+.e0-9]+";
  const std::string state = this->folder + "/s_iter_4";
  log.expect(
      {"Solving least", "Learning Rate Policy: fixed", "Iteration 0, Testing net \\(#0\\)",
       "Test loss: " + number,
       "    Test net output #0: loss = (" + number + ") \\(\\* 1 = \\1 loss\\)",
       "Iteration 0 \\(" + number + " iter/s, " + number + "s/2 iters\\), loss = " + number,
       "    Train net output #0: loss = (" + number + ") \\(\\* 1 = \\1 loss\\)",
       "Iteration 0, lr = 0.125",
       "Iteration 2 \\(" + number + " iter/s, " + number + "s/2 iters\\), loss = " + number,
       "    Train net output #0: loss = (" + number + ") \\(\\* 1 = \\1 loss\\)",
       "Iteration 2, lr = 0.125", "Snapshotting to binary proto file " + state + "\\.caffemodel",
       "Snapshotting solver state to binary proto file " + state + "\\.solverstate",
       "Iteration 4, loss = " + number, "Iteration 4, Testing net \\(#0\\)", "Test loss: " + number,
       "    Test net output #0: loss = (" + number + ") \\(\\* 1 = \\1 loss\\)",
       "Optimization Done."});
}

TYPED_TEST(SolverLoopTest, ShowsTheMeanOfTheLastLosses) {
  typedef typename TypeParam::Dtype Dtype;
  LogLines log;
  SGDSolver<Dtype> solver(this->param("base_lr: 0 display: 1 average_loss: 3"));
  solver.Step(5);
  std::vector<double> losses;
  for (int batch = 0; batch < 5; ++batch) {
    std::vector<double> unused(least_squares::kParams, 0);
    losses.push_back(least_squares::loss(least_squares::start(), batch, &unused));
  }
  const std::vector<double> shown = log.numbers("Iteration \\d+ \\(.*, loss = (.*)");
  ASSERT_EQ(shown.size(), 5u);
  EXPECT_NEAR(shown[0], losses[0], 1e-5);
  EXPECT_NEAR(shown[1], (losses[0] + losses[1]) / 2, 1e-5);
  EXPECT_NEAR(shown[4], (losses[2] + losses[3] + losses[4]) / 3, 1e-5);
}

TYPED_TEST(SolverLoopTest, TestsWithTheCurrentWeightsAndAveragesOverTheBatches) {
  typedef typename TypeParam::Dtype Dtype;
  LogLines log;
  SGDSolver<Dtype> solver(
      this->param("max_iter: 1 test_iter: 3 test_interval: 1 test_initialization: false "
                  "snapshot_after_train: false"));
  solver.Solve();
  const std::vector<double> w = this->values(solver.net()->learnable_params());
  std::vector<double> unused(least_squares::kParams, 0);
  double mean = 0;
  for (int batch = 1; batch < 4; ++batch) mean += least_squares::loss(w, batch, &unused) / 3;
  const std::vector<double> shown = log.numbers("    Test net output #0: loss = ([^ ]*) .*");
  ASSERT_EQ(shown.size(), 1u);
  EXPECT_NEAR(shown[0], mean, 1e-5);
}

TYPED_TEST(SolverLoopTest, DoesWhatIsAskedForBetweenIterations) {
  typedef typename TypeParam::Dtype Dtype;
  SGDSolver<Dtype> solver(this->param("max_iter: 10"));
  std::vector<SolverAction::Enum> asked = {SolverAction::NONE, SolverAction::SNAPSHOT,
                                           SolverAction::NONE, SolverAction::STOP};
  size_t next = 0;
  solver.SetActionFunction(
      [&] { return next < asked.size() ? asked[next++] : SolverAction::NONE; });
  LogLines log;
  solver.Solve();
  EXPECT_EQ(solver.iter(), 4);
  EXPECT_TRUE(log.has("Optimization stopped early."));
  EXPECT_TRUE(this->exists("s_iter_2.caffemodel") && this->exists("s_iter_2.solverstate"));
  EXPECT_TRUE(this->exists("s_iter_4.caffemodel") && this->exists("s_iter_4.solverstate"));
  EXPECT_EQ(this->files(), 4);
}

TYPED_TEST(SolverLoopTest, StopsAndSnapshotsDuringATest) {
  typedef typename TypeParam::Dtype Dtype;
  SGDSolver<Dtype> solver(
      this->param("max_iter: 10 test_iter: 5 test_interval: 2 "
                  "snapshot_after_train: false"));
  int calls = 0;
  // 5 batches of the first test, 2 iterations, then in the second test.
  solver.SetActionFunction([&] {
    ++calls;
    return calls == 9    ? SolverAction::SNAPSHOT
           : calls == 11 ? SolverAction::STOP
                         : SolverAction::NONE;
  });
  LogLines log;
  solver.Solve();
  EXPECT_EQ(solver.iter(), 2);
  EXPECT_TRUE(log.has("Test interrupted."));
  EXPECT_TRUE(this->exists("s_iter_2.caffemodel"));
  EXPECT_EQ(calls, 11);
}

TYPED_TEST(SolverLoopTest, SnapshotsAtItsIntervalAndOnceAtTheEnd) {
  typedef typename TypeParam::Dtype Dtype;
  SGDSolver<Dtype> solver(this->param("max_iter: 4 snapshot: 2 snapshot_format: HDF5"));
  solver.Solve();
  EXPECT_TRUE(this->exists("s_iter_2.caffemodel.h5") && this->exists("s_iter_4.caffemodel.h5"));
  EXPECT_TRUE(this->exists("s_iter_2.solverstate.h5") && this->exists("s_iter_4.solverstate.h5"));
  EXPECT_EQ(this->files(), 4);
}

TYPED_TEST(SolverLoopTest, WritesTheStateAsBvlcCaffeReadsIt) {
  typedef typename TypeParam::Dtype Dtype;
  SGDSolver<Dtype> solver(
      this->param("momentum: 0.5 lr_policy: 'step' gamma: 0.5 stepsize: 1 "
                  "snapshot_diff: true"));
  solver.Step(3);
  solver.Snapshot();
  SolverState state;
  ReadProtoFromBinaryFile(this->path("s_iter_3.solverstate"), &state);
  EXPECT_EQ(state.iter(), 3);
  EXPECT_EQ(state.learned_net(), this->path("s_iter_3.caffemodel"));
  EXPECT_EQ(state.current_step(), 2);
  ASSERT_EQ(state.history_size(), 2);
  EXPECT_EQ(state.history(0).shape().dim(0), least_squares::kOut);
  EXPECT_EQ(state.history(1).shape().dim_size(), 1);
  NetParameter net;
  ReadProtoFromBinaryFile(this->path("s_iter_3.caffemodel"), &net);
  ASSERT_EQ(net.layer_size(), 1);
  const BlobProto& w = net.layer(0).blobs(0);
  EXPECT_EQ(sizeof(Dtype) == 4 ? w.diff_size() : w.double_diff_size(),
            least_squares::kOut * least_squares::kIn);
}

TYPED_TEST(SolverLoopTest, FindsTheModelInTheStatesFolder) {
  typedef typename TypeParam::Dtype Dtype;
  SGDSolver<Dtype> solver(this->param(""));
  solver.Step(1);
  solver.Snapshot();
  const std::string moved = this->path("moved");
  const std::string command = "mkdir " + moved + " && mv " + this->path("s_iter_1.*") + " " + moved;
  ASSERT_EQ(std::system(command.c_str()), 0);
  SGDSolver<Dtype> other(this->param(""));
  other.Restore((moved + "/s_iter_1.solverstate").c_str());
  EXPECT_EQ(this->values(other.net()->learnable_params()),
            this->values(solver.net()->learnable_params()));
  ASSERT_EQ(std::remove((moved + "/s_iter_1.caffemodel").c_str()), 0);
  EXPECT_ERROR(other.Restore((moved + "/s_iter_1.solverstate").c_str()), "s_iter_1.caffemodel");
}

TYPED_TEST(SolverLoopTest, RefusesAStateOfAnotherSolverOrNet) {
  typedef typename TypeParam::Dtype Dtype;
  for (const std::string format : {"BINARYPROTO", "HDF5"}) {
    const std::string end = format == "HDF5" ? ".solverstate.h5" : ".solverstate";
    SGDSolver<Dtype> solver(this->param("snapshot_format: " + format));
    solver.Step(1);
    solver.Snapshot();
    AdamSolver<Dtype> adam(this->param("type: 'Adam'"));
    const std::string state = this->path("s_iter_1" + end);
    EXPECT_ERROR(adam.Restore(state.c_str()), "has 2 history blobs, while solver Adam keeps 4");
    EXPECT_ERROR(adam.Restore(this->path("none" + end).c_str()), "none" + end);
    EXPECT_EQ(adam.iter(), 0);
    std::ofstream(state, std::ios::trunc) << "no state";
    EXPECT_ERROR(solver.Restore(state.c_str()), state);
    EXPECT_EQ(solver.iter(), 1);
  }
}

/// The names of the files do not matter, and what is no state says what it is.
TYPED_TEST(SolverLoopTest, TellsAStateByItsContent) {
  typedef typename TypeParam::Dtype Dtype;
  for (const std::string format : {"BINARYPROTO", "HDF5"}) {
    const std::string end = format == "HDF5" ? ".h5" : "";
    SGDSolver<Dtype> solver(this->param("snapshot_format: " + format));
    solver.Step(1);
    solver.Snapshot();
    const std::string state = this->path("s_iter_1.solverstate" + end);
    const std::string model = this->path("s_iter_1.caffemodel" + end);
    EXPECT_ERROR(solver.Restore(model.c_str()),
                 model + ": is not a solver state; it is a net's weights");
    EXPECT_ERROR(solver.net()->CopyTrainedLayersFrom(state), "it is a solver state");
    const std::string renamed = this->path(format == "HDF5" ? "state" : "state.h5");
    ASSERT_EQ(std::rename(state.c_str(), renamed.c_str()), 0);
    SGDSolver<Dtype> other(this->param(""));
    other.Restore(renamed.c_str());
    EXPECT_EQ(other.iter(), 1);
  }
}

TYPED_TEST(SolverLoopTest, NamesThatHdf5CannotKeepApartAreAnErrorAtTheStart) {
  typedef typename TypeParam::Dtype Dtype;
  SolverParameter param = this->param("max_iter: 1 snapshot_format: HDF5");
  LayerParameter* const first = param.mutable_net_param()->mutable_layer(0);
  param.mutable_net_param()->add_layer()->CopyFrom(*first);
  first->set_name("a//b");
  param.mutable_net_param()->mutable_layer(1)->set_name("a/%/b");
  param.mutable_net_param()->mutable_layer(1)->set_top(0, "more");
  EXPECT_ERROR(SGDSolver<Dtype>{param}, "layers 'a//b' and 'a/%/b' would be one group");
  param.set_snapshot_format(SolverParameter_SnapshotFormat_BINARYPROTO);
  SGDSolver<Dtype> solver(param);
}

TYPED_TEST(SolverLoopTest, SaysAtTheStartWhereItCannotWriteTo) {
  typedef typename TypeParam::Dtype Dtype;
  SolverParameter param = this->param("max_iter: 2 snapshot: 1");
  param.set_snapshot_prefix(this->folder + "/none/s");
  EXPECT_ERROR(SGDSolver<Dtype>{param}, "/none/s");
  param.clear_snapshot();
  SGDSolver<Dtype> at_the_end(param);
  EXPECT_ERROR(at_the_end.Solve(), "/none/s");
  EXPECT_EQ(at_the_end.iter(), 0);
  param.clear_snapshot_prefix();
  SGDSolver<Dtype> nowhere(param);
  EXPECT_ERROR(nowhere.Solve(), "snapshot_prefix");
  param.set_snapshot_after_train(false);
  SGDSolver<Dtype>(param).Solve();
}

TYPED_TEST(SolverLoopTest, LeavesNothingBehindWhenTheDiskIsFull) {
  typedef typename TypeParam::Dtype Dtype;
  for (const std::string format : {"BINARYPROTO", "HDF5"}) {
    SGDSolver<Dtype> solver(this->param("snapshot_format: " + format));
    solver.Step(1);
    rlimit before;
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit small = before;
    small.rlim_cur = 64;
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const std::string message = error_of([&] { solver.Snapshot(); });
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    EXPECT_PRED2(contains, message, this->path("s_iter_1.caffemodel"));
    EXPECT_EQ(this->files(), 0);
    solver.Step(1);  // and training can continue
  }
}

TYPED_TEST(SolverLoopTest, StartsFromTheWeightsThatAreGiven) {
  typedef typename TypeParam::Dtype Dtype;
  SGDSolver<Dtype> first(this->param(""));
  first.Step(2);
  first.Snapshot();
  SGDSolver<Dtype> second(this->param("weights: '" + this->path("s_iter_2.caffemodel") +
                                      "' test_iter: 1 test_interval: 1"));
  EXPECT_EQ(second.iter(), 0);
  for (Net<Dtype>* net : {second.net().get(), second.test_nets()[0].get()}) {
    EXPECT_EQ(this->values(net->learnable_params()), this->values(first.net()->learnable_params()));
  }
}

TYPED_TEST(SolverLoopTest, ResumesThroughSolve) {
  typedef typename TypeParam::Dtype Dtype;
  SGDSolver<Dtype> first(this->param("momentum: 0.9"));
  first.Step(2);
  first.Snapshot();
  first.Step(3);
  least_squares::next_batch() = 2;
  SGDSolver<Dtype> second(this->param("momentum: 0.9 max_iter: 5 snapshot_after_train: false"));
  LogLines log;
  second.Solve(this->path("s_iter_2.solverstate"));
  EXPECT_TRUE(
      log.has("Restoring previous solver status from " + this->path("s_iter_2.solverstate")));
  EXPECT_EQ(this->values(second.net()->learnable_params()),
            this->values(first.net()->learnable_params()));
}

TYPED_TEST(SolverLoopTest, StepsAfterPlateausAlsoWhenItContinues) {
  typedef typename TypeParam::Dtype Dtype;
  // Without learning, the losses are those of the start's weights.
  const std::string text =
      "base_lr: 1 gamma: 0.5 lr_policy: 'plateau' plateau_winsize: 2 plateau_winsize: 1 "
      "plateau_winsize: 3 ";
  const auto still = [](SGDSolver<Dtype>* solver) {
    const auto& rates = solver->net()->params_lr();
    for (float& rate : const_cast<vector<float>&>(rates)) rate = 0;
  };
  const int iterations = 12;
  vector<int> steps;
  double minimum = 1e38;
  for (int t = 0, last = 0, step = 0; t < iterations; ++t) {
    vector<double> gradient(least_squares::kParams);
    const double loss = least_squares::loss(least_squares::start(), t, &gradient);
    if (loss < minimum) {
      minimum = loss;
      last = t;
    } else if (step < 3 && t - last >= vector<int>{2, 1, 3}[step]) {
      ++step;
      last = t;
    }
    steps.push_back(step);
  }
  ASSERT_EQ(steps.back(), 3);
  for (const std::string format : {"BINARYPROTO", "HDF5"}) {
    const SolverParameter param = this->param(text + "snapshot_format: " + format);
    least_squares::next_batch() = 0;
    SGDSolver<Dtype> first(param), second(param);
    still(&first);
    still(&second);
    for (int t = 0; t < iterations; ++t) {
      SGDSolver<Dtype>& solver = t < 4 ? first : second;
      if (t == 4) {
        first.Snapshot();
        second.Restore(
            this->path("s_iter_4.solverstate" + std::string(format == "HDF5" ? ".h5" : ""))
                .c_str());
      }
      solver.Step(1);
      EXPECT_EQ(solver.GetLearningRate(), std::pow(Dtype(0.5), steps[t])) << format << t;
    }
  }
}

TYPED_TEST(SolverLoopTest, SeedsTheGenerator) {
  typedef typename TypeParam::Dtype Dtype;
  const auto drawn = [&](const std::string& text) {
    Caffe::set_random_seed(99);
    SGDSolver<Dtype> solver(this->param(text));
    return caffe_rng_rand();
  };
  EXPECT_EQ(drawn("random_seed: 5"), drawn("random_seed: 5"));
  EXPECT_NE(drawn("random_seed: 5"), drawn("random_seed: 0"));
  EXPECT_NE(drawn("random_seed: 0"), drawn(""));
  EXPECT_EQ(drawn(""), drawn("random_seed: -1"));
}

TYPED_TEST(SolverLoopTest, RefusesSettingsThatMakeNoStepBeforeTheFirstOne) {
  typedef typename TypeParam::Dtype Dtype;
  SolverParameter param = this->param("");
  param.set_lr_policy("stp");
  SGDSolver<Dtype> solver(param);
  EXPECT_ERROR(solver.Step(1), "lr_policy");
  EXPECT_EQ(least_squares::next_batch(), 0);
  SGDSolver<Dtype> other(this->param("regularization_type: 'L3'"));
  EXPECT_ERROR(other.Step(1), "L3");
  EXPECT_ERROR(SGDSolver<Dtype>(this->param("average_loss: 0")), "average_loss");
  EXPECT_ERROR(SGDSolver<Dtype>(this->param("iter_size: 0")), "iter_size");
}

}  // namespace caffe
