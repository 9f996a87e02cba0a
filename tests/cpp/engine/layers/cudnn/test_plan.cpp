// Plans: descriptions, the cache, and that the stand-in sees what cuDNN would not forgive.

#include <cuda_runtime.h>

#include "caffe/layers/cudnn/plans.hpp"
#include "caffe/util/device.hpp"
#include "kernels/stream.hpp"
#include "layers/cudnn/adapter_test.hpp"

namespace caffe {
namespace cudnn {
namespace {

typedef std::vector<int64_t> Lengths;

Convolution small(Pass pass) {
  Convolution c;
  c.pass = pass;
  c.x = Tensor::plain({2, 4, 5, 6});
  c.w = Tensor::plain({6, 2, 3, 2});
  c.y = Tensor::plain({2, 6, 3, 3});
  c.pad = {1, 0};
  c.stride = {2, 2};
  c.dilation = {1, 1};
  return c;
}

/// GPU memory with given values.
class Memory {
 public:
  explicit Memory(size_t count) : Memory(std::vector<float>(count, 0)) {}
  explicit Memory(const std::vector<float>& values)
      : count_(values.size()), memory_(device::allocate(count_ * sizeof(float)), device::release) {
    device::copy(memory_.get(), values.data(), count_ * sizeof(float));
  }
  float* get() const { return static_cast<float*>(memory_.get()); }
  std::vector<float> values() const {
    std::vector<float> found(count_);
    device::copy(found.data(), memory_.get(), count_ * sizeof(float));
    return found;
  }

 private:
  size_t count_;
  std::shared_ptr<void> memory_;
};

std::vector<float> random_values(int64_t count, int seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(random);
  return values;
}

/// Where value number i, counted row by row, is.
int64_t place(const Tensor& tensor, int64_t i) {
  int64_t offset = 0;
  for (size_t a = tensor.lengths.size(); a-- > 0;) {
    offset += i % tensor.lengths[a] * tensor.strides[a];
    i /= tensor.lengths[a];
  }
  return offset;
}

std::vector<float> in_layout(const Tensor& tensor, const std::vector<float>& plain) {
  std::vector<float> values(tensor.extent(), 99);
  for (size_t i = 0; i < plain.size(); ++i) values[place(tensor, i)] = plain[i];
  return values;
}

std::string fault_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const shadow::Fault& fault) {
    return fault.what();
  }
  return "";
}

#define EXPECT_FAULT(call, part) EXPECT_PRED2(contains, fault_of([&] { call; }), part)

}  // namespace

class PlanTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Caffe::set_mode(Caffe::GPU);
    shadow_cudnn::clear();
  }
  void TearDown() override {
    shadow_cudnn::clear();
    Caffe::set_mode(Caffe::CPU);
  }
  std::shared_ptr<Plan> plan(const Convolution& c) {
    std::string reason;
    return build(c, 1 << 20, &reason);
  }
  /// The result, row by row, of a pass on the same values whatever the layout.
  std::vector<float> run(const Convolution& c) {
    const Memory x(in_layout(c.x, random_values(c.x.values(), 1))),
        w(in_layout(c.w, random_values(c.w.values(), 2))),
        y(in_layout(c.y, random_values(c.y.values(), 3))), bias(random_values(c.y.lengths[1], 4)),
        result(c.result().extent());
    const Operands operands = {x.get(), w.get(), y.get(), bias.get(), result.get()};
    EXPECT_TRUE(Plans::current().run(c, operands));
    const std::vector<float> all = result.values();
    std::vector<float> found(c.result().values());
    for (size_t i = 0; i < found.size(); ++i) found[i] = all[place(c.result(), i)];
    return found;
  }
};

TEST_F(PlanTest, TensorsHaveStrides) {
  const Tensor plain = Tensor::plain({2, 3, 4, 5}), last = Tensor::channels_last({2, 3, 4, 5});
  EXPECT_EQ(plain.strides, Lengths({60, 20, 5, 1}));
  EXPECT_EQ(last.strides, Lengths({60, 1, 15, 3}));
  EXPECT_EQ(Tensor::channels_last({2, 3, 4, 5, 6}).strides, Lengths({360, 1, 90, 18, 3}));
  EXPECT_EQ(plain.values(), 120);
  EXPECT_EQ(last.extent(), 120);
  const Tensor with_gaps = {{2, 3}, {10, 2}};
  EXPECT_EQ(with_gaps.values(), 6);
  EXPECT_EQ(with_gaps.extent(), 15);
}

TEST_F(PlanTest, AreDescribedInWords) {
  Convolution c = small(Pass::kData);
  EXPECT_EQ(c.describe(), "data gradient of 2x4x5x6 by 6x2x3x2, stride 2x2, pad 1x0, float");
  c.dilation = {1, 2};
  c.type = ValueType::kDouble;
  c.x = Tensor::channels_last(c.x.lengths);
  EXPECT_EQ(c.describe(),
            "data gradient of 2x4x5x6 by 6x2x3x2, stride 2x2, pad 1x0, dilation 1x2, double, x "
            "not row by row");
  c = small(Pass::kForward);
  c.bias = c.relu = true;
  EXPECT_PRED2(contains, c.describe(), "forward pass with bias and ReLU of");
}

/// Each operand in either layout: the values are the same.
TEST_F(PlanTest, ComputeInAnyLayout) {
  for (const Pass pass : {Pass::kForward, Pass::kData, Pass::kWeights}) {
    const std::vector<float> expected = run(small(pass));
    for (int layout = 1; layout < 8; ++layout) {
      Convolution c = small(pass);
      if (layout & 1) c.x = Tensor::channels_last(c.x.lengths);
      if (layout & 2) c.w = Tensor::channels_last(c.w.lengths);
      if (layout & 4) c.y = Tensor::channels_last(c.y.lengths);
      const std::vector<float> found = run(c);
      for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 1e-5);
    }
  }
}

TEST_F(PlanTest, AreBuiltOnceForEachDescription) {
  int built = 0;
  shadow_cudnn::refuse([&built](const Convolution&) {
    ++built;
    return false;
  });
  Convolution c = small(Pass::kForward);
  c.x.lengths[0] = c.y.lengths[0] = 3;  // no other test's
  c.x = Tensor::plain(c.x.lengths);
  c.y = Tensor::plain(c.y.lengths);
  Plans& plans = Plans::current();
  const Plan* const first = plans.find(c);
  EXPECT_EQ(plans.find(c), first);
  EXPECT_EQ(built, 1);
  const auto differs = [&](Convolution other) {
    EXPECT_NE(plans.find(other), first);
    return built;
  };
  Convolution other = c;
  other.pass = Pass::kData;
  EXPECT_EQ(differs(other), 2);
  other = c;
  other.type = ValueType::kDouble;
  EXPECT_EQ(differs(other), 3);
  other = c;
  other.bias = true;
  EXPECT_EQ(differs(other), 4);
  other.relu = true;
  EXPECT_EQ(differs(other), 5);
  other = c;
  other.x = Tensor::channels_last(c.x.lengths);
  EXPECT_EQ(differs(other), 6);
}

TEST_F(PlanTest, ThatAreRefusedAreAskedForOnce) {
  int asked = 0;
  shadow_cudnn::refuse([&asked](const Convolution&) {
    ++asked;
    return true;
  });
  Convolution c = small(Pass::kForward);
  c.y.lengths[1] = c.w.lengths[0] = 8;  // no other test's
  c.w = Tensor::plain(c.w.lengths);
  c.y = Tensor::plain(c.y.lengths);
  EXPECT_EQ(Plans::current().find(c), nullptr);
  EXPECT_EQ(Plans::current().find(c), nullptr);
  EXPECT_EQ(asked, 1);
}

TEST_F(PlanTest, WithWrongDescriptionsAreFaults) {
  Convolution c = small(Pass::kForward);
  c.y.lengths[2] = 4;
  c.y = Tensor::plain(c.y.lengths);
  EXPECT_FAULT(plan(c), "a wrong length of y");
  c = small(Pass::kForward);
  c.x.strides[1] = 29;  // a plane has 30 values
  EXPECT_FAULT(plan(c), "two values at one place");
  c = small(Pass::kData);
  c.x.strides = {120, 30, 6, 0};
  EXPECT_FAULT(plan(c), "two values at one place");
  c = small(Pass::kWeights);
  c.w = Tensor::plain({6, 3, 3, 2});
  EXPECT_FAULT(plan(c), "do not fit");
  c = small(Pass::kForward);
  c.relu = true;
  EXPECT_FAULT(plan(c), "a ReLU without a bias");
  c = small(Pass::kWeights);
  c.bias = true;
  EXPECT_FAULT(plan(c), "a bias of a gradient");
}

TEST_F(PlanTest, WithWrongOperandsAreFaults) {
  const Convolution c = small(Pass::kForward);
  const Memory x(240), w(72 + 1), y(108), workspace(1024);
  const std::vector<float> host(300);
  const auto start = [&](const void* from, const void* weights, void* to, void* space,
                         size_t bytes) {
    Operands operands;
    operands.x = from;
    operands.w = weights;
    operands.result = to;
    return fault_of([&] { plan(c)->run(operands, space, bytes); });
  };
  float *const space = workspace.get(), *const to = y.get();
  EXPECT_EQ(start(x.get(), w.get(), to, space, 4096), "");
  EXPECT_PRED2(contains, start(x.get(), w.get(), to, space, 4095),
               "a workspace of 4095 bytes instead of 4096");
  EXPECT_PRED2(contains, start(nullptr, w.get(), to, space, 4096), "x is missing");
  EXPECT_PRED2(contains, start(x.get(), w.get() + 1, to, space, 4096),
               "w is not at a multiple of 16 bytes");
  EXPECT_PRED2(contains, start(host.data(), w.get(), to, space, 4096), ": x");
  EXPECT_PRED2(contains, start(to, w.get(), x.get(), space, 4096), ": x");  // too short
  EXPECT_PRED2(contains, start(x.get(), w.get(), x.get(), space, 4096), "the result overlaps x");
  EXPECT_PRED2(contains, start(space, w.get(), to, space, 4096), "the workspace overlaps x");
}

/// Two streams with one workspace: whichever plan comes second spoils the other's.
TEST_F(PlanTest, ThatShareAWorkspaceAtOnceAreAFault) {
  shadow_cudnn::watch_workspaces();
  const Convolution c = small(Pass::kForward);
  const Memory x(240), w(72), y(108), z(108), workspace(1024);
  cudaDeviceSynchronize();  // the other streams do not wait for the allocations
  maap::Stream streams[2];
  device::wait();  // the memory belongs to the thread's own stream
  for (maap::Stream& stream : streams) {
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  }
  const auto start = [&](float* to, bool after_the_first) {
    Operands operands;
    operands.x = x.get();
    operands.w = w.get();
    operands.result = to;
    const maap::Stream before = maap::current_stream();
    maap::set_current_stream(streams[to == z.get() && !after_the_first]);
    plan(c)->run(operands, workspace.get(), 4096);
    maap::set_current_stream(before);
  };
  // In order on one stream it is allowed.
  for (int i = 0; i < 20; ++i) {
    start(y.get(), true);
    start(z.get(), true);
  }
  EXPECT_EQ(fault_of([] { cudaDeviceSynchronize(); }), "");
  std::string fault;
  for (int i = 0; i < 20 && fault.empty(); ++i) {
    start(y.get(), false);
    start(z.get(), false);
    fault = fault_of([] { cudaDeviceSynchronize(); });
  }
  EXPECT_PRED2(contains, fault, "something else used the workspace");
  fault_of([] { cudaDeviceSynchronize(); });
  for (const maap::Stream stream : streams) cudaStreamDestroy(stream);
}

TEST_F(PlanTest, GrowTheWorkspaceToTheLargestRequest) {
  Plans& plans = Plans::current();
  const Convolution c = small(Pass::kForward);
  const Plans::Ready first = plans.prepare(c, 64);
  ASSERT_NE(first.plan, nullptr);
  EXPECT_GE(first.bytes, first.plan->workspace_bytes());
  EXPECT_EQ(plans.prepare(c, 32).workspace, first.workspace);
  char* const large = plans.prepare(c, size_t(1) << 24).workspace;
  EXPECT_NE(large, nullptr);
  EXPECT_EQ(plans.prepare(c, 64).workspace, large);
}

/// small() with so many images, which no other test has.
Convolution with_images(int64_t images) {
  Convolution c = small(Pass::kForward);
  c.x.lengths[0] = c.y.lengths[0] = images;
  c.x = Tensor::plain(c.x.lengths);
  c.y = Tensor::plain(c.y.lengths);
  return c;
}

/// A device with 256 MB more than what is in use, while it exists.
class LittleMemory {
 public:
  LittleMemory() {
    const auto used = static_cast<size_t>(shadow::counts().memory_in_use);
    shadow::set_memory(used + (size_t(256) << 20));
  }
  ~LittleMemory() { shadow::set_memory(size_t(8) << 30); }
};

TEST_F(PlanTest, ThatNeedTooMuchMemoryGiveWayToOthers) {
  const Convolution c = with_images(1001);
  Plans& plans = Plans::current();
  shadow_cudnn::need_workspace(size_t(1) << 29);
  ASSERT_NE(plans.find(c), nullptr);
  shadow_cudnn::need_workspace(4096);
  const LittleMemory memory;
  const Plans::Ready ready = plans.prepare(c);
  ASSERT_NE(ready.plan, nullptr);
  EXPECT_EQ(ready.plan->workspace_bytes(), 4096u);
  EXPECT_EQ(plans.find(c), ready.plan) << "it is kept";
  EXPECT_THROW(plans.prepare(with_images(1002), size_t(1) << 29), OutOfMemory);
}

TEST_F(PlanTest, AreForgottenInTheOrderOfTheirUse) {
  int built = 0;
  shadow_cudnn::refuse([&built](const Convolution&) {
    ++built;
    return false;
  });
  Plans& plans = Plans::current();
  const auto builds = [&](int64_t images) {
    const int before = built;
    plans.find(with_images(images));
    return built - before;
  };
  for (size_t i = 0; i < Plans::kMost; ++i) EXPECT_EQ(builds(2000 + static_cast<int64_t>(i)), 1);
  EXPECT_EQ(builds(2000), 0);
  EXPECT_EQ(builds(9000), 1);  // in the place of 2001
  EXPECT_EQ(builds(2000), 0);
  EXPECT_EQ(builds(2002), 0);
  EXPECT_EQ(builds(2001), 1);
}

}  // namespace cudnn
}  // namespace caffe
