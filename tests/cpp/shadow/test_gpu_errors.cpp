// What goes wrong on a GPU: the message, and that the next call works.

#include <cuda_runtime.h>

#include "caffe/net_memory.hpp"
#include "caffe/util/benchmark.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/gpu_context.hpp"
#include "tests/cpp/shadow/small_net.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {

TEST(GpuErrors, ANumberThatIsNotThereSaysWhatIs) {
  EXPECT_ERROR(Caffe::SetDevice(7), "there is no GPU 7: the CUDA runtime finds 1 (0: ");
  EXPECT_ERROR(Caffe::SetDevice(-1), "there is no GPU -1");
  EXPECT_ERROR(device::properties(7), "there is no GPU 7");
  {
    const Devices two(2);
    EXPECT_ERROR(Caffe::SetDevice(2), "finds 2 (0: ");
  }
  Caffe::SetDevice(0);
}

TEST(GpuErrors, ADriverThatIsMissingOrTooOldIsNamed) {
  shadow::set_driver(0);
  EXPECT_EQ(device::count(), 0);
  EXPECT_ERROR(Caffe::SetDevice(0), "no driver of NVIDIA's is installed");
  shadow::set_driver(11080);
  EXPECT_ERROR(Caffe::SetDevice(0), "the driver supports CUDA 11.8, and this Caffe was built with");
  shadow::set_driver(13000);
  {
    const Devices none(0);
    EXPECT_ERROR(Caffe::SetDevice(0), "CUDA_VISIBLE_DEVICES");
  }
  EXPECT_GT(device::count(), 0);
  Caffe::SetDevice(0);
}

TEST(GpuErrors, TooLittleMemoryNamesTheLayerAndWhatWasAsked) {
  const OnGpu mode;
  const auto net = make_net(small_net());
  feed(net.get(), 0);
  net->Forward();
  shadow::fail_allocation(1);
  net->input_blobs()[0]->Reshape({64, 3, 8, 8});
  net->input_blobs()[1]->Reshape({64});
  feed(net.get(), 0);
  string message, log;
  {
    const LogLines logged;
    message = error_of([&] { net->Forward(); });
    log = join(logged.lines, "\n");
  }
  EXPECT_PRED2(contains, message, "layer 'conv' (Convolution): cannot allocate ");
  EXPECT_PRED2(contains, message, "MB are free");
  EXPECT_PRED2(contains, message, "smaller batch_size");
  EXPECT_PRED2(contains, log, "GPU memory that net 'small' needs");
  EXPECT_PRED2(contains, log, "conv (Convolution)");
  net->Forward();
}

/// Whatever allocation fails, the error names it, and the training then goes on.
TEST(GpuErrors, EveryAllocationMayFail) {
  const OnGpu mode;
  const vector<double> expected = trained(2);
  int failed = 0;
  for (int n = 1; n < 200; ++n) {
    SCOPED_TRACE(n);
    std::unique_ptr<SGDSolver<float>> solver = small_solver();
    shadow::fail_allocation(n);
    const string message = error_of([&] { train(solver.get(), 1); });
    shadow::fail_allocation(0);
    if (message.empty()) break;
    ++failed;
    EXPECT_PRED2(contains, message, "cannot allocate");
    EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
    EXPECT_EQ(trained(2), expected);
    if (HasFailure()) return;
  }
  EXPECT_GT(failed, 10);
}

TEST(GpuErrors, AfterAFailedAllocationTheSamePassesRun) {
  for (int n = 1; n < 8; ++n) {  // a new thread has nothing of its own on the GPU
    SCOPED_TRACE(n);
    in_thread([n] {
      const auto net = make_net(small_net());
      feed(net.get(), 0);
      shadow::fail_allocation(n);
      EXPECT_PRED2(contains, error_of([&] { net->Forward(); }), "cannot allocate");
      shadow::fail_allocation(0);
      net->Forward();
      net->Backward();
    });
  }
}

TEST(GpuErrors, TooLittleMemoryForTheHistorySaysWhatItWasFor) {
  const OnGpu mode;
  const auto solver = small_solver();
  feed(solver->net().get(), 0);
  solver->net()->Forward();
  solver->net()->Backward();
  shadow::set_memory(static_cast<size_t>(shadow::counts().memory_in_use));
  string message, log;
  {
    const LogLines logged;
    message = error_of([&] { solver->Step(1); });
    log = join(logged.lines, "\n");
  }
  shadow::set_memory(size_t(8) << 30);
  EXPECT_PRED2(contains, message, "parameters, their gradients and the solver's history: cannot");
  EXPECT_PRED2(contains, log, "one workspace serves");
  train(solver.get(), 1);
}

TEST(GpuErrors, EveryLaunchMayFail) {
  const OnGpu mode;
  const vector<double> expected = trained(2);
  int failed = 0;
  for (int n = 1; n < 400; n += 2) {
    SCOPED_TRACE(n);
    std::unique_ptr<SGDSolver<float>> solver = small_solver();
    shadow::fail_launch(n);
    const string message = error_of([&] { train(solver.get(), 1); });
    shadow::fail_launch(0);
    if (message.empty()) break;
    ++failed;
    EXPECT_PRED2(contains, message, "too many resources");
    EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
    EXPECT_EQ(trained(2), expected);
    if (HasFailure()) return;
  }
  EXPECT_GT(failed, 10);
}

TEST(GpuErrors, ALateErrorSaysWhatRanAndHowToFindIt) {
  const OnGpu mode;
  const auto net = make_net(small_net());
  feed(net.get(), 0);
  net->Forward();
  device::wait();
  shadow::fail_launch(2, true);
  const string message = error_of([&] {
    net->Forward();
    device::wait();
  });
  EXPECT_PRED2(contains, message, "Work that was queued before failed");
  EXPECT_PRED2(contains, message, "CAFFE_GPU_SYNC=1");
  EXPECT_PRED2(contains, message, "the layer that ran last in this thread is '");
  shadow::clear_sticky_error();
}

TEST(GpuErrors, ATimerMeasuresOnTheStreamWithoutWaiting) {
  const OnGpu mode;
  Blob<float> blob({1000});
  blob.mutable_gpu_data();
  shadow::reset_counts();
  Timer timer;
  CPUTimer cpu;
  timer.Start();
  cpu.Start();
  caffe_gpu_set(1000, 1.f, blob.mutable_gpu_data());
  timer.Stop();
  cpu.Stop();
  EXPECT_GE(cpu.MilliSeconds(), 0);
  EXPECT_EQ(shadow::counts().synchronisations, 0);
  EXPECT_GE(timer.MilliSeconds(), 0);
  EXPECT_GT(shadow::counts().synchronisations, 0);
}

}  // namespace caffe
