// Training on a GPU, where an iteration reads its values late: the same as on the CPU.

#include <limits>

#include "caffe/solvers/param_arena.hpp"
#include "layers/layer_test.hpp"
#include "training_nets.hpp"

namespace caffe {

namespace {

/// A solver that overrides nothing: it takes the steps of an update one by one.
template <typename Base>
class StepByStep : public Base {
 public:
  using Base::Base;
};

}  // namespace

template <typename TypeParam>
class TrainingTest : public ::testing::Test {
 public:
  typedef typename TypeParam::Dtype Dtype;

 protected:
  void SetUp() override {
    if (TypeParam::mode == Caffe::GPU && Caffe::FindDevice() < 0) GTEST_SKIP() << "no GPU";
    Caffe::set_mode(TypeParam::mode);
    FLAGS_minloglevel = google::GLOG_WARNING;
  }
  void TearDown() override {
    FLAGS_minloglevel = google::GLOG_INFO;
    Caffe::set_mode(Caffe::CPU);
  }

  /// Weights after some iterations in a mode.
  static std::vector<Dtype> trained(Caffe::Brew mode, const SolverParameter& param,
                                    int iterations) {
    Caffe::set_mode(mode);
    const auto solver = make_solver<Dtype>(param);
    for (int i = 0; i < iterations; ++i) {
      fill_images(solver->net().get(), i);
      solver->Step(1);
    }
    const std::vector<Dtype> result = weights(solver.get());
    Caffe::set_mode(TypeParam::mode);
    return result;
  }
};
TYPED_TEST_SUITE(TrainingTest, DtypesAndDevices);

TYPED_TEST(TrainingTest, FiftyIterationsAreThoseOfTheCpu) {
  typedef typename TypeParam::Dtype Dtype;
  for (const char* type : kSolverTypes) {
    SCOPED_TRACE(type);
    const SolverParameter param =
        solver_param(lenet(), std::string(type) + " weight_decay: 0.001 clip_gradients: 0.5");
    const std::vector<Dtype> cpu = this->trained(Caffe::CPU, param, 50);
    const std::vector<Dtype> here = this->trained(TypeParam::mode, param, 50);
    ASSERT_EQ(cpu.size(), here.size());
    double difference = 0, size = 0;
    for (size_t i = 0; i < cpu.size(); ++i) {
      difference += std::pow(double(here[i]) - double(cpu[i]), 2);
      size += std::pow(double(cpu[i]), 2);
    }
    EXPECT_LE(std::sqrt(difference / size), sizeof(Dtype) == 4 ? 1e-5 : 1e-10);
  }
}

TYPED_TEST(TrainingTest, ALossThatIsNotFiniteChangesNothing) {
  typedef typename TypeParam::Dtype Dtype;
  for (const char* more : {"", "clip_gradients: 0.1", "iter_size: 2 weight_decay: 0.01"}) {
    SCOPED_TRACE(more);
    const std::string text = "lr_policy: 'multistep' stepvalue: 3 gamma: 0.5 momentum: 0.9 ";
    const auto solver = make_solver<Dtype>(solver_param(lenet(), text + more));
    solver->Step(3);
    const std::vector<Dtype> before = weights(solver.get());
    Dtype& pixel = solver->net()->blob_by_name("data")->mutable_cpu_data()[7];
    const Dtype value = pixel;
    pixel = std::numeric_limits<Dtype>::infinity();              // pooling would pass over a NaN
    EXPECT_ERROR(solver->Step(1), "nan (learning rate 0.025)");  // or -nan
    EXPECT_EQ(solver->iter(), 3);
    EXPECT_EQ(weights(solver.get()), before);
    // The history is that of the last good iteration, too.
    solver->net()->blob_by_name("data")->mutable_cpu_data()[7] = value;
    solver->Step(2);
    const auto straight = make_solver<Dtype>(solver_param(lenet(), text + more));
    straight->Step(5);
    EXPECT_EQ(weights(solver.get()), weights(straight.get()));
  }
}

TYPED_TEST(TrainingTest, ContinuesOnRequest) {
  typedef typename TypeParam::Dtype Dtype;
  const auto solver = make_solver<Dtype>(solver_param(lenet(), "continue_on_nonfinite_loss: true"));
  solver->net()->blob_by_name("data")->mutable_cpu_data()[7] =
      std::numeric_limits<Dtype>::quiet_NaN();
  solver->Step(2);
  EXPECT_EQ(solver->iter(), 2);
  EXPECT_TRUE(std::isnan(weights(solver.get())[0]));
}

TYPED_TEST(TrainingTest, ALabelOutOfRangeChangesNothing) {
  typedef typename TypeParam::Dtype Dtype;
  for (const char* more : {"", "continue_on_nonfinite_loss: true"}) {
    for (const double label : {3., -1., 1e9, std::nan("")}) {
      const auto solver = make_solver<Dtype>(solver_param(lenet(), more));
      solver->Step(1);
      const std::vector<Dtype> before = weights(solver.get());
      solver->net()->blob_by_name("label")->mutable_cpu_data()[4] = static_cast<Dtype>(label);
      EXPECT_ERROR(solver->Step(1), "(number 4 of 6) is out of range: there are 3 classes");
      EXPECT_EQ(solver->iter(), 1);
      EXPECT_EQ(weights(solver.get()), before);
      // A single pass says it at its end.
      EXPECT_ERROR(solver->net()->Forward(), "layer 'accuracy' (Accuracy): label");
    }
  }
}

TYPED_TEST(TrainingTest, AMapThatIsNotFiniteChangesNothing) {
  typedef typename TypeParam::Dtype Dtype;
  const std::string net =
      std::string(kTrainingData) +
      "layer { name: 'part' type: 'Elimination' bottom: 'data' bottom: 'data' top: 'part' "
      "top: 'region' } layer { name: 'quiet' type: 'Silence' bottom: 'region' } " +
      trained_layers("part") + softmax_loss();
  const auto solver = make_solver<Dtype>(
      solver_param(net, "momentum: 0.9 continue_on_nonfinite_loss: true weight_decay: 0.1"));
  solver->Step(2);
  const std::vector<Dtype> before = weights(solver.get());
  Blob<Dtype>& data = *solver->net()->blob_by_name("data");
  data.mutable_cpu_data()[data.count() - 1] = std::numeric_limits<Dtype>::infinity();
  EXPECT_ERROR(solver->Step(1), "layer 'part' (Elimination): the attention map of image 5");
  EXPECT_EQ(solver->iter(), 2);
  EXPECT_EQ(weights(solver.get()), before);
}

TYPED_TEST(TrainingTest, LogsTheLinesOfTheCpuInTheirOrder) {
  typedef typename TypeParam::Dtype Dtype;
  const SolverParameter param = solver_param(
      lenet(),
      "display: 1 debug_info: true clip_gradients: 0.01 lr_policy: 'multistep' stepvalue: 1 "
      "gamma: 0.5 average_loss: 2 iter_size: 2");
  std::vector<std::string> texts[2];
  std::vector<double> numbers[2];
  for (const int k : {0, 1}) {
    Caffe::set_mode(k == 0 ? Caffe::CPU : TypeParam::mode);
    const auto solver = make_solver<Dtype>(param);
    LogLines log;
    solver->Step(3);
    for (const std::string& line : log.lines) {
      // Times differ; so may the last digits of a number.
      const std::string timeless =
          std::regex_replace(line, std::regex("\\(.* iter/s, .*s/1 iters\\)"), "()");
      const std::regex number("[-+]?[0-9]+(\\.[0-9]+)?(e[-+][0-9]+)?");
      texts[k].push_back(std::regex_replace(timeless, number, "#"));
      for (std::sregex_iterator i(timeless.begin(), timeless.end(), number), end; i != end; ++i) {
        numbers[k].push_back(std::stod(i->str()));
      }
    }
  }
  EXPECT_EQ(texts[0], texts[1]);
  ASSERT_EQ(numbers[0].size(), numbers[1].size());
  for (size_t i = 0; i < numbers[0].size(); ++i) {
    EXPECT_NEAR(numbers[0][i], numbers[1][i], 1e-4 * std::max(1e-3, std::abs(numbers[0][i]))) << i;
  }
  EXPECT_GT(texts[0].size(), 100u);
}

TYPED_TEST(TrainingTest, APassReturnsTheLossAndItsOutputs) {
  typedef typename TypeParam::Dtype Dtype;
  const std::string net = lenet() +
                          "layer { name: 'more' type: 'EuclideanLoss' bottom: 'ip1' bottom: 'ip1' "
                          "top: 'more' loss_weight: 3 } "
                          "layer { name: 'size' type: 'Reduction' bottom: 'scores' top: 'size' "
                          "reduction_param { axis: 1 operation: SUMSQ } loss_weight: 0.25 } ";
  Dtype losses[2] = {0, 0}, sums[2] = {0, 0};
  for (const int k : {0, 1}) {
    Caffe::set_mode(k == 0 ? Caffe::CPU : TypeParam::mode);
    const auto solver = make_solver<Dtype>(solver_param(net, ""));
    solver->net()->Forward(&losses[k]);
    EXPECT_EQ(losses[k], solver->net()->ForwardBackward());
    for (const Blob<Dtype>* output : solver->net()->output_blobs()) {
      for (int i = 0; i < output->count(); ++i) sums[k] += output->cpu_data()[i];
    }
    // A part of the layers has a part of the loss.
    const int loss_layer = static_cast<int>(solver->net()->layers().size()) - 3;
    EXPECT_LT(solver->net()->ForwardTo(loss_layer), losses[k]);
    EXPECT_EQ(solver->net()->ForwardTo(1), Dtype(0));
  }
  EXPECT_NEAR(losses[0], losses[1], 1e-5 * losses[0]);
  EXPECT_NEAR(sums[0], sums[1], 1e-4);
}

TYPED_TEST(TrainingTest, NetSurgeryBetweenStepsIsHeeded) {
  typedef typename TypeParam::Dtype Dtype;
  const SolverParameter param =
      solver_param(lenet(), "momentum: 0.9 weight_decay: 0.01 clip_gradients: 0.3");
  Blob<Dtype> other(4, 1, 3, 3);
  std::vector<Dtype> results[2];
  for (const int k : {0, 1}) {
    std::unique_ptr<SGDSolver<Dtype>> solver;
    if (k == 0) solver.reset(new SGDSolver<Dtype>(param));
    if (k == 1) solver.reset(new StepByStep<SGDSolver<Dtype>>(param));
    Net<Dtype>& net = *solver->net();
    fill_images(&net);
    solver->Step(2);
    net.learnable_params()[0]->mutable_cpu_data()[3] = Dtype(0.5);  // values written by hand
    solver->Step(1);
    NetParameter stored;
    net.ToProto(&stored);
    solver->Step(1);
    net.CopyTrainedLayersFrom(stored);
    solver->Step(2);
    for (int i = 0; i < other.count(); ++i) other.mutable_cpu_data()[i] = Dtype(0.01 * i);
    net.learnable_params()[0]->ShareData(other);  // other memory
    solver->Step(2);
    net.learnable_params()[2]->Reshape({10, 100});  // the same values, named by another shape
    solver->history()[2]->Reshape({10, 100});
    net.learnable_params()[2]->Reshape({20, 100});  // new memory, all 0
    net.learnable_params()[2]->Reshape({10, 100});
    solver->Step(2);
    results[k] = weights<Dtype>(solver.get());
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_FALSE(std::isnan(results[0][0]));
}

TYPED_TEST(TrainingTest, SharedAndFrozenParametersAreUpdatedOnce) {
  typedef typename TypeParam::Dtype Dtype;
  const auto ip = [](const std::string& name, const std::string& bottom, const std::string& more) {
    return "layer { name: '" + name + "' type: 'InnerProduct' bottom: '" + bottom + "' top: '" +
           name + "' inner_product_param { num_output: 6 weight_filler { type: 'xavier' } } " +
           more + " } ";
  };
  const std::string shared = "param { name: 'w' } param { name: 'b' lr_mult: 2 } ";
  const std::string net =
      std::string(kTrainingData) + ip("first", "data", "") + ip("a", "first", shared) +
      ip("b", "a", shared) + ip("frozen", "b", "param { lr_mult: 0 } param { lr_mult: 0 }") +
      // BatchNorm alone would take the biases' gradients away, but for rounding.
      "layer { name: 'bent' type: 'TanH' bottom: 'frozen' top: 'bent' } "
      "layer { name: 'scores' type: 'BatchNorm' bottom: 'bent' top: 'scores' } " +
      softmax_loss();
  for (const char* type : kSolverTypes) {
    SCOPED_TRACE(type);
    SolverParameter param = solver_param(net, std::string(type) + " weight_decay: 0.01");
    param.set_delta(1e-3F);  // a step for g near 0 is not a matter of its rounding then
    const std::vector<Dtype> cpu = this->trained(Caffe::CPU, param, 5);
    const std::vector<Dtype> here = this->trained(TypeParam::mode, param, 5);
    ASSERT_EQ(cpu.size(), here.size());
    // Solvers that divide by a gradient's size enlarge what rounding does to a small one.
    const double tolerance = sizeof(Dtype) == 4 ? 1e-4 : 1e-9;
    for (size_t i = 0; i < cpu.size(); ++i) {
      ASSERT_NEAR(cpu[i], here[i], tolerance * std::max(1., std::abs(double(cpu[i])))) << i;
    }
  }
}

}  // namespace caffe
