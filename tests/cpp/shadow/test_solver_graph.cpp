// Training with CUDA graphs on the shadow device: the numbers, log lines and files of a training
// without, and what the host still does.

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <regex>
#include <thread>

#include "caffe/util/gpu_context.hpp"
#include "caffe/util/gpu_workspace.hpp"
#include "tests/cpp/engine/temp_dir.hpp"
#include "tests/cpp/engine/toy_net.hpp"
#include "tests/cpp/shadow/training_on_gpu.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {

namespace {

/// Two iterations as ever, one that is watched; the fourth is recorded and launched.
constexpr int kBefore = 3;
const char* const kGraph = " cuda_graph: true ";

/// What a training has shown and made.
struct Trained {
  std::vector<float> weights;
  std::vector<std::string> lines;
  int64_t graph_launches;
};

typedef std::function<void(Solver<float>* solver, int iteration)> Between;

/// The log lines that a graph must not change.
std::vector<std::string> numbers_of(const LogLines& log) {
  std::vector<std::string> kept;
  for (const std::string& line : log.lines) {
    if (line.rfind("cuda_graph", 0) == 0) continue;
    // "Iteration 3 (12 iter/s, 0.1s/1 iters), loss = 0.5"
    kept.push_back(std::regex_replace(line, std::regex(" \\(.*iters\\)"), ""));
  }
  return kept;
}

/// Trains with other images in each iteration; `between` runs before each one.
Trained train(const SolverParameter& param, int iterations, const Between& between = nullptr) {
  const auto solver = make_solver<float>(param);
  shadow::reset_counts();
  LogLines log;
  for (int i = 0; i < iterations; ++i) {
    fill_images(solver->net().get(), i);
    if (between != nullptr) between(solver.get(), i);
    solver->Step(1);
  }
  return {weights(solver.get()), numbers_of(log), shadow::counts().graph_launches};
}

void expect_same(const Trained& a, const Trained& b) {
  ASSERT_EQ(a.weights.size(), b.weights.size());
  EXPECT_EQ(std::memcmp(a.weights.data(), b.weights.data(), sizeof(float) * a.weights.size()), 0);
  EXPECT_EQ(a.lines, b.lines);
}

/// Trains without and with graphs; returns the latter.
Trained expect_same_with_graph(const std::string& net, const std::string& text, int iterations,
                               const Between& between = nullptr) {
  const Trained plain = train(solver_param(net, text), iterations, between);
  const Trained graph = train(solver_param(net, text + kGraph), iterations, between);
  expect_same(plain, graph);
  EXPECT_EQ(plain.graph_launches, 0);
  return graph;
}

/// The reason that the log gives for not recording; "" if there is none.
std::string reason_of(Solver<float>* solver, int iterations = 12) {
  LogLines log;
  shadow::reset_counts();
  solver->Step(iterations);
  const std::string begin = "cuda_graph: iterations are not recorded: ";
  for (const std::string& line : log.lines) {
    if (line.rfind(begin, 0) == 0) {
      EXPECT_EQ(shadow::counts().graph_launches, 0);
      return line.substr(begin.size());
    }
  }
  return "";
}

class SolverGraphTest : public TrainingOnGpu {
 protected:
  void TearDown() override {
    shadow::fail_capture(0);
    TrainingOnGpu::TearDown();
  }
};

}  // namespace

TEST_F(SolverGraphTest, EverySolverGivesTheSameBits) {
  for (const char* type : kSolverTypes) {
    SCOPED_TRACE(type);
    const std::string text = std::string(type) + " weight_decay: 0.01 display: 1 ";
    const Trained graph = expect_same_with_graph(lenet(), text, 8);
    EXPECT_EQ(graph.graph_launches, 8 - kBefore);
  }
}

TEST_F(SolverGraphTest, SoDoesEverySetting) {
  for (const char* more :
       {"clip_gradients: 0.1", "iter_size: 3", "lr_policy: 'step' stepsize: 2 gamma: 0.5",
        "lr_policy: 'multistep' stepvalue: 5 stepvalue: 7 gamma: 0.1", "regularization_type: 'L1'",
        "average_loss: 3 display: 2", "display: 3 debug_info: true", "math_mode: FP16",
        "math_mode: FP16 clip_gradients: 0.1 iter_size: 2", "math_mode: BF16"}) {
    SCOPED_TRACE(more);
    const std::string text =
        std::string("momentum: 0.9 weight_decay: 0.01 type: 'Adam' base_lr: 0.01 ") + more +
        (std::string(more).find("display") == std::string::npos ? " display: 1" : "");
    const Trained graph = expect_same_with_graph(all_losses(), text, 10);
    EXPECT_GE(graph.graph_launches, 3);
  }
}

TEST_F(SolverGraphTest, SoDoesEveryKindOfLayer) {
  const std::vector<std::pair<std::string, std::string>> layers = {
      {"AbsVal", ""},
      {"BN", "dialect: 'pspnet'"},
      {"BNLL", ""},
      {"BatchNorm", ""},
      {"BatchNorm", "batch_norm_param { use_global_stats: true }"},
      {"BatchNorm", "batch_norm_param { scale_bias: true }"},
      {"Bias", ""},
      {"ChannelShuffle", "channel_shuffle_param { group: 4 }"},
      {"Clip", "clip_param { min: -0.2 max: 0.3 }"},
      {"Convolution",
       "convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: 'xavier' } }"},
      {"ConvolutionDepthwise",
       "convolution_param { num_output: 16 kernel_size: 3 weight_filler { type: 'xavier' } }"},
      {"Deconvolution",
       "convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: 'xavier' } }"},
      {"Dropout", ""},
      {"ELU", ""},
      {"Enhancement", ""},
      {"Exp", "exp_param { scale: 0.1 }"},
      {"HardSwish", ""},
      {"Im2col", "convolution_param { kernel_size: 3 }"},
      {"Interp", "interp_param { zoom_factor: 2 }"},
      {"LRN", ""},
      {"LRN", "lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 }"},
      {"LSTM", "recurrent_param { num_output: 3 weight_filler { type: 'xavier' } }"},
      {"Log", "log_param { shift: 99 }"},
      {"MVN", ""},
      {"Mish", ""},
      {"Normalize", ""},
      {"PReLU", ""},
      {"Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"},
      {"PixelShuffle", ""},
      {"Pooling", "pooling_param { kernel_size: 3 stride: 2 }"},
      {"Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }"},
      {"Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }"},
      {"Power", "power_param { power: 2 scale: 0.1 shift: 1 }"},
      {"ReLU6", ""},
      {"Reorg", "reorg_param { stride: 2 }"},
      {"Scale", "scale_param { bias_term: true }"},
      {"Sigmoid", ""},
      {"Softmax", ""},
      {"SPP", "spp_param { pyramid_height: 2 }"},
      {"Swish", ""},
      {"TanH", ""},
      {"Tile", "tile_param { tiles: 2 }"},
  };
  for (const auto& layer : layers) {
    SCOPED_TRACE(layer.first + " " + layer.second);
    // LSTM: 6 steps of one sequence, which goes on.
    const bool steps = layer.first == "LSTM";
    const std::string cont = steps ? "bottom: 'cont' " : "";
    const std::string net =
        std::string(kTrainingData) +
        (steps ? "layer { name: 'cont' type: 'DummyData' top: 'cont' dummy_data_param { shape { "
                 "dim: 6 dim: 1 } data_filler { type: 'constant' value: 1 } } } "
                 "layer { name: 'steps' type: 'Reshape' bottom: 'data' top: 'steps' "
                 "reshape_param { shape { dim: 6 dim: 1 dim: -1 } } } "
               : "layer { name: 'steps' type: 'Convolution' bottom: 'data' top: 'steps' "
                 "convolution_param { num_output: 16 kernel_size: 3 weight_filler { type: "
                 "'xavier' } } } ") +
        "layer { name: 'x' type: '" + layer.first + "' bottom: 'steps' " + cont + "top: 'x' " +
        layer.second +
        " } layer { name: 'scores' type: 'InnerProduct' bottom: 'x' top: 'scores' "
        "inner_product_param { " +
        (steps ? "axis: 2 " : "") +
        "num_output: 3 weight_filler { type: 'gaussian' std: 0.01 } } } " +
        (steps ? "layer { name: 'flat' type: 'Reshape' bottom: 'scores' top: 'flat' reshape_param "
                 "{ shape { dim: 6 dim: 3 } } } "
                 "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'flat' bottom: 'label' "
                 "top: 'loss' } "
               : softmax_loss());
    const Trained graph = expect_same_with_graph(net, "base_lr: 0.001 display: 1", 7);
    EXPECT_GE(graph.graph_launches, 3);
  }
}

TEST_F(SolverGraphTest, AReplayIsOneLaunchAndOneWait) {
  for (const int passes : {1, 3}) {
    const std::string text = "momentum: 0.9 clip_gradients: 0.1 display: 1 iter_size: ";
    const auto solver =
        make_solver<float>(solver_param(all_losses(), text + std::to_string(passes) + kGraph));
    solver->Step(kBefore + 2);
    shadow::reset_counts();
    solver->Step(1);
    const shadow::Counts counts = shadow::counts();
    EXPECT_EQ(counts.graph_launches, passes);
    EXPECT_EQ(counts.launches, 0);
    EXPECT_EQ(counts.library_calls, 0);
    EXPECT_EQ(counts.fills, 1);  // the gradients
    EXPECT_EQ(counts.synchronisations, 1);
    EXPECT_EQ(counts.copies_to_host, 1);
    EXPECT_EQ(counts.allocations, 0);
    EXPECT_EQ(counts.pinned_allocations, 0);
    EXPECT_LE(counts.bytes_to_device, 64 * passes);  // the rate, a seed
  }
}

TEST_F(SolverGraphTest, SeedsAndTheRateChangeFromReplayToReplay) {
  const auto solver = make_solver<float>(
      solver_param(all_losses(), "base_lr: 0.01 lr_policy: 'exp' gamma: 0.5" + string(kGraph)));
  std::vector<std::vector<double>> dropped;
  for (int i = 0; i < kBefore + 4; ++i) {
    solver->Step(1);
    const std::vector<double> now = values(*solver->net()->blob_by_name("lrn"));
    std::vector<double> zeros;
    for (const double value : now) zeros.push_back(value == 0);
    dropped.push_back(zeros);
  }
  for (size_t i = kBefore + 1; i < dropped.size(); ++i) EXPECT_NE(dropped[i], dropped[i - 1]);
}

TEST_F(SolverGraphTest, WhatTheHostChangesBetweenIterationsCounts) {
  const Between change = [](Solver<float>* solver, int i) {
    Blob<float>& w = *solver->net()->learnable_params()[0];
    if (i == 6) w.mutable_cpu_data()[1] = 0.75f;
    if (i == 7) caffe_gpu_set(w.count(), 0.5f, w.mutable_gpu_data());
    // Another loss weight.
    if (i == 8) caffe_set(1, 0.25f, solver->net()->blob_by_name("loss")->mutable_cpu_diff());
  };
  expect_same_with_graph(lenet(), "momentum: 0.9 display: 1", 12, change);
}

TEST_F(SolverGraphTest, WhatTheHostReadsIsOfThisIteration) {
  const auto read = [](std::vector<double>* all) -> Between {
    return [all](Solver<float>* solver, int) {
      for (const auto& blob : solver->net()->blobs()) {
        for (const double value : values(*blob)) all->push_back(value);
        for (const double value : gradient(*blob)) all->push_back(value);
      }
    };
  };
  std::vector<double> plain, graph;
  train(solver_param(lenet(), "momentum: 0.9"), 9, read(&plain));
  const Trained trained =
      train(solver_param(lenet(), "momentum: 0.9" + string(kGraph)), 9, read(&graph));
  EXPECT_EQ(trained.graph_launches, 9 - kBefore);
  EXPECT_EQ(plain, graph);
}

TEST_F(SolverGraphTest, TestsAndPassesInBetweenDisturbNothing) {
  const Between run = [](Solver<float>* solver, int i) {
    if (i % 3 == 2) solver->net()->Forward();
    if (i % 4 == 3) solver->net()->ForwardBackward();
  };
  const std::string test = " test_iter: 2 test_interval: 3 test_initialization: true ";
  const Trained graph =
      expect_same_with_graph(all_losses(), "momentum: 0.9 display: 1" + test, 12, run);
  EXPECT_GE(graph.graph_launches, 6);
}

TEST_F(SolverGraphTest, AnotherBatchSizeIsRecordedAnew) {
  const Between reshape = [](Solver<float>* solver, int i) {
    Net<float>& net = *solver->net();
    const int images = i < 6 ? 6 : i < 13 ? 3 : 8;
    if (net.blob_by_name("label")->count() == images) return;
    net.blob_by_name("data")->Reshape({images, 1, 12, 12});
    net.blob_by_name("label")->Reshape({images});
    fill_images(&net, i);
  };
  const Trained graph = expect_same_with_graph(lenet(), "momentum: 0.9 display: 1", 20, reshape);
  EXPECT_EQ(graph.graph_launches, 3 + 4 + 4);
}

TEST_F(SolverGraphTest, AnotherSettingIsRecordedAnew) {
  const Between change = [](Solver<float>* solver, int i) {
    if (i == 6) const_cast<SolverParameter&>(solver->param()).set_momentum(0.5f);
    if (i == 7) const_cast<SolverParameter&>(solver->param()).set_base_lr(0.001f);
    if (i == 14) const_cast<SolverParameter&>(solver->param()).set_iter_size(2);
  };
  const Trained graph = expect_same_with_graph(lenet(), "momentum: 0.9 display: 1", 20, change);
  EXPECT_EQ(graph.graph_launches, 3 + 5 + 2 * 3);
}

TEST_F(SolverGraphTest, ARestoredStateGoesOn) {
  const TempDir folder;
  const Between restore = [&folder](Solver<float>* solver, int i) {
    if (i == 6) solver->Snapshot();
    if (i == 8) solver->Restore((folder / "at_iter_6.solverstate").c_str());
  };
  const std::string prefix = "snapshot_prefix: '" + (folder / "at") + "' ";
  const Trained plain = train(solver_param(lenet(), "momentum: 0.9 " + prefix), 14, restore);
  const Trained graph =
      train(solver_param(lenet(), "momentum: 0.9 " + prefix + kGraph), 14, restore);
  EXPECT_EQ(plain.weights, graph.weights);
  EXPECT_GE(graph.graph_launches, 8);
}

TEST_F(SolverGraphTest, AnErrorOfAReplayChangesNoWeight) {
  const auto solver = make_solver<float>(solver_param(lenet(), "momentum: 0.9" + string(kGraph)));
  solver->Step(kBefore + 3);
  const std::vector<float> before = weights(solver.get());
  solver->net()->blob_by_name("label")->mutable_cpu_data()[3] = 7;
  EXPECT_NE(error_of([&] { solver->Step(1); }).find("label"), std::string::npos);
  EXPECT_EQ(weights(solver.get()), before);
  fill_images(solver->net().get());
  solver->Step(2);
  EXPECT_NE(weights(solver.get()), before);
}

TEST_F(SolverGraphTest, ARecordingThatFailsCostsNothing) {
  const std::string text = "momentum: 0.9 display: 1 iter_size: 2";
  const Trained plain = train(solver_param(all_losses(), text), 14);
  for (const int failing : {1, 2}) {
    SCOPED_TRACE(failing);
    shadow::fail_capture(failing);
    const Trained graph = train(solver_param(all_losses(), text + kGraph), 14);
    expect_same(plain, graph);
    EXPECT_GE(graph.graph_launches, 2 * 4);
  }
}

TEST_F(SolverGraphTest, TwoSolversWithTheSameWeights) {
  const auto run = [](const std::string& more) {
    const auto a = make_solver<float>(solver_param(lenet(), "momentum: 0.9" + more));
    const auto b = make_solver<float>(solver_param(lenet(), "momentum: 0.5" + more));
    b->net()->ShareTrainedLayersWith(a->net().get());
    for (int i = 0; i < 24; ++i) {
      a->Step(1);
      b->Step(1);
    }
    std::vector<float> all = weights(a.get());
    const std::vector<float> other = weights(b.get());
    all.insert(all.end(), other.begin(), other.end());
    return all;
  };
  EXPECT_EQ(run(""), run(kGraph));
}

TEST_F(SolverGraphTest, EachThreadRecordsItsOwn) {
  const auto solver = make_solver<float>(solver_param(lenet(), "momentum: 0.9" + string(kGraph)));
  const auto plain = make_solver<float>(solver_param(lenet(), "momentum: 0.9"));
  for (Solver<float>* const one : {solver.get(), plain.get()}) {
    one->Step(kBefore + 2);
    for (int i = 0; i < 4; ++i) {  // a thread that has ended leaves its context to the next one
      std::thread other([one] {
        Caffe::set_mode(Caffe::GPU);
        one->Step(kBefore + 1);
      });
      other.join();
    }
    one->Step(kBefore + 2);
  }
  EXPECT_EQ(weights(solver.get()), weights(plain.get()));
}

TEST_F(SolverGraphTest, AnotherThreadMayUseTheWeightsMeanwhile) {
  const std::string text = "momentum: 0.9 display: 1";
  const Trained plain = train(solver_param(all_losses(), text), 12);
  std::atomic<bool> ends{false};
  const auto other = make_net<float>(all_losses(), TEST);
  std::thread reader;
  std::string error;
  const Trained graph =
      train(solver_param(all_losses(), text + kGraph), 12, [&](Solver<float>* solver, int i) {
        if (i != 2) return;
        other->ShareTrainedLayersWith(solver->net().get());
        reader = std::thread([&] {
          Caffe::set_mode(Caffe::GPU);
          error = error_of([&] {
            while (!ends) {
              fill_images(other.get());
              other->Forward();
              Blob<float> fresh(std::vector<int>{64});
              fresh.mutable_gpu_data();
            }
          });
        });
      });
  ends = true;
  reader.join();
  EXPECT_EQ(error, "");
  expect_same(plain, graph);
}

TEST_F(SolverGraphTest, ADataLayerMayStandBehindOthers) {
  const std::string label =
      "layer { name: 'late' type: 'Input' top: 'label' input_param { shape { dim: 6 } } } ";
  const std::string data =
      "layer { name: 'input' type: 'Input' top: 'data' input_param { shape { dim: 6 dim: 1 dim: 12 "
      "dim: 12 } } } ";
  const std::string drop = "layer { name: 'drop' type: 'Dropout' bottom: 'pool' top: 'pool' } ";
  const Trained graph = expect_same_with_graph(
      data + trained_layers("data", drop) + label + softmax_loss(), "display: 1", 8);
  EXPECT_EQ(graph.graph_launches, 8 - kBefore);
  const std::string noise =
      "layer { name: 'noise' type: 'DummyData' top: 'noise' dummy_data_param { shape { dim: 6 dim: "
      "4 dim: 5 dim: 5 } data_filler { type: 'gaussian' } } } "
      "layer { name: 'sum' type: 'Eltwise' bottom: 'pool' bottom: 'noise' top: 'sum' } "
      "layer { name: 'quiet' type: 'Silence' bottom: 'sum' } ";
  const auto solver = make_solver<float>(
      solver_param(string(kTrainingData) + trained_layers("data", noise) + softmax_loss(), kGraph));
  EXPECT_EQ(reason_of(solver.get()),
            "layer 'noise' (DummyData) stands behind layers that have bottoms: move it to the "
            "net's beginning");
}

TEST_F(SolverGraphTest, WeightsThatAreSharedLaterAreUsed) {
  const auto other = make_net<float>("name: 'small' " + lenet());
  for (const auto& blob : other->learnable_params()) fill(blob, 0.03f);
  std::vector<float> start;
  for (const auto* blob : other->learnable_params()) {
    start.insert(start.end(), blob->cpu_data(), blob->cpu_data() + blob->count());
  }
  const Between share = [&](Solver<float>* solver, int i) {
    if (i != 6) return;
    size_t at = 0;
    for (Blob<float>* const blob : other->learnable_params()) {
      std::copy_n(start.begin() + at, blob->count(), blob->mutable_cpu_data());
      at += blob->count();
    }
    solver->net()->ShareTrainedLayersWith(other.get());
  };
  expect_same_with_graph(lenet(), "momentum: 0.9 display: 1", 12, share);
}

TEST_F(SolverGraphTest, ARestoredHistoryMovesFrozenWeights) {
  const TempDir folder;
  const auto learnt = make_solver<float>(
      solver_param(lenet(), "momentum: 0.9 snapshot_prefix: '" + (folder / "all") + "'"));
  learnt->Step(3);
  learnt->Snapshot();
  const std::string frozen = std::regex_replace(lenet(), std::regex("lr_mult: 1"), "lr_mult: 0");
  const Between restore = [&](Solver<float>* solver, int i) {
    if (i == 7) solver->Restore((folder / "all_iter_3.solverstate").c_str());
  };
  expect_same_with_graph(frozen, "momentum: 0.9 display: 1", 12, restore);
}

TEST_F(SolverGraphTest, ABackwardPassBehindAReplayHasItsSeeds) {
  const auto run = [](const std::string& more) {
    std::vector<double> found;
    train(solver_param(all_losses(), "momentum: 0.9" + more), 10,
          [&](Solver<float>* solver, int i) {
            if (i == 8) {
              solver->net()->Backward();
              found = gradient(*solver->net()->blob_by_name("norm"));
            }
            if (i == 7) solver->net()->Forward();
          });
    return found;
  };
  EXPECT_EQ(run(""), run(kGraph));
}

TEST_F(SolverGraphTest, ALargerWorkspaceIsNoticed) {
  const Between grow = [](Solver<float>*, int i) {
    if (i != 6) return;
    // Where the smaller one was is somebody else's now.
    device::workspace(GpuContext::current().workspace_bytes() + (1 << 20));
  };
  const std::string net = std::regex_replace(all_losses(), std::regex("engine: CAFFE"), "");
  const Trained graph = expect_same_with_graph(net, "momentum: 0.9 display: 1", 12, grow);
  EXPECT_EQ(graph.graph_launches, 3 + 3);
}

/// The scores as they are; on the CPU alone.
template <typename Dtype>
class GraphTestOwnLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit GraphTestOwnLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  const char* type() const override { return "GraphTestOwn"; }
  void Reshape(const Blobs& bottom, const Blobs& top) override { top[0]->ReshapeLike(*bottom[0]); }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    caffe_copy(bottom[0]->count(), bottom[0]->cpu_data(), top[0]->mutable_cpu_data());
  }
  void Backward_cpu(const Blobs& top, const vector<bool>&, const Blobs& bottom) override {
    caffe_copy(bottom[0]->count(), top[0]->cpu_diff(), bottom[0]->mutable_cpu_diff());
  }
};
INSTANTIATE_CLASS(GraphTestOwnLayer);
REGISTER_LAYER_CLASS(GraphTestOwn);

TEST_F(SolverGraphTest, TheLogSaysWhyNothingIsRecorded) {
  const auto make = [](const std::string& between, const std::string& text = "") {
    return make_solver<float>(solver_param(
        string(kTrainingData) + trained_layers("data", between) + softmax_loss(), text + kGraph));
  };
  const auto own = make(
      "layer { name: 'mine' type: 'GraphTestOwn' bottom: 'pool' top: 'pool2' } "
      "layer { name: 'back' type: 'Power' bottom: 'pool2' top: 'pool3' } "
      "layer { name: 'quiet' type: 'Silence' bottom: 'pool3' } ");
  EXPECT_EQ(reason_of(own.get()), "layer 'mine' (GraphTestOwn) is not the engine's own");
  const auto reading = make(
      "layer { name: 'choose' type: 'BatchReindex' bottom: 'pool' bottom: 'label' top: 'pool2' } "
      "layer { name: 'quiet' type: 'Silence' bottom: 'pool2' } ");
  EXPECT_EQ(reason_of(reading.get()), "layer 'choose' reads values on the host");
  EXPECT_EQ(reason_of(make("", "lr_policy: 'plateau' plateau_winsize: 9 gamma: 0.1").get()),
            "the update needs the loss on the host");
  const auto small = make("");
  small->net()->KeepOnly({});
  EXPECT_EQ(reason_of(small.get()), "the net gives memory back (KeepOnly)");
  struct Nothing : Solver<float>::Callback {
    void on_start() override {}
    void on_gradients_ready() override {}
  } nothing;
  const auto called = make("");
  called->add_callback(&nothing);
  EXPECT_EQ(reason_of(called.get()), "the solver has callbacks");
  EXPECT_EQ(reason_of(make("").get()), "");
}

}  // namespace caffe
