// The loss scale of math mode FP16 (caffe/solvers/loss_scale.hpp), and trainings in each mode on a
// GPU. Skipped where there is no GPU.

#include "caffe/solvers/loss_scale.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "caffe/util/math_mode.hpp"
#include "fixtures.hpp"
#include "must_differ.hpp"
#include "temp_dir.hpp"
#include "training_nets.hpp"

namespace caffe {
namespace {

typedef std::unique_ptr<Solver<float>> SolverPtr;

SGDSolver<float>& sgd(const SolverPtr& solver) {
  return *static_cast<SGDSolver<float>*>(solver.get());
}

/// Weights and histories.
std::vector<float> all_values(const SolverPtr& solver) {
  std::vector<float> all = weights(solver.get());
  for (const auto& blob : sgd(solver).history()) {
    all.insert(all.end(), blob->cpu_data(), blob->cpu_data() + blob->count());
  }
  return all;
}

float scale_of(const SolverPtr& solver) {
  return sgd(solver).loss_scale()->state().scale;
}

/// From the next iteration on; the counts stay.
void set_scale(const SolverPtr& solver, float scale, int good = 0) {
  LossScaleState<float> state = sgd(solver).loss_scale()->state();
  state.scale = scale;
  state.good = good;
  sgd(solver).loss_scale()->set_state(state);
}

constexpr float kTooLarge = 1.2676506002282294e30f;  // 2^100: gradients become infinite

/// Makes a gradient infinite.
class Spoils : public Solver<float>::Callback {
 public:
  explicit Spoils(Net<float>* net) : net_(net) {}
  bool acts = false;

 protected:
  void on_start() override {}
  void on_gradients_ready() override {
    Blob<float>& last = *net_->learnable_params().back();
    if (acts) last.mutable_cpu_diff()[0] = std::numeric_limits<float>::infinity();
  }

 private:
  Net<float>* net_;
};

/// Derived from no SGDSolver; its update knows of no scale.
class BareSolver : public Solver<float> {
 public:
  using Solver<float>::Solver;
  void ApplyUpdate() override {}

 protected:
  void SnapshotSolverState(const string&) override {}
  void RestoreSolverStateFromHDF5(const string&) override {}
  void RestoreSolverStateFromBinaryProto(const string&) override {}
};

class OwnSolver : public SGDSolver<float> {
 public:
  using SGDSolver<float>::SGDSolver;
};

class LossScaleOnGpu : public GpuTest {
 protected:
  const QuietLog quiet_;
  static SolverPtr solver(const std::string& more, const std::string& net = lenet()) {
    return make_solver<float>(solver_param(net, "math_mode: FP16 " + more));
  }
};

TEST_F(LossScaleOnGpu, ExistsInFp16Alone) {
  const SolverPtr half = solver("");
  half->Step(1);
  EXPECT_EQ(scale_of(half), 65536);
  EXPECT_EQ(sgd(half).loss_scale()->state().good, 1);
  for (const char* const mode : {"FLOAT", "TF32", "BF16"}) {
    if (!why_no_math_mode(math_mode_of(mode)).empty()) continue;
    const auto other = make_solver<float>(solver_param(lenet(), std::string("math_mode: ") + mode));
    other->Step(1);
    EXPECT_EQ(sgd(other).loss_scale(), nullptr) << mode;
  }
}

TEST_F(LossScaleOnGpu, AnOverflowLeavesWeightsAndHistoriesAsTheyWere) {
  for (const char* const type : kSolverTypes) {
    for (const bool moved : {false, true}) {  // one parameter outside of the arena
      SCOPED_TRACE(std::string(type) + (moved ? ", moved" : ""));
      const SolverPtr one = solver(std::string(type) + " weight_decay: 0.01" +
                                   (moved ? " clip_gradients: 1000" : ""));
      Blob<float> other(one->net()->learnable_params()[0]->shape());
      one->Step(2);
      if (moved) {
        other.CopyFrom(*one->net()->learnable_params()[0]);
        one->net()->learnable_params()[0]->ShareData(other);
      }
      const std::vector<float> before = all_values(one);
      set_scale(one, kTooLarge);
      LogLines log;
      one->Step(1);
      EXPECT_EQ(log.numbers("Iteration 2, loss scale = .* \\(a gradient is not finite: the update "
                            "is left out, (\\d+) so far\\)"),
                std::vector<double>{1});
      EXPECT_EQ(all_values(one), before);
      EXPECT_EQ(scale_of(one), kTooLarge / 2);
      EXPECT_EQ(one->iter(), 3);
      set_scale(one, 65536);
      one->Step(1);
      EXPECT_NE(all_values(one), before);
      EXPECT_EQ(sgd(one).loss_scale()->state().skipped, 1);
    }
  }
}

TEST_F(LossScaleOnGpu, DoublesAfter2000GoodIterationsUpToALimit) {
  const SolverPtr one = solver(
      "", std::string(kTrainingData) + trained_layers("data") + softmax_loss("loss_weight: 0.001"));
  one->Step(1);
  set_scale(one, 65536, 1998);
  LogLines log;
  one->Step(1);
  EXPECT_EQ(scale_of(one), 65536);
  EXPECT_EQ(log.numbers("Iteration \\d+, loss scale = (\\d+) .*"), std::vector<double>());
  one->Step(1);
  EXPECT_EQ(scale_of(one), 131072);
  EXPECT_EQ(sgd(one).loss_scale()->state().good, 0);
  EXPECT_TRUE(log.has("Iteration 2, loss scale = 131072 (2000 good iterations)"));
  set_scale(one, LossScale<float>::kMost, 1999);
  one->Step(1);
  EXPECT_EQ(scale_of(one), LossScale<float>::kMost);
}

TEST_F(LossScaleOnGpu, EndsWithAnErrorBelowOne) {
  const SolverPtr one = solver("momentum: 0.9");
  Spoils spoils(one->net().get());
  one->add_callback(&spoils);
  one->Step(1);
  const std::vector<float> before = all_values(one);
  set_scale(one, 2);
  spoils.acts = true;
  one->Step(1);
  EXPECT_EQ(all_values(one), before);
  EXPECT_ERROR(one->Step(1), "iteration 2: gradients are not finite even at a loss scale of 1");
  EXPECT_EQ(all_values(one), before);
}

/// What is below 2^-25 is 0 as Float16.
TEST_F(LossScaleOnGpu, KeepsSmallGradients) {
  const std::string net =
      std::string(kTrainingData) + trained_layers("data") + softmax_loss("loss_weight: 1e-8");
  const auto moved = [&](float scale) {
    const SolverPtr one = solver("base_lr: 1e6", net);
    one->Step(1);  // makes the scale
    const std::vector<float> start = weights(one.get());
    set_scale(one, scale);
    one->Step(1);
    const std::vector<float> after = weights(one.get());
    double most = 0;
    const size_t convolution = 4 * 9;  // the weights that the gradient reaches last
    for (size_t i = 0; i < convolution; ++i) {
      most = std::max(most, std::abs(double(after[i]) - start[i]));
    }
    return most;
  };
  EXPECT_EQ(moved(1), 0);
  EXPECT_GT(moved(65536), 1e-6);
}

/// Powers of two change no bit but of what is smaller than the smallest normal number.
TEST_F(LossScaleOnGpu, ChangesTheUpdateByNothingElse) {
  for (const char* const more : {"", "clip_gradients: 0.05", "iter_size: 2 weight_decay: 0.01"}) {
    SCOPED_TRACE(more);
    std::vector<std::vector<float>> found;
    for (const float scale : {65536.f, 131072.f}) {
      const SolverPtr one = solver(std::string("momentum: 0.9 ") + more);
      one->Step(1);
      for (int i = 0; i < 5; ++i) {
        set_scale(one, scale);
        one->Step(1);
      }
      found.push_back(all_values(one));
    }
    for (size_t i = 0; i < found[0].size(); ++i) ASSERT_NEAR(found[0][i], found[1][i], 1e-6);
  }
}

TEST_F(LossScaleOnGpu, IsSeenNeitherByTheLossNorByClipping) {
  const std::string more = "clip_gradients: 0.05 iter_size: 2 display: 1";
  const auto logged = [&](const std::string& mode) {
    const SolverPtr one = make_solver<float>(solver_param(lenet(), "math_mode: " + mode + more));
    LogLines log;
    one->Step(2);
    EXPECT_EQ(one->net()->blob_by_name("loss")->cpu_diff()[0], 1) << "the loss weight is back";
    std::vector<double> all = log.numbers("Iteration \\d+ .*, loss = (.*)");
    const std::vector<double> norms = log.numbers("Gradient clipping: .*norm ([^ ]*) >.*"),
                              factors = log.numbers("Gradient clipping: .* factor (.*)");
    EXPECT_EQ(all.size(), 2u);
    EXPECT_EQ(norms.size(), 2u);
    EXPECT_EQ(factors.size(), 2u);
    all.insert(all.end(), norms.begin(), norms.end());
    all.insert(all.end(), factors.begin(), factors.end());
    return all;
  };
  const std::vector<double> expected = logged("FLOAT "), found = logged("FP16 ");
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], 0.01 * std::abs(expected[i])) << i;
  }
}

TEST_F(LossScaleOnGpu, StaysWhereTheLossIsNotFinite) {
  const SolverPtr one = solver("");
  one->Step(1);
  const std::vector<float> before = all_values(one);
  Blob<float>& images = *one->net()->blob_by_name("data");
  std::fill_n(images.mutable_cpu_data(), images.count(), NAN);
  EXPECT_ERROR(one->Step(1), "iteration 1: the training loss is");
  EXPECT_EQ(all_values(one), before);
  EXPECT_EQ(scale_of(one), 65536);
  EXPECT_EQ(one->net()->blob_by_name("loss")->cpu_diff()[0], 1);
}

TEST_F(LossScaleOnGpu, IsNotInAState) {
  const TempDir folder;
  const std::string prefix = "snapshot_prefix: '" + (folder / "s") + "'";
  const SolverPtr one = solver("momentum: 0.9 " + prefix);
  one->Step(2);
  set_scale(one, 1024);
  one->Step(1);
  one->Snapshot();
  const std::vector<float> saved = all_values(one);
  const SolverPtr again = solver("momentum: 0.9 " + prefix);
  again->Restore((folder / "s_iter_3.solverstate").c_str());
  EXPECT_EQ(all_values(again), saved) << "floats, as in every mode";
  again->Step(1);
  EXPECT_EQ(scale_of(again), 65536);
  one->Restore((folder / "s_iter_3.solverstate").c_str());
  one->Step(1);
  EXPECT_EQ(scale_of(one), 65536);
  // A net in FLOAT takes the same weights.
  const SolverPtr in_float = make_solver<float>(solver_param(lenet(), "momentum: 0.9"));
  in_float->Restore((folder / "s_iter_3.solverstate").c_str());
  EXPECT_EQ(all_values(in_float), saved);
}

TEST_F(LossScaleOnGpu, NeedsOneOfTheSixSolvers) {
  const QuietLog quiet;
  OwnSolver own(solver_param(lenet(), "math_mode: FP16"));
  EXPECT_ERROR(own.Step(1), "math_mode FP16 scales the loss");
  BareSolver bare(solver_param(lenet(), "math_mode: FP16"));
  EXPECT_ERROR(bare.Step(1), "math_mode FP16 scales the loss");
  if (!why_no_math_mode(MathMode::kBf16).empty()) return;
  OwnSolver in_bf16(solver_param(lenet(), "math_mode: BF16"));
  EXPECT_EQ(error_of([&] { in_bf16.Step(1); }), "");
}

/// Who computes the gradients without the solver has gradients without S, also after iterations
/// and after one that threw.
TEST_F(LossScaleOnGpu, LeavesGradientsAloneThatItDidNotScale) {
  for (const char* const more : {"", " clip_gradients: 1000"}) {
    SCOPED_TRACE(more);
    const SolverPtr one = solver(std::string("base_lr: 0.1") + more);
    one->Step(1);
    for (const bool after_error : {false, true}) {
      SCOPED_TRACE(after_error);
      Blob<float>& images = *one->net()->blob_by_name("data");
      if (after_error) {
        const std::vector<float> good(images.cpu_data(), images.cpu_data() + images.count());
        std::fill_n(images.mutable_cpu_data(), images.count(), NAN);
        EXPECT_NE(error_of([&] { one->Step(1); }), "");
        std::copy(good.begin(), good.end(), images.mutable_cpu_data());
      }
      const std::vector<float> before = weights(one.get());
      one->net()->ClearParamDiffs();
      one->net()->Forward();
      one->net()->Backward();
      std::vector<float> expected;
      double moved = 0;
      for (size_t p = 0; p < one->net()->learnable_params().size(); ++p) {
        const Blob<float>& param = *one->net()->learnable_params()[p];
        const float rate = 0.1f * one->net()->params_lr()[p];
        for (int i = 0; i < param.count(); ++i) {
          expected.push_back(before[expected.size()] - rate * param.cpu_diff()[i]);
          moved = std::max(moved, std::abs(double(expected.back()) - before[expected.size() - 1]));
        }
      }
      EXPECT_GT(moved, 1e-4);
      one->ApplyUpdate();
      const std::vector<float> after = weights(one.get());
      ASSERT_EQ(after.size(), expected.size());
      for (size_t i = 0; i < after.size(); ++i) ASSERT_NEAR(after[i], expected[i], 1e-6) << i;
    }
  }
}

TEST_F(LossScaleOnGpu, ModesThatNobodySetAreNotInASolversSettings) {
  const auto plain = make_solver<float>(solver_param(lenet(), ""));
  EXPECT_FALSE(plain->param().has_math_mode());
  const MathModeScope scope(MathMode::kFp16);
  const auto half = make_solver<float>(solver_param(lenet(), ""));
  EXPECT_EQ(half->param().math_mode(), SolverParameter::FP16);
}

/// Losses of 60 iterations on one batch.
std::vector<double> losses(const std::string& mode, int seed) {
  const SolverPtr one =
      make_solver<float>(solver_param(lenet(), "momentum: 0.9 base_lr: 0.02 math_mode: " + mode +
                                                   " random_seed: " + std::to_string(seed)));
  std::vector<double> found;
  for (int i = 0; i < 60; ++i) {
    one->Step(1);
    found.push_back(one->net()->blob_by_name("loss")->cpu_data()[0]);
  }
  return found;
}

/// A block of a residual net, with the convolutions that the device's library computes.
std::string residual_net() {
  const auto conv = [](const std::string& bottom, const std::string& top) {
    return "layer { name: '" + top + "' type: 'Convolution' bottom: '" + bottom + "' top: '" + top +
           "' convolution_param { num_output: 8 kernel_size: 3 pad: 1 bias_term: false "
           "weight_filler { type: 'msra' } } } "
           "layer { name: 'norm_" +
           top + "' type: 'BatchNorm' bottom: '" + top + "' top: '" + top +
           "' } layer { name: 'scale_" + top + "' type: 'Scale' bottom: '" + top + "' top: '" +
           top + "' scale_param { bias_term: true } } ";
  };
  return std::string(kTrainingData) + conv("data", "a") +
         "layer { name: 'relu_a' type: 'ReLU' bottom: 'a' top: 'a' } " + conv("a", "b") +
         "layer { name: 'sum' type: 'Eltwise' bottom: 'a' bottom: 'b' top: 'sum' } "
         "layer { name: 'relu_sum' type: 'ReLU' bottom: 'sum' top: 'sum' } "
         "layer { name: 'pool' type: 'Pooling' bottom: 'sum' top: 'pool' "
         "pooling_param { pool: AVE kernel_size: 3 stride: 3 } } "
         "layer { name: 'scores' type: 'InnerProduct' bottom: 'pool' top: 'scores' "
         "inner_product_param { num_output: 3 weight_filler { type: 'xavier' } } } " +
         softmax_loss();
}

/// Losses in FP16 stay near float's: by at most 2% of the first loss, in all iterations.
TEST_F(LossScaleOnGpu, TrainsAResidualNetAsFloatDoes) {
  std::vector<std::vector<double>> found;
  for (const char* const mode : {"FLOAT", "FP16"}) {
    const auto one = make_solver<float>(solver_param(
        residual_net(), std::string("momentum: 0.9 base_lr: 0.005 math_mode: ") + mode));
    found.emplace_back();
    for (int i = 0; i < 20; ++i) {
      one->Step(1);
      found.back().push_back(one->net()->blob_by_name("loss")->cpu_data()[0]);
    }
    if (sgd(one).loss_scale() != nullptr) {
      EXPECT_EQ(sgd(one).loss_scale()->state().good, 20);
    }
  }
  EXPECT_LT(found[0].back(), 0.7 * found[0].front()) << "float does not learn";
  EXPECT_NE(found[0], found[1]) << "nothing was rounded";
  for (int i = 0; i < 20; ++i) {
    EXPECT_NEAR(found[1][i], found[0][i], 0.02 * found[0][0]) << "iteration " << i;
  }
}

/// The loss curves of three seeds in each mode: their mean is nearer to float's than the seeds are
/// to each other, all along.
TEST_F(LossScaleOnGpu, TrainsWithinTheSpreadOfSeeds) {
  constexpr int kSeeds = 3, kWindow = 10;
  std::vector<std::vector<double>> in_float;
  for (int seed = 1; seed <= kSeeds; ++seed) in_float.push_back(losses("FLOAT", seed));
  EXPECT_LT(in_float[0].back(), 0.7 * in_float[0].front()) << "float does not learn";
  for (const char* const mode : {"TF32", "FP16", "BF16"}) {
    if (!why_no_math_mode(math_mode_of(mode)).empty()) continue;  // a GPU before Ampere
    std::vector<std::vector<double>> found;
    for (int seed = 1; seed <= kSeeds; ++seed) found.push_back(losses(mode, seed));
    if (must_differ(math_mode_of(mode))) {
      EXPECT_NE(found[0], in_float[0]) << mode << " is float";
    }
    for (int begin = 0; begin + kWindow <= 60; begin += kWindow) {
      double mean = 0, mean_of_float = 0, least = 1e9, most = 0;
      for (int s = 0; s < kSeeds; ++s) {
        double own = 0;
        for (int i = begin; i < begin + kWindow; ++i) {
          mean += found[s][i] / (kSeeds * kWindow);
          own += in_float[s][i] / kWindow;
        }
        mean_of_float += own / kSeeds;
        least = std::min(least, own);
        most = std::max(most, own);
      }
      EXPECT_LT(std::abs(mean - mean_of_float), most - least) << mode << " from " << begin;
    }
  }
}

}  // namespace
}  // namespace caffe
