// Blocks that come from a GPU together, counted by the shadow device.

#include "caffe/blob.hpp"
#include "caffe/util/math_functions.hpp"
#include "tests/cpp/engine/fixtures.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {
namespace {

/// Small blocks, large ones, one twice, one that is on the CPU, one that nobody has written.
TEST(Fetch, WaitsOnceForAllBlocks) {
  Caffe::SetDevice(0);
  Caffe::set_mode(Caffe::GPU);
  Blob<float> small({5}), other({7}), large({30000}), here({3}), unwritten({2});
  const std::vector<Blob<float>*> on_gpu{&small, &other, &large};
  std::vector<SyncedMemory*> blocks;
  for (const Blob<float>* blob : {&small, &large, &here, &other, &unwritten, &small}) {
    blocks.push_back(blob->data().get());
  }
  for (int round = 1; round < 4; ++round) {
    for (size_t i = 0; i < on_gpu.size(); ++i) {
      caffe_gpu_set(on_gpu[i]->count(), 10.f * round + i, on_gpu[i]->mutable_gpu_data());
    }
    here.mutable_cpu_data()[2] = 4;
    shadow::reset_counts();
    SyncedMemory::fetch(blocks);
    EXPECT_EQ(shadow::counts().synchronisations, 1);
    for (size_t i = 0; i < on_gpu.size(); ++i) {
      EXPECT_EQ(on_gpu[i]->data()->head(), SyncedMemory::SYNCED);
      EXPECT_EQ(on_gpu[i]->cpu_data()[on_gpu[i]->count() - 1], 10.f * round + i);
    }
    EXPECT_EQ(here.cpu_data()[2], 4);
    EXPECT_EQ(unwritten.cpu_data()[1], 0);
    EXPECT_EQ(shadow::counts().synchronisations, 1);
    SyncedMemory::fetch(blocks);
    EXPECT_EQ(shadow::counts().synchronisations, 1) << "they are all here";
  }
  Caffe::set_mode(Caffe::CPU);
}

}  // namespace
}  // namespace caffe
