// What happens while several ranks train: what ends them, what they log, and in which order an
// iteration goes.

#include <filesystem>
#include <limits>
#include <map>

#include "parallel/rank_training.hpp"
#include "parallel/relayed_rank.hpp"

namespace caffe {
namespace {

typedef std::shared_ptr<Communicator> Rank;

}  // namespace

template <typename TypeParam>
class RankEventsTest : public DataParallelTest<TypeParam> {};
TYPED_TEST_SUITE(RankEventsTest, DtypesAndDevices);

// ---- what ends a training

/// The fourth iteration's images of rank 1 have a NaN: all ranks stay at the weights before it.
TYPED_TEST(RankEventsTest, ALossThatIsNotFiniteEndsAllRanks) {
  typedef typename TypeParam::Dtype Dtype;
  auto datums = float_images(26);
  datums[6 * 3 + 3].set_float_data(5, std::numeric_limits<float>::infinity());  // the 4th of rank 1
  write_database(this->folder_ / "bad", datums);
  const auto net = [&](const std::string& source) {
    return data_layer(this->folder_ / source, 3) + trained_layers("data") + softmax_loss();
  };
  const std::string text = "momentum: 0.9 lr_policy: 'multistep' stepvalue: 2 gamma: 0.5";
  const std::vector<Dtype> good = this->trained(2, solver_param(net("images"), text), 3)[0];
  const auto errors = run_ranks(2, [&](Rank rank) {
    const auto solver = join<Dtype>(rank, solver_param(net("bad"), text));
    const std::string error = error_of([&] { solver->Step(10); });
    EXPECT_EQ(solver->iter(), 3);
    EXPECT_EQ(weights(solver.get()), good) << rank->rank();
    CAFFE_FAIL(error);
  });
  for (const std::string& error : errors) {
    EXPECT_PRED2(contains, error, "iteration 3: the training loss is ");
    EXPECT_PRED2(contains, error, " on rank 1 (learning rate 0.025)");
  }
  const SolverParameter goes_on =
      solver_param(net("bad"), text + " continue_on_nonfinite_loss: true");
  EXPECT_TRUE(std::isnan(this->trained(2, goes_on, 5)[0][0]));
}

TYPED_TEST(RankEventsTest, ARankThatFailsEndsAllRanks) {
  typedef typename TypeParam::Dtype Dtype;
  std::vector<std::string> values;
  for (const Datum& datum : float_images(26)) values.push_back(datum.SerializeAsString());
  values[7] = "not a datum";  // of rank 1, in its second batch
  write_database(this->folder_ / "bad", values);
  const std::string net =
      data_layer(this->folder_ / "bad", 2) + trained_layers("data") + softmax_loss();
  const auto errors =
      run_ranks(3, [&](Rank rank) { join<Dtype>(rank, solver_param(net, ""))->Step(10); });
  EXPECT_PRED2(contains, errors[1], "record 'key107'");
  for (const int other : {0, 2}) {
    EXPECT_PRED2(contains, errors[other], "rank 1 ended: ");
    EXPECT_PRED2(contains, errors[other], "record 'key107'");
  }
}

/// On a GPU this error is found late; the other ranks' weights must stay all the same.
TYPED_TEST(RankEventsTest, AWrongLabelOfOneRankChangesNothingOnAny) {
  typedef typename TypeParam::Dtype Dtype;
  auto datums = float_images(26);
  datums[5].set_label(7);  // of rank 1, in its second batch
  write_database(this->folder_ / "bad", datums);
  const auto net = [&](const std::string& source) {
    return data_layer(this->folder_ / source, 2) + trained_layers("data") + softmax_loss();
  };
  const std::vector<Dtype> good = this->trained(2, solver_param(net("images"), ""), 1)[0];
  const auto errors = run_ranks(2, [&](Rank rank) {
    const auto solver = join<Dtype>(rank, solver_param(net("bad"), ""));
    const std::string error = error_of([&] { solver->Step(10); });
    EXPECT_EQ(weights(solver.get()), good) << rank->rank();
    CAFFE_FAIL(error);
  });
  EXPECT_PRED2(contains, errors[1], "is out of range: there are 3 classes");
  EXPECT_PRED2(contains, errors[0], "rank 1 ended: ");
  EXPECT_PRED2(contains, errors[0], "is out of range: there are 3 classes");
}

TYPED_TEST(RankEventsTest, ARequestOfOneRankCountsForAll) {
  typedef typename TypeParam::Dtype Dtype;
  for (const SolverAction::Enum action : {SolverAction::STOP, SolverAction::SNAPSHOT}) {
    const auto errors = run_ranks(3, [&](Rank rank) {
      const auto solver = join<Dtype>(
          rank, solver_param(this->small_net(2),
                             this->with_prefix("max_iter: 6 snapshot_after_train: false")));
      int asked = 0;
      solver->SetActionFunction(
          [&] { return ++asked == 3 && rank->rank() == 2 ? action : SolverAction::NONE; });
      solver->Solve();
      EXPECT_EQ(solver->iter(), action == SolverAction::STOP ? 3 : 6);
    });
    for (const std::string& error : errors) EXPECT_EQ(error, "");
    EXPECT_EQ(std::filesystem::exists(iteration_file(this->folder_, 3)),
              action == SolverAction::SNAPSHOT);
  }
}

/// Rank 0 tests; a stop in its test ends all.
TYPED_TEST(RankEventsTest, AStopInATestEndsAllRanks) {
  typedef typename TypeParam::Dtype Dtype;
  const auto errors = run_ranks(2, [&](Rank rank) {
    const auto solver = join<Dtype>(rank, solver_param(this->small_net(2),
                                                       "max_iter: 6 snapshot_after_train: false "
                                                       "test_iter: 4 test_interval: 2"));
    EXPECT_EQ(solver->test_nets().size(), rank->rank() == 0 ? 1u : 0u);
    int asked = 0;  // 4 times in each test, once in each iteration
    solver->SetActionFunction([&] {
      return ++asked == 8 && rank->rank() == 0 ? SolverAction::STOP : SolverAction::NONE;
    });
    solver->Solve();
    EXPECT_EQ(solver->iter(), 2);
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

/// Rank 0 writes it alone, while the others wait for its test.
TYPED_TEST(RankEventsTest, ASnapshotInATestIsRankZeros) {
  typedef typename TypeParam::Dtype Dtype;
  const auto errors = run_ranks(2, [&](Rank rank) {
    const auto solver = join<Dtype>(
        rank, solver_param(this->small_net(2), this->with_prefix("max_iter: 3 test_iter: 4 "
                                                                 "test_interval: 2 "
                                                                 "snapshot_after_train: false")));
    int asked = 0;  // 4 times in each test, once in each iteration
    solver->SetActionFunction([&] {
      return ++asked == 8 && rank->rank() == 0 ? SolverAction::SNAPSHOT : SolverAction::NONE;
    });
    solver->Solve();
    EXPECT_EQ(solver->iter(), 3);
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
  EXPECT_TRUE(std::filesystem::exists(iteration_file(this->folder_, 2)));
}

// ---- log and order

TYPED_TEST(RankEventsTest, RankZeroAloneLogs) {
  typedef typename TypeParam::Dtype Dtype;
  const std::string text = this->with_prefix(
      "max_iter: 3 display: 1 test_iter: 2 test_interval: 2 snapshot: 2 iter_size: 2 "
      "debug_info: false");
  std::vector<double> mean;
  {
    const SolverParameter param = solver_param(this->small_net(6), text + "average_loss: 1");
    LogLines log;
    run_ranks(1, [&](Rank rank) { join<Dtype>(rank, param)->Solve(); });
    mean = log.numbers("Iteration \\d.* loss = (.*)");
  }
  LogLines log;
  const auto errors = run_ranks(
      3, [&](Rank rank) { join<Dtype>(rank, solver_param(this->small_net(2), text))->Solve(); });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
  const auto count = [&log](const std::string& part) {
    int lines = 0;
    for (const std::string& line : log.lines) lines += contains(line, part);
    return lines;
  };
  EXPECT_EQ(count("3 ranks x batch 2 x iter_size 2 = 12 images an iteration; base_lr 0.05 is left "
                  "as it is"),
            1);
  for (const char* once : {"Solving small", "Creating training net", "Optimization Done.",
                           "Solver scaffolding done", "Snapshotting to binary proto file",
                           "Iteration 2, Testing net (#0)", "Iteration 1 (", "Iteration 1, lr ="}) {
    EXPECT_EQ(count(once), contains(once, "Snapshotting") ? 2 : 1) << once;
  }
  const std::vector<double> shown = log.numbers("Iteration \\d.* loss = (.*)");
  ASSERT_EQ(shown.size(), mean.size());
  for (size_t i = 0; i < mean.size(); ++i) EXPECT_NEAR(shown[i], mean[i], 1e-4) << i;
}

/// What a rank does by itself, in threads that log to one place.
TYPED_TEST(RankEventsTest, RankZeroAloneLogsUpdatesAndHistory) {
  typedef typename TypeParam::Dtype Dtype;
  const std::string text = this->with_prefix(
      "momentum: 0.9 max_iter: 4 snapshot: 2 lr_policy: 'multistep' stepvalue: 3 gamma: 0.5 "
      "clip_gradients: 1e-4 ");
  const auto train = [&](const char* state) {
    const auto errors = run_ranks(2, [&](Rank rank) {
      join<Dtype>(rank, solver_param(this->small_net(2), text))->Solve(state);
    });
    for (const std::string& error : errors) EXPECT_EQ(error, "");
  };
  train(nullptr);
  LogLines log;
  train(iteration_file(this->folder_, 2).c_str());
  std::map<std::string, int> lines;
  for (const std::string& line : log.lines) {
    for (const char* part : {"MultiStep Status", "Gradient clipping", "restoring history"}) {
      lines[part] += contains(line, part);
    }
  }
  EXPECT_EQ(lines["restoring history"], 1);
  EXPECT_EQ(lines["MultiStep Status"], 1);
  EXPECT_EQ(lines["Gradient clipping"], 2);  // one in each iteration
}

namespace {

/// Notes the order of its sums and of what else is told to it.
class Noting : public RelayedRank {
 public:
  Noting(Rank rank, std::vector<std::string>* notes)
      : RelayedRank(std::move(rank)), notes_(notes) {}
  void start_sum(size_t n, float* values) override { start(n, values); }
  void start_sum(size_t n, double* values) override { start(n, values); }
  void wait() override {
    notes_->push_back("wait");
    RelayedRank::wait();
  }

 private:
  template <typename Dtype>
  void start(size_t n, Dtype* values) {
    notes_->push_back("sum " + std::to_string(n));
    RelayedRank::start_sum(n, values);
  }
  std::vector<std::string>* const notes_;
};

struct NoteLayer : Net<double>::Callback {
  explicit NoteLayer(std::vector<std::string>* notes) : notes(notes) {}
  void run(int layer) override { notes->push_back("layer " + std::to_string(layer)); }
  std::vector<std::string>* notes;
};

/// Notes of rank 0 in one iteration: two large inner products and their loss.
std::vector<std::string> noted(const TempDir& folder, const std::string& settings) {
  std::vector<std::string> notes;
  const std::string net =
      data_layer(folder / "images", 2) +
      "layer { name: 'first' type: 'InnerProduct' bottom: 'data' top: 'first' "
      "inner_product_param { num_output: 500 weight_filler { type: 'xavier' } } } "
      "layer { name: 'second' type: 'InnerProduct' bottom: 'first' top: 'second' "
      "inner_product_param { num_output: 4000 weight_filler { type: 'xavier' } } } "
      "layer { name: 'scores' type: 'InnerProduct' bottom: 'second' top: 'scores' "
      "inner_product_param { num_output: 3 weight_filler { type: 'xavier' } } } " +
      softmax_loss();
  const auto errors = run_ranks(2, [&](Rank rank) {
    std::vector<std::string> mine;
    const auto solver =
        join<double>(std::make_shared<Noting>(rank, &mine), solver_param(net, settings));
    NoteLayer note(&mine);
    solver->net()->add_after_backward(&note);
    solver->Step(1);
    if (rank->rank() == 0) notes = mine;
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
  return notes;
}

}  // namespace

class RankEventsOrder : public ::testing::Test {
 protected:
  void SetUp() override { write_database(folder_ / "images", float_images(12)); }
  TempDir folder_;
  const QuietLog quiet_;
};

TEST_F(RankEventsOrder, SumsStartWhileTheBackwardPassRuns) {
  // Layers: input 0, first 1, second 2, scores 3, loss 4. Values: 72000 and 500; 2000000 and 4000;
  // 12000 and 3. A bucket ends before a parameter of more than 4 MB, or after it.
  EXPECT_EQ(
      noted(folder_, ""),
      (std::vector<std::string>{"layer 4", "layer 3", "layer 2", "sum 16003", "sum 2000000",
                                "layer 1", "sum 72000", "sum 500", "layer 0", "sum 5", "wait"}));
}

TEST_F(RankEventsOrder, OnlyTheLastPassOfAnIterationStartsSums) {
  const auto notes = noted(folder_, "iter_size: 2");
  ASSERT_EQ(notes.size(), 5u + 5 + 6);
  EXPECT_EQ(notes[4], "layer 0");
  for (int i = 0; i < 5; ++i) EXPECT_PRED2(contains, notes[i], "layer") << i;
  EXPECT_EQ(notes[8], "sum 16003");
}

/// debug_info reads all gradients at the end of the pass.
TEST_F(RankEventsOrder, DebugInfoComesBeforeTheSums) {
  const auto notes = noted(folder_, "display: 1 debug_info: true");
  ASSERT_GE(notes.size(), 11u);
  for (int i = 0; i < 5; ++i) EXPECT_PRED2(contains, notes[i], "layer") << i;
  EXPECT_EQ(notes[5], "sum 16003");
}

}  // namespace caffe
