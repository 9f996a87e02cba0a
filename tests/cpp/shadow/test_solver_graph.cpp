// Training with CUDA graphs on the shadow device: the numbers, log lines and files of a training
// without, and what the host still does. What happens when something changes is in
// test_solver_graph_changes.cpp.

#include "tests/cpp/shadow/graph_training.hpp"

namespace caffe {

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

TEST_F(SolverGraphTest, SoDoesABatchNormWithWhatIsBehindIt) {
  const std::string on_pool = "bottom: 'pool' top: 'pool' ";
  const std::string norm = "layer { name: 'norm' type: 'BatchNorm' " + on_pool;
  const std::string behind = "layer { name: 'scale' type: 'Scale' " + on_pool +
                             "scale_param { bias_term: true } } "
                             "layer { name: 'behind' type: 'ReLU' " +
                             on_pool + "} ";
  for (const std::string fields : {"", "batch_norm_param { use_global_stats: true eps: 1 } ",
                                   "batch_norm_param { scale_bias: true } "}) {
    SCOPED_TRACE(fields);
    const std::string net =
        kTrainingData + trained_layers("data", norm + fields + "} " + behind) + softmax_loss();
    const Trained graph = expect_same_with_graph(net, "momentum: 0.9 display: 1", 9);
    EXPECT_EQ(graph.graph_launches, 9 - kBefore);
  }
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
