#include "caffe/util/cpu_isa.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "caffe/util/thin_gemm.hpp"
#include "command_test.hpp"

namespace caffe {

namespace {

/// Whether the engine's own products of matrices use AVX-512.
bool own_kernels_use_avx512() {
  const ThinKernels* const kernels = chosen_thin_kernels();
  return kernels != nullptr && std::string(kernels->isa) == "AVX-512";
}

/// The same in a new process with this CAFFE_CPU_ISA, which is read only once.
int own_kernels_use_avx512_with(const char* setting) {
  setenv("CAFFE_CPU_ISA", setting, 1);
  return own_kernels_use_avx512() ? 1 : 0;
}

}  // namespace

TEST(CpuIsa, IsWhatOwnKernelsGoBy) {
  EXPECT_EQ(own_kernels_use_avx512(), avx512_allowed());
#if defined(__x86_64__) && defined(__GNUC__)
  EXPECT_EQ(chosen_thin_kernels() != nullptr,
            __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
#endif
}

TEST(CpuIsaDeathTest, Avx2HidesAvx512) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // a new process, not a fork of this one
  EXPECT_EXIT(std::exit(own_kernels_use_avx512_with("AVX2")), testing::ExitedWithCode(0), "");
#if defined(__x86_64__) && defined(__GNUC__)
  EXPECT_EXIT(std::exit(own_kernels_use_avx512_with("")),
              testing::ExitedWithCode(__builtin_cpu_supports("avx512f") ? 1 : 0), "");
#endif
}

/// A program that uses the code that the switch controls, in a separate process.
class CpuIsaCommand : public CommandTest {
 protected:
  Finished time_a_net(const std::string& environment) {
    write("net.prototxt",
          "layer { name: 'x' type: 'DummyData' top: 'x' dummy_data_param { "
          "shape { dim: 4 dim: 16 dim: 8 dim: 8 } } }\n"
          "layer { name: 'conv' type: 'Convolution' bottom: 'x' top: 'conv' "
          "convolution_param { num_output: 16 kernel_size: 3 } }\n"
          "layer { name: 'fc' type: 'InnerProduct' bottom: 'conv' top: 'fc' "
          "inner_product_param { num_output: 256 } }\n");
    return shell(environment + " caffe time -model net.prototxt -iterations 1");
  }
};

TEST_F(CpuIsaCommand, OneVariableHidesAvx512FromOneDnnToo) {
#ifndef USE_ONEDNN
  GTEST_SKIP() << "no oneDNN";
#endif
  const Finished run = time_a_net("CAFFE_CPU_ISA=AVX2 ONEDNN_MAX_CPU_ISA= ONEDNN_VERBOSE=1");
  EXPECT_EQ(run.status, 0) << run.log;
  EXPECT_LOGGED(run, ",convolution,");  // oneDNN's log of what it ran
  EXPECT_FALSE(contains(run.log, "avx512")) << run.log;
}

TEST_F(CpuIsaCommand, RefusesOtherValues) {
  const Finished run = time_a_net("CAFFE_CPU_ISA=avx10");
  EXPECT_EQ(run.status, 1);
  EXPECT_LOGGED(run, "CAFFE_CPU_ISA is 'avx10': AVX2 hides AVX-512");
}

}  // namespace caffe
