// The memory of the shadow device: who may touch it and when, what new memory holds, what is
// checked.

#include <cmath>
#include <csignal>

#include "kernels/parallel.hpp"
#include "shadow_test.hpp"

namespace {

typedef ShadowTest ShadowMemory;
typedef ShadowTest ShadowMemoryDeathTest;

struct StoreAt {
  float* to;
  int offset;
  void operator()(int) const { to[offset] = 1; }
};

struct StoreByte {
  char* to;
  int offset;
  void operator()(int) const { to[offset] = 1; }
};

/// Stores where a pointer in device memory points to: no word of the functor shows it.
struct StoreIndirectly {
  float** to;
  void operator()(int) const { **to = 1; }
};

template <typename F>
void run(const F& f) {
  maap::parallel_for(maap::Device::kGPU, 1, f);
  cudaDeviceSynchronize();
}

TEST_F(ShadowMemoryDeathTest, TheHostCannotTouchIt) {
  OnDevice<float> memory(3);
  EXPECT_DEATH(memory.get()[1] = 1,
               "the host touched device memory.*byte 4 of a block of 12 bytes");
}

TEST_F(ShadowMemoryDeathTest, NorAfterAKernelHas) {
  OnDevice<float> memory(3);
  run(StoreAt{memory.get(), 0});
  EXPECT_DEATH(memory.get()[0] = 1, "the host touched device memory");
}

TEST_F(ShadowMemory, NewMemoryHoldsNoNumbers) {
  for (const float value : OnDevice<float>(5).values()) EXPECT_TRUE(std::isnan(value));
  for (const double value : OnDevice<double>(5).values()) EXPECT_TRUE(std::isnan(value));
  for (const int value : OnDevice<int>(5).values()) EXPECT_GT(value, 2000000000);
}

TEST_F(ShadowMemoryDeathTest, PastTheEnd) {
  OnDevice<float> memory(4);
  EXPECT_DEATH(run(StoreAt{memory.get(), 4}),
               "kernel .*StoreAt touched address .* 0 bytes past the end of a block of 16 bytes");
  EXPECT_DEATH(run(StoreAt{memory.get(), 5}), "4 bytes past the end of a block of 16 bytes");
}

TEST_F(ShadowMemory, PastTheEndWithinTheAlignment) {
  OnDevice<char> memory(5);
  const std::string fault = fault_of([&] { run(StoreByte{memory.get(), 7}); });
  EXPECT_TRUE(contains(fault, "StoreByte wrote 2 bytes past the end of a block of 5 bytes"))
      << fault;
  EXPECT_EQ("", fault_of([&] { run(StoreByte{memory.get(), 4}); }));
}

TEST_F(ShadowMemory, BeforeTheStart) {
  OnDevice<float> memory(4);
  const std::string fault = fault_of([&] { run(StoreAt{memory.get(), -1}); });
  EXPECT_TRUE(contains(fault, "StoreAt wrote 4 bytes before the start of a block of 16")) << fault;
  const std::string far = fault_of([&] { run(StoreAt{memory.get(), -800}); });  // the same page
  EXPECT_TRUE(contains(far, "wrote 3200 bytes before the start of a block of 16 bytes")) << far;
}

TEST_F(ShadowMemoryDeathTest, FreedMemory) {
  float* freed = nullptr;
  ASSERT_EQ(cudaSuccess, cudaMalloc(&freed, 12));
  const OnDevice<float*> pointer(std::vector<float*>{freed});
  cudaFree(freed);
  EXPECT_DEATH(run(StoreIndirectly{pointer.get()}),
               "kernel .*StoreIndirectly touched .* byte 0 of a block of 12 bytes .*was freed");
}

TEST_F(ShadowMemoryDeathTest, HostMemoryFromAKernel) {
  float* const nowhere = reinterpret_cast<float*>(4096);
  const OnDevice<float*> pointer(std::vector<float*>{nowhere});
  EXPECT_DEATH(run(StoreIndirectly{pointer.get()}),
               "kernel .*StoreIndirectly touched address 0x1000, which is not memory of a device");
}

TEST_F(ShadowMemoryDeathTest, FaultsThatAreNotItsAreNoConcernOfIt) {
  OnDevice<float> memory(3);
  SKIP_UNDER_SANITIZERS();
  int* volatile nowhere = nullptr;
  EXPECT_EXIT(*nowhere = 1, ::testing::KilledBySignal(SIGSEGV), "^$");
}

TEST_F(ShadowMemory, FreeingInTheOrderOfAStream) {
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaSuccess, cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  float *first = nullptr, *second = nullptr, value = 0;
  ASSERT_EQ(cudaSuccess, cudaMallocAsync(&first, 4, stream));
  const maap::OnStream on(stream);
  maap::parallel_for(maap::Device::kGPU, 1, StoreAt{first, 0});
  cudaMallocAsync(&second, 4, stream);
  cudaMemcpyAsync(second, first, 4, cudaMemcpyDefault, stream);
  ASSERT_EQ(cudaSuccess, cudaFreeAsync(first, stream));  // after the copy, which has not run
  EXPECT_TRUE(contains(fault_of([&] { run(StoreAt{first, 0}); }), "which was freed"));
  EXPECT_EQ(cudaErrorInvalidValue, cudaFreeAsync(first, stream));
  EXPECT_EQ(cudaSuccess, cudaMemcpyAsync(&value, second, 4, cudaMemcpyDefault, stream));
  cudaStreamSynchronize(stream);
  EXPECT_EQ(1, value);
  cudaFreeAsync(second, stream);
  cudaStreamDestroy(stream);
}

/// A stream uses memory of another one's pool and does not wait for its allocation.
void use_too_early() {
  cudaStream_t one = nullptr, other = nullptr;
  cudaStreamCreateWithFlags(&one, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
  for (int seed = 0; seed < 20; ++seed) {
    shadow::set_seed(seed);
    float* memory = nullptr;
    cudaMallocAsync(&memory, 4, one);
    cudaMemsetAsync(memory, 0, 4, other);
    cudaStreamSynchronize(other);
  }
}

TEST_F(ShadowMemoryDeathTest, AnAllocationThatItsStreamHasNotReached) {
  EXPECT_DEATH(use_too_early(), "a fill touched .*whose stream has not reached its allocation");
}

TEST_F(ShadowMemory, ACopyMustLieInOneBlock) {
  OnDevice<float> memory(5);
  std::vector<float> values(6);
  EXPECT_THROW(cudaMemcpy(values.data(), memory.get(), 24, cudaMemcpyDefault), shadow::Fault);
  EXPECT_THROW(cudaMemcpy(memory.get() + 3, values.data(), 12, cudaMemcpyDefault), shadow::Fault);
  EXPECT_THROW(cudaMemset(memory.get() - 1, 0, 8), shadow::Fault);
  EXPECT_EQ(cudaSuccess, cudaMemset(memory.get(), 0, 20));
}

TEST_F(ShadowMemory, AKindSaysWhereTheEndsAre) {
  OnDevice<float> memory(1);
  float value = 0;
  EXPECT_THROW(cudaMemcpy(memory.get(), &value, 4, cudaMemcpyDeviceToHost), shadow::Fault);
  EXPECT_THROW(cudaMemcpy(&value, memory.get(), 4, cudaMemcpyHostToDevice), shadow::Fault);
  EXPECT_THROW(cudaMemcpy(&value, memory.get(), 4, cudaMemcpyDeviceToDevice), shadow::Fault);
  EXPECT_EQ(cudaSuccess, cudaMemcpy(memory.get(), &value, 4, cudaMemcpyHostToDevice));
}

TEST_F(ShadowMemory, MayBeInManyBlocks) {
  std::vector<char*> blocks(40000);  // more than the kernel could have open
  for (char*& block : blocks) ASSERT_EQ(cudaSuccess, cudaMalloc(&block, 3));
  for (char* const block : blocks) cudaMemset(block, 5, 3);
  cudaMemset(blocks[0], 7, 3);
  ASSERT_EQ(cudaSuccess, cudaDeviceSynchronize());
  char value = 0;
  for (const int i : {0, 1, 39999}) {
    cudaMemcpy(&value, blocks[i], 1, cudaMemcpyDefault);
    EXPECT_EQ(i == 0 ? 7 : 5, value);
  }
  for (char* const block : blocks) cudaFreeAsync(block, nullptr);
}

TEST_F(ShadowMemory, HasALimit) {
  shadow::set_memory(1000);
  void *first = nullptr, *second = nullptr;
  EXPECT_EQ(cudaSuccess, cudaMalloc(&first, 600));
  EXPECT_EQ(cudaErrorMemoryAllocation, cudaMalloc(&second, 600));
  EXPECT_EQ(nullptr, second);
  size_t free = 0, total = 0;
  EXPECT_EQ(cudaSuccess, cudaMemGetInfo(&free, &total));
  EXPECT_EQ(400u, free);
  EXPECT_EQ(1000u, total);
  cudaFree(first);
  EXPECT_EQ(cudaSuccess, cudaMalloc(&second, 600));
  cudaFree(second);
}

TEST_F(ShadowMemory, EveryDeviceHasItsOwn) {
  shadow::set_devices(2);
  shadow::set_memory(1000);
  void* first = nullptr;
  ASSERT_EQ(cudaSuccess, cudaMalloc(&first, 600));
  ASSERT_EQ(cudaSuccess, cudaSetDevice(1));
  OnDevice<float> second(std::vector<float>(150, 3));
  cudaPointerAttributes attributes;
  ASSERT_EQ(cudaSuccess, cudaPointerGetAttributes(&attributes, second.get()));
  EXPECT_EQ(1, attributes.device);
  const std::string fault = fault_of([&] { run(StoreAt{static_cast<float*>(first), 0}); });
  EXPECT_TRUE(contains(fault, "cannot use on device 1")) << fault;
  EXPECT_EQ(cudaSuccess, cudaMemcpy(second.get(), first, 600, cudaMemcpyDeviceToDevice));
  cudaDeviceSynchronize();  // cudaFree waits for the other device
  cudaFree(first);
}

TEST_F(ShadowMemory, KnowsWhatKindAnAddressIs) {
  cudaPointerAttributes attributes;
  OnDevice<float> memory(1);
  void* pinned = nullptr;
  ASSERT_EQ(cudaSuccess, cudaMallocHost(&pinned, 100));
  ASSERT_EQ(cudaSuccess, cudaPointerGetAttributes(&attributes, memory.get()));
  EXPECT_EQ(cudaMemoryTypeDevice, attributes.type);
  ASSERT_EQ(cudaSuccess, cudaPointerGetAttributes(&attributes, static_cast<char*>(pinned) + 99));
  EXPECT_EQ(cudaMemoryTypeHost, attributes.type);
  ASSERT_EQ(cudaSuccess, cudaPointerGetAttributes(&attributes, &attributes));
  EXPECT_EQ(cudaMemoryTypeUnregistered, attributes.type);
  std::vector<char> own(100);
  EXPECT_EQ(cudaSuccess, cudaHostRegister(own.data(), 100, cudaHostRegisterDefault));
  EXPECT_EQ(cudaErrorHostMemoryAlreadyRegistered, cudaHostRegister(own.data() + 50, 100, 0));
  ASSERT_EQ(cudaSuccess, cudaPointerGetAttributes(&attributes, own.data()));
  EXPECT_EQ(cudaMemoryTypeHost, attributes.type);
  EXPECT_EQ(cudaSuccess, cudaHostUnregister(own.data()));
  EXPECT_EQ(cudaErrorHostMemoryNotRegistered, cudaHostUnregister(own.data()));
  EXPECT_EQ(cudaSuccess, cudaFreeHost(pinned));
  EXPECT_EQ(cudaErrorInvalidValue, cudaFreeHost(pinned));
}

}  // namespace
