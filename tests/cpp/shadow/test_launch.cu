// What a launch checks, and the order of a kernel's elements.

#include <cmath>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <set>

#include "kernels/parallel.hpp"
#include "shadow_test.hpp"

namespace {

typedef ShadowTest ShadowLaunch;

int variable = 0;
const char* const kText = "a constant";

/// Holds an address and does nothing with it.
struct Holds {
  int first;
  const void* pointer;
  void operator()(int) const {}
};

std::string launched_with(const void* pointer) {
  return fault_of([&] { maap::parallel_for(maap::Device::kGPU, 1, Holds{1, pointer}); });
}

TEST_F(ShadowLaunch, AddressesOfTheHostAreFaults) {
  const std::unique_ptr<int> heap(new int(0));
  int stack = 0;
  for (const void* const host :
       {static_cast<const void*>(heap.get()), static_cast<const void*>(&stack),
        static_cast<const void*>(&variable)}) {
    const std::string fault = launched_with(host);
    EXPECT_TRUE(contains(fault, "Holds was launched with an address of host memory")) << fault;
    EXPECT_TRUE(contains(fault, "(byte 8 of the functor)")) << fault;
  }
  void* pinned = nullptr;
  ASSERT_EQ(cudaSuccess, cudaMallocHost(&pinned, 8));
  EXPECT_TRUE(contains(launched_with(pinned), "an address of pinned host memory"));
  cudaFreeHost(pinned);
}

TEST_F(ShadowLaunch, OtherAddressesAreNot) {
  const OnDevice<int> memory(1);
  EXPECT_EQ("", launched_with(memory.get()));
  EXPECT_EQ("", launched_with(memory.get() + 1));  // the end
  EXPECT_EQ("", launched_with(nullptr));
  EXPECT_EQ("", launched_with(kText));
  EXPECT_EQ("", launched_with(reinterpret_cast<const void*>(&launched_with)));
}

struct Numbers {
  double real[8];
  int whole[8];
  float single[8];
  uint64_t bits[4];
  void operator()(int) const {}
};

TEST_F(ShadowLaunch, NumbersAreNotTakenForAddresses) {
  srand(3);
  for (int round = 0; round < 2000; ++round) {
    Numbers numbers;
    for (int i = 0; i < 8; ++i) {
      numbers.real[i] = std::ldexp(rand() - RAND_MAX / 2, rand() % 200 - 130);
      numbers.whole[i] = i % 2 == 0 ? rand() : rand() % 20000;  // many, or such as a blob's sides
      numbers.single[i] = static_cast<float>(numbers.real[i]);
      numbers.bits[i / 2] = static_cast<uint64_t>(rand()) << 33 | static_cast<uint64_t>(rand());
    }
    ASSERT_EQ("", fault_of([&] { maap::parallel_for(maap::Device::kGPU, 1, numbers); }));
  }
}

struct Nothing {};
struct WithGaps {
  Nothing nothing;
  double value;
  char letter;
  double* pointer;
  void operator()(int) const {}
};

TEST_F(ShadowLaunch, BytesBetweenMembersMayHoldAnything) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(&variable);
  alignas(WithGaps) unsigned char bytes[sizeof(WithGaps)];
  for (size_t at = 0; at < sizeof bytes; at += sizeof address) {
    std::memcpy(bytes + at, &address, sizeof address);
  }
  WithGaps* const gaps = reinterpret_cast<WithGaps*>(bytes);
  gaps->value = 1;
  gaps->letter = 'a';
  gaps->pointer = nullptr;
  EXPECT_EQ("", fault_of([&] { maap::parallel_for(maap::Device::kGPU, 1, *gaps); }));
}

/// Gives each element the number of elements that ran before it.
struct Stamp {
  int* clock;
  int* at;  // [n], 0 before
  void operator()(int i) const { at[i] += ++*clock; }
};

std::vector<int> stamps(int n, int seed) {
  shadow::set_seed(seed);
  const OnDevice<int> clock(std::vector<int>{0}), at(std::vector<int>(n, 0));
  maap::parallel_for(maap::Device::kGPU, n, Stamp{clock.get(), at.get()});
  return at.values();
}

TEST_F(ShadowLaunch, EveryElementRunsOnceInAnOrderThatTheSeedChooses) {
  SKIP_UNDER_SANITIZERS();
  std::set<std::vector<int>> orders;
  bool forwards = false, backwards = false;
  for (int seed = 0; seed < 10; ++seed) {
    const std::vector<int> order = stamps(1000, seed);
    EXPECT_EQ(order, stamps(1000, seed));
    orders.insert(order);
    (order[0] < order[1] ? forwards : backwards) = true;
    EXPECT_EQ(1000u, std::set<int>(order.begin(), order.end()).size());
    EXPECT_EQ(500500, std::accumulate(order.begin(), order.end(), 0));
  }
  EXPECT_GT(orders.size(), 5u);
  EXPECT_TRUE(forwards && backwards);
}

TEST_F(ShadowLaunch, OneElementAndALastPart) {
  SKIP_UNDER_SANITIZERS();
  EXPECT_EQ(std::vector<int>{1}, stamps(1, 4));
  const std::vector<int> order = stamps(129, 4);
  EXPECT_EQ(129u, std::set<int>(order.begin(), order.end()).size());
}

#ifdef __SANITIZE_THREAD__

/// Each element adds to the next one.
struct AddToNext {
  int n;
  int* values;  // [n]
  void operator()(int i) const { values[(i + 1) % n] += values[i]; }
};

TEST_F(ShadowLaunch, ElementsThatTouchOneValueAreReported) {
  const auto program = [](bool races) {
    const OnDevice<int> clock(std::vector<int>{0}), at(std::vector<int>(100, 0));
    maap::parallel_for(maap::Device::kGPU, races ? 100 : 1, AddToNext{100, at.get()});
    cudaDeviceSynchronize();
    std::exit(0);
  };
  EXPECT_EXIT(program(true), ::testing::ExitedWithCode(66), "data race.*AddToNext");
  EXPECT_EXIT(program(false), ::testing::ExitedWithCode(0), "");
}

#endif

}  // namespace
