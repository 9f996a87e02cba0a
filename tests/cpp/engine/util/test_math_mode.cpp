#include "caffe/util/math_mode.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "caffe/net.hpp"
#include "caffe/solver.hpp"
#include "command_test.hpp"
#include "fixtures.hpp"
#include "google/protobuf/text_format.h"

namespace caffe {

namespace {

const char kConvolution[] =
    "layer { name: 'x' type: 'DummyData' top: 'x' dummy_data_param { "
    "shape { dim: 2 dim: 16 dim: 8 dim: 8 } } } "
    "layer { name: 'conv' type: 'Convolution' bottom: 'x' top: 'conv' "
    "convolution_param { num_output: 16 kernel_size: 3 } } ";

NetParameter convolution() {
  NetParameter param;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(kConvolution, &param));
  return param;
}

class MathModeTest : public testing::Test {
 protected:
  ~MathModeTest() override {
    set_math_mode(MathMode::kFloat);
    Caffe::set_mode(Caffe::CPU);
  }
};

}  // namespace

TEST_F(MathModeTest, HasNames) {
  for (const MathMode mode :
       {MathMode::kFloat, MathMode::kTf32, MathMode::kFp16, MathMode::kBf16}) {
    EXPECT_EQ(math_mode_of(math_mode_name(mode)), mode);
  }
  EXPECT_EQ(math_mode_of("bf16"), MathMode::kBf16);
  EXPECT_ERROR(math_mode_of("FP32"), "math mode 'FP32': must be FLOAT, TF32, FP16 or BF16");
}

TEST_F(MathModeTest, BelongsToTheThread) {
  set_math_mode(MathMode::kTf32);
  {
    const MathModeScope scope(MathMode::kFp16);
    EXPECT_EQ(math_mode(), MathMode::kFp16);
    std::thread([] { EXPECT_EQ(math_mode(), MathMode::kFloat); }).join();
  }
  EXPECT_EQ(math_mode(), MathMode::kTf32);
}

TEST_F(MathModeTest, ANetThatCannotComputeInItIsAnError) {
  for (const MathMode mode : {MathMode::kTf32, MathMode::kFp16}) {
    set_math_mode(mode);
    EXPECT_ERROR(Net<float> net(convolution()), "a CPU computes in FLOAT or BF16: use one of them");
  }
  set_math_mode(MathMode::kBf16);
  EXPECT_ERROR(Net<double> net(convolution()),
               "math mode BF16: a net of doubles computes in double: use FLOAT");
}

/// A layer that notes the mode it is run in.
class NotesMathMode : public Net<float>::Callback {
 public:
  std::vector<MathMode> found;

 protected:
  void run(int) override { found.push_back(math_mode()); }
};

TEST_F(MathModeTest, ANetKeepsIts) {
  set_math_mode(MathMode::kBf16);
  const string why = why_no_math_mode(MathMode::kBf16);
  if (!why.empty()) GTEST_SKIP() << why;
  Net<float> net(convolution());
  set_math_mode(MathMode::kFloat);
  NotesMathMode notes;
  net.add_after_forward(&notes);
  net.Forward();
  EXPECT_EQ(notes.found, std::vector<MathMode>(2, MathMode::kBf16));
  EXPECT_EQ(math_mode(), MathMode::kFloat);
}

TEST_F(MathModeTest, ASolversFieldComesBeforeTheThreads) {
  SolverParameter solver;
  *solver.mutable_net_param() = convolution();
  solver.set_math_mode(SolverParameter::FP16);
  EXPECT_ERROR(SolverRegistry<float>::CreateSolver(solver), "math mode FP16: a CPU computes in");
  set_math_mode(MathMode::kFp16);
  solver.clear_math_mode();
  EXPECT_ERROR(SolverRegistry<float>::CreateSolver(solver), "math mode FP16: a CPU computes in");
  solver.set_math_mode(SolverParameter::FLOAT);
  SolverRegistry<float>::CreateSolver(solver);
  EXPECT_EQ(math_mode(), MathMode::kFp16);
}

/// The `caffe` command in a process of its own.
class MathModeCommand : public CommandTest {
 protected:
  Finished time_in(const std::string& mode, const std::string& environment) {
    write("net.prototxt", kConvolution);
    return shell(environment + " caffe time -model net.prototxt -iterations 1 -math " + mode);
  }
};

TEST_F(MathModeCommand, SaysWhatIsMissing) {
  const Finished run = time_in("BF16", "CAFFE_CPU_ISA=AVX2");
  EXPECT_EQ(run.status, 1);
  EXPECT_LOGGED(run, "math mode BF16: ");
#ifdef USE_ONEDNN
  EXPECT_TRUE(contains(run.log, "CAFFE_CPU_ISA=AVX2 hides AVX512_BF16") ||
              contains(run.log, "the processor has no AVX512_BF16"))
      << run.log;
#endif
}

TEST_F(MathModeCommand, PrintsTheMode) {
  const Finished run = time_in("float", "");
  EXPECT_EQ(run.status, 0) << run.log;
  EXPECT_LOGGED(run, "] Math mode: FLOAT");
  const string why = why_no_math_mode(MathMode::kBf16);
  if (!why.empty()) GTEST_SKIP() << why;
  const Finished half = time_in("bf16", "");
  EXPECT_EQ(half.status, 0) << half.log;
  EXPECT_LOGGED(half, "] Math mode: BF16");
}

}  // namespace caffe
