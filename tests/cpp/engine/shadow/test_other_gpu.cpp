// A thread that goes on with another GPU, in the middle of what it does.

#include "tests/cpp/engine/fixtures.hpp"
#include "tests/cpp/engine/training_nets.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {
namespace {

/// Two GPUs, of which the thread uses the first.
class OtherGpu : public GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    shadow::set_devices(2);
    Caffe::SetDevice(0);
  }
  void TearDown() override {
    Caffe::SetDevice(0);
    shadow::set_devices(1);
    GpuTest::TearDown();
  }
};

/// Iterations on those GPUs.
std::vector<float> train_on(const std::vector<int>& gpus, const SolverParameter& param) {
  Caffe::SetDevice(gpus[0]);
  const auto solver = make_solver<float>(param);
  const QuietLog quiet;
  for (size_t i = 0; i < gpus.size(); ++i) {
    Caffe::SetDevice(gpus[i]);
    fill_images(solver->net().get(), static_cast<int>(i));
    solver->Step(1);
  }
  return weights(solver.get());
}

TEST_F(OtherGpu, ASolverTrainsOn) {
  const std::string one_param = std::string(kTrainingData) +
                                "layer { name: 'ip' type: 'InnerProduct' bottom: 'data' "
                                "top: 'scores' inner_product_param { num_output: 3 "
                                "bias_term: false weight_filler { type: 'xavier' } } } " +
                                softmax_loss();
  for (const std::string& net : {lenet(), one_param}) {
    for (const char* type : kSolverTypes) {
      SCOPED_TRACE(type);
      for (const char* more : {"", " iter_size: 2", " clip_gradients: 0.5"}) {
        const SolverParameter param = solver_param(net, type + std::string(more));
        const auto expected = train_on({0, 0, 0, 0, 0, 0, 0, 0}, param);
        EXPECT_EQ(train_on({0, 0, 1, 1, 0, 0, 1, 0}, param), expected);
      }
    }
  }
}

/// Nothing has used the gradients when it changes.
TEST_F(OtherGpu, AFailedIterationLeavesNothingBehind) {
  const SolverParameter param = solver_param(lenet(), "momentum: 0.9");
  const auto expected = train_on({0, 0}, param);
  const auto solver = make_solver<float>(param);
  const QuietLog quiet;
  solver->net()->blob_by_name("label")->mutable_cpu_data()[0] = 99;
  EXPECT_ERROR(solver->Step(1), "label");
  Caffe::SetDevice(1);
  for (int i = 0; i < 2; ++i) {
    fill_images(solver->net().get(), i);
    solver->Step(1);
  }
  EXPECT_EQ(weights(solver.get()), expected);
}

}  // namespace
}  // namespace caffe
