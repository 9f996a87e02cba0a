// What an iteration of training costs on the shadow device: waits, copies, allocations, kernels.

#include "tests/cpp/engine/training_nets.hpp"
#include "tests/cpp/shadow/training_on_gpu.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {

namespace {

/// A net of this repository that reads its images from an Input layer, one at a time.
std::string published_net(const std::string& file, int size) {
  NetParameter net, with_input;
  ReadProtoFromTextFileOrDie(std::string(MAAP_ROOT) + "/prototxt/" + file, &net);
  ReadProtoFromText("layer { name: 'data' type: 'Input' top: 'data' top: 'label' }", "test",
                    &with_input);
  InputParameter* const input = with_input.mutable_layer(0)->mutable_input_param();
  BlobShape* const data = input->add_shape();
  for (const int length : {1, 3, size, size}) data->add_dim(length);
  input->add_shape()->add_dim(1);
  for (const LayerParameter& layer : net.layer()) {
    if (layer.type() != "Data") *with_input.add_layer() = layer;
  }
  return with_input.DebugString();
}

class TrainingCostTest : public TrainingOnGpu {
 protected:
  /// The counts of one iteration, the third.
  static shadow::Counts third(Solver<float>* solver) {
    solver->Step(2);
    shadow::reset_counts();
    solver->Step(1);
    return shadow::counts();
  }
};

}  // namespace

TEST_F(TrainingCostTest, AnIterationWaitsOnceAndCopiesOnlyNumbers) {
  const std::string nets[] = {lenet(), all_losses()};
  for (const std::string& net : nets) {
    for (const char* more :
         {"", "clip_gradients: 0.1", "iter_size: 3", "display: 1", "type: 'Adam' momentum: 0.9",
          "math_mode: FP16", "math_mode: FP16 clip_gradients: 0.1 iter_size: 2", "math_mode: BF16",
          "display: 1 debug_info: true clip_gradients: 0.1"}) {
      SCOPED_TRACE(std::string(more) + " " + (net == nets[0] ? "lenet" : "all losses"));
      const auto solver = make_solver<float>(solver_param(net, more));
      const shadow::Counts counts = third(solver.get());
      EXPECT_EQ(counts.synchronisations, 1);
      EXPECT_EQ(counts.copies_to_host, 1);
      EXPECT_LE(counts.largest_to_host, 4096);
      EXPECT_EQ(counts.bytes_to_device, 0);
      EXPECT_EQ(counts.allocations, 0);
      EXPECT_EQ(counts.pinned_allocations, 0);
    }
  }
}

TEST_F(TrainingCostTest, SoDoesAlexNetWithEnhancement) {
  const auto solver = make_solver<float>(
      solver_param(published_net("alexnet/train_val_laap.prototxt", 227),
                   "base_lr: 0.0001 momentum: 0.9 weight_decay: 0.0005 clip_gradients: 35"));
  const shadow::Counts counts = third(solver.get());
  EXPECT_EQ(counts.synchronisations, 1);
  EXPECT_EQ(counts.copies_to_host, 1);
  EXPECT_LE(counts.largest_to_host, 256);
  EXPECT_EQ(counts.allocations, 0);
}

TEST_F(TrainingCostTest, AllParametersAreClearedMeasuredAndUpdatedAtOnce) {
  for (const char* type : {"SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"}) {
    SCOPED_TRACE(type);
    const std::string text = std::string("type: '") + type + "' ";
    const auto plain = make_solver<float>(solver_param(lenet(), text));
    const shadow::Counts update = third(plain.get());
    // The same parameters, of which one is elsewhere now: one kernel for each of the six.
    Blob<float> other(plain->net()->learnable_params()[0]->shape());
    plain->net()->learnable_params()[0]->ShareData(other);
    const shadow::Counts moved = third(plain.get());
    EXPECT_EQ(moved.launches - update.launches, 5);
    // The norm of the gradients takes three kernels, however many parameters there are.
    const auto clipping = make_solver<float>(solver_param(lenet(), text + "clip_gradients: 0.1"));
    EXPECT_EQ(third(clipping.get()).launches - update.launches, 3);
    // In FP16, so does the decision about the loss scale two, and the loss weight two.
    const auto bf16 = make_solver<float>(solver_param(lenet(), text + "math_mode: BF16"));
    const auto fp16 = make_solver<float>(solver_param(lenet(), text + "math_mode: FP16"));
    EXPECT_EQ(third(fp16.get()).launches - third(bf16.get()).launches, 4);
  }
}

TEST_F(TrainingCostTest, ATestPassWaitsOnce) {
  const auto solver = make_solver<float>(solver_param(lenet(), ""));
  Net<float>& net = *solver->net();
  net.Forward();
  shadow::reset_counts();
  float loss = 0;
  net.Forward(&loss);
  for (const Blob<float>* output : net.output_blobs()) EXPECT_NE(output->cpu_data(), nullptr);
  EXPECT_GT(loss, 0);
  EXPECT_EQ(shadow::counts().synchronisations, 1);
  EXPECT_EQ(shadow::counts().copies_to_host, 1);
}

TEST_F(TrainingCostTest, ABlobIsAddedUpWhereItIs) {
  Blob<float> blob(std::vector<int>{1 << 16});
  caffe_gpu_set(blob.count(), 0.5f, blob.mutable_gpu_data());
  caffe_gpu_set(blob.count(), 0.25f, blob.mutable_gpu_diff());
  shadow::reset_counts();
  EXPECT_EQ(blob.asum_data(), 1 << 15);
  EXPECT_EQ(blob.sumsq_diff(), 1 << 12);
  EXPECT_EQ(blob.dot_data_diff(), 1 << 13);
  blob.scale_diff(2);
  blob.Update();
  EXPECT_EQ(blob.asum_data(), 0);
  EXPECT_LE(shadow::counts().largest_to_host, 64);
}

}  // namespace caffe
