// Nets in several threads on the shadow device: the same numbers as in one.

#include <mutex>

#include "caffe/util/device.hpp"
#include "tests/cpp/shadow/small_net.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {

namespace {

constexpr int kIterations = 4;

}  // namespace

TEST(GpuThreads, SeparateNetsDoNotDisturbEachOther) {
  const OnGpu mode;
  const vector<double> first = trained(kIterations, 5), second = trained(kIterations, 6);
  ASSERT_NE(first, second);
  for (int seed = 1; seed < 4; ++seed) {
    shadow::set_seed(seed);
    vector<double> one, other;
    std::thread beside([&] {
      const OnGpu gpu;
      other = trained(kIterations, 6);
    });
    one = trained(kIterations, 5);
    beside.join();
    EXPECT_EQ(one, first);
    EXPECT_EQ(other, second);
  }
}

TEST(GpuThreads, ANetMovesBetweenThreads) {
  const OnGpu mode;
  const vector<double> expected = trained(kIterations);
  for (int seed = 1; seed < 4; ++seed) {
    shadow::set_seed(seed);
    const auto solver = small_solver();
    for (int i = 0; i < kIterations; ++i) {
      if (i % 2 == 0) {
        train(solver.get(), 1);
      } else {
        in_thread([&] { train(solver.get(), 1); });
      }
    }
    EXPECT_EQ(weights(*solver->net()), expected);
  }
}

/// A test net shares the weights that another thread trains, in turns.
TEST(GpuThreads, WeightsAreSharedBetweenThreads) {
  const OnGpu mode;
  const auto reference = small_solver();
  vector<double> losses;
  for (int i = 0; i < kIterations; ++i) {
    train(reference.get(), 1);
    losses.push_back(reference->net()->Forward()[0]->cpu_data()[0]);
  }
  for (int seed = 1; seed < 4; ++seed) {
    shadow::set_seed(seed);
    const auto solver = small_solver();
    const auto reader = make_net(small_net("reader"));
    reader->ShareTrainedLayersWith(solver->net().get());
    for (int i = 0; i < kIterations; ++i) {
      train(solver.get(), 1);
      in_thread([&] {
        feed(reader.get(), i);
        EXPECT_EQ(reader->Forward()[0]->cpu_data()[0], losses[i]);
      });
      solver->net()->Forward();  // as the reference did: BatchNorm's averages take part
    }
  }
}

TEST(GpuThreads, AThreadMayEndBeforeItsWorkIsDone) {
  const OnGpu mode;
  const vector<double> expected = trained(2);
  std::unique_ptr<SGDSolver<float>> solver;
  in_thread([&] { solver = small_solver(); });
  in_thread([&] { train(solver.get(), 1); });
  in_thread([&] { train(solver.get(), 1); });
  EXPECT_EQ(weights(*solver->net()), expected);
  in_thread([&] { solver.reset(); });
}

TEST(GpuThreads, NothingIsAllocatedAfterTheSecondIteration) {
  const OnGpu mode;
  const auto solver = small_solver();
  train(solver.get(), 2);
  shadow::reset_counts();
  train(solver.get(), 3);
  EXPECT_EQ(shadow::counts().allocations, 0);
  EXPECT_EQ(shadow::counts().pinned_allocations, 0);
  const int64_t in_use = shadow::counts().memory_in_use;
  EXPECT_EQ(shadow::counts().memory_peak, in_use);
}

TEST(GpuThreads, ConvolutionsShareOneColumnBuffer) {
  const OnGpu mode;
  const auto conv = [](const string& name, const string& bottom) {
    return "layer { name: '" + name + "' type: 'Convolution' bottom: '" + bottom + "' top: '" +
           name + "' convolution_param { num_output: 2 kernel_size: 7 pad: 3 engine: CAFFE } } ";
  };
  const string data =
      "layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 1 dim: 2 dim: 32 "
      "dim: 32 } } } ";
  const auto memory_of = [&](const string& layers) {
    const int64_t before = shadow::counts().memory_in_use;
    const auto net = make_net(data + layers);
    net->Forward();
    device::wait();
    return shadow::counts().memory_in_use - before;
  };
  memory_of(conv("a", "data"));  // the workspace is there from now on
  const int64_t columns = 2 * 49 * 32 * 32 * 4;
  EXPECT_LT(memory_of(conv("a", "data") + conv("b", "a") + conv("c", "b")), columns);
}

}  // namespace caffe
