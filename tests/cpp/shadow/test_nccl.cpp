// Gradients of several shadow devices, added up by NcclSums on the stand-in for NCCL.

#include <functional>
#include <thread>

#include "caffe/blob.hpp"
#include "caffe/parallel/local_group.hpp"
#include "caffe/parallel/nccl_sums.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/math_functions.hpp"
#include "tests/cpp/shadow/small_net.hpp"

namespace caffe {

namespace {

typedef NcclSums<float> Sums;

/// A rank's GPU and sums, in a thread of its own.
struct Rank {
  int number;
  Sums* sums;
};

/// Calls f(rank) in a thread for each GPU; the errors by rank, "" for none.
vector<string> on_gpus(int count, const std::function<void(const Rank&)>& f) {
  const Devices devices(count);
  const string id = new_nccl_id();
  vector<string> errors(count);
  vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      const OnGpu mode;
      errors[rank] = error_of([&] {
        Caffe::SetDevice(rank);
        const auto sums = connect_gpus<float>(id, rank, count);
        f({rank, sums.get()});
      });
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

constexpr int kCount = 1000;

/// Values that kernels write after others that take long: rank + 1 everywhere.
void fill(Blob<float>* blob, int rank) {
  blob->Reshape({kCount});
  caffe_gpu_set(kCount, 100.f, blob->mutable_gpu_data());
  caffe_gpu_set(kCount, static_cast<float>(rank + 1), blob->mutable_gpu_data());
}

vector<float> host_values(const Blob<float>& blob) {
  return {blob.cpu_data(), blob.cpu_data() + blob.count()};
}

/// Two sums of different sizes, which start(sums, first, second) starts.
void expect_two_sums(const std::function<void(Sums*, float* first, float* second)>& start) {
  vector<vector<float>> found(2);
  const auto errors = on_gpus(2, [&](const Rank& rank) {
    Blob<float> first, second;
    fill(&first, rank.number);
    fill(&second, 10 * rank.number);
    start(rank.sums, first.mutable_gpu_data(), second.mutable_gpu_data());
    rank.sums->wait();
    found[rank.number] = {first.cpu_data()[0], second.cpu_data()[0], second.cpu_data()[kCount / 2]};
  });
  for (const string& error : errors) EXPECT_EQ(error, "");
  EXPECT_EQ(found[0], (vector<float>{3, 12, 1}));
  EXPECT_EQ(found[1], (vector<float>{3, 12, 11}));
}

}  // namespace

constexpr int kNccl = 22809;

class NcclTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { shadow::set_seed(GetParam()); }
  void TearDown() override {
    shadow::fail_collective(0);
    shadow::set_nccl(kNccl);
  }
};

TEST_P(NcclTest, AddsUpWhatTheComputeStreamHoldsAndIsThereForWhatFollows) {
  vector<vector<float>> found(3);
  const auto errors = on_gpus(3, [&](const Rank& rank) {
    Blob<float> blob, doubled;
    fill(&blob, rank.number);
    rank.sums->start(kCount, blob.mutable_gpu_data());
    rank.sums->wait();
    doubled.Reshape({kCount});
    caffe_gpu_scale(kCount, 2.f, blob.gpu_data(), doubled.mutable_gpu_data());
    found[rank.number] = host_values(doubled);
    rank.sums->check();
  });
  for (const string& error : errors) EXPECT_EQ(error, "");
  for (const auto& values : found) EXPECT_EQ(values, vector<float>(kCount, 12));
}

TEST_P(NcclTest, SumsThatAreStartedTogetherKeepTheirOrder) {
  expect_two_sums([](Sums* sums, float* first, float* second) {
    sums->start(kCount, first);
    sums->start(kCount / 2, second);
  });
}

TEST_P(NcclTest, PartsThatAreStartedTogetherAreSumsOfTheirOwn) {
  expect_two_sums([](Sums* sums, float* first, float* second) {
    sums->start_together({{kCount, first}, {0, nullptr}, {kCount / 2, second}});
  });
}

TEST_P(NcclTest, BroadcastsAndAddsUpDoubles) {
  const Devices devices(2);
  const string id = new_nccl_id();
  double found[2];
  const auto run = [&](int rank) {
    const OnGpu mode;
    Caffe::SetDevice(rank);
    const auto sums = connect_gpus<double>(id, rank, 2);
    Blob<double> blob({3});
    caffe_gpu_set(3, rank + 0.5, blob.mutable_gpu_data());
    sums->broadcast(1, {{1, blob.mutable_gpu_data()}, {2, blob.mutable_gpu_data() + 1}});
    sums->start(3, blob.mutable_gpu_data());
    sums->wait();
    found[rank] = blob.cpu_data()[2];
  };
  std::thread other(run, 1);
  run(0);
  other.join();
  EXPECT_EQ(found[0], 3);
  EXPECT_EQ(found[1], 3);
}

TEST_P(NcclTest, AHostDoesNotWait) {
  const auto ranks = LocalGroup::make(2);
  const auto errors = on_gpus(2, [&](const Rank& rank) {
    Blob<float> blob;
    fill(&blob, rank.number);
    ranks[rank.number]->barrier();
    if (rank.number == 0) shadow::reset_counts();
    ranks[rank.number]->barrier();
    rank.sums->start(kCount, blob.mutable_gpu_data());
    rank.sums->wait();
    ranks[rank.number]->barrier();
    EXPECT_EQ(shadow::counts().synchronisations, 0);
    ranks[rank.number]->barrier();
    device::wait();
  });
  for (const string& error : errors) EXPECT_EQ(error, "");
}

TEST_P(NcclTest, ARankThatFailsEndsTheOthersThatWaitForTheirGpu) {
  const auto errors = on_gpus(3, [&](const Rank& rank) {
    if (rank.number == 1) {
      rank.sums->abort("rank 1 ended: no more images");
      CAFFE_FAIL("no more images");
    }
    Blob<float> blob;
    fill(&blob, rank.number);
    rank.sums->start(kCount, blob.mutable_gpu_data());
    rank.sums->wait();
    device::wait();  // it would never end
    rank.sums->check();
    ADD_FAILURE() << "values that are no sums were used";
  });
  EXPECT_PRED2(contains, errors[0], "rank 1 ended: no more images");
  EXPECT_PRED2(contains, errors[1], "no more images");
  EXPECT_PRED2(contains, errors[2], "rank 1 ended: no more images");
}

TEST_P(NcclTest, SoDoesOneThatIsDestroyedByAnException) {
  const auto errors = on_gpus(2, [&](const Rank& rank) {
    CAFFE_CHECK(rank.number != 1, "out of luck");
    Blob<float> blob;
    fill(&blob, rank.number);
    rank.sums->start(kCount, blob.mutable_gpu_data());
    rank.sums->wait();
    device::wait();
    rank.sums->check();
  });
  EXPECT_PRED2(contains, errors[0], "rank 1 of 2 (GPU 1) has ended");
}

TEST_P(NcclTest, SoDoesOneThatMakesFewerSums) {
  const auto errors = on_gpus(2, [&](const Rank& rank) {
    Blob<float> blob;
    fill(&blob, rank.number);
    for (int i = 0; i <= rank.number; ++i) {
      rank.sums->start(kCount, blob.mutable_gpu_data());
      rank.sums->wait();
    }
    device::wait();
    rank.sums->check();
  });
  EXPECT_EQ(errors[0], "");
  EXPECT_PRED2(contains, errors[1], "rank 0 of 2 (GPU 0) has ended after 1 sums");
}

TEST_P(NcclTest, ABrokenConnectionEndsAllRanksWithWhatNcclSays) {
  shadow::fail_collective(2);
  const auto errors = on_gpus(2, [&](const Rank& rank) {
    Blob<float> blob;
    fill(&blob, rank.number);
    for (int i = 0; i < 3; ++i) {
      rank.sums->start(kCount, blob.mutable_gpu_data());
      rank.sums->wait();
      device::wait();
      rank.sums->check();
    }
  });
  for (const string& error : errors) {
    EXPECT_PRED2(contains, error, "remote process exited or there was a network error");
    EXPECT_PRED2(contains, error, "(GPU ");
  }
}

TEST_P(NcclTest, TwoRanksOnOneGpuAreAnError) {
  const string id = new_nccl_id();
  vector<string> errors(2);
  const auto run = [&](int rank) {
    const OnGpu mode;
    errors[rank] = error_of([&] { connect_gpus<float>(id, rank, 2); });
  };
  std::thread other(run, 1);
  run(0);
  other.join();
  for (const string& error : errors) {
    EXPECT_PRED2(contains, error, "Each rank needs a GPU of its own");
  }
}

TEST_P(NcclTest, ARankThatFailsToConnectEndsThoseThatWaitForIt) {
  const Devices devices(2);
  const string id = new_nccl_id();
  string error;
  std::thread other([&] {
    const OnGpu mode;
    error = error_of([&] { connect_gpus<float>(id, 0, 2); });
  });
  {
    const OnGpu mode;
    Caffe::SetDevice(1);
    const string own = error_of([&] { connect_gpus<float>(id, 1, 3); });
    EXPECT_PRED2(contains, own, "connecting the GPUs: NCCL says: invalid usage");
    Caffe::SetDevice(0);
  }
  other.join();
  EXPECT_PRED2(contains, error, "connecting the GPUs: NCCL says: invalid usage");
}

/// From 2.19.1 on, another thread may end the calls of a rank.
TEST_P(NcclTest, AnOldNcclIsAnError) {
  const string id = new_nccl_id();
  const OnGpu mode;
  for (const auto& [version, name] : {std::make_pair(21900, "2.19.0"), {2803, "2.8.3"}}) {
    shadow::set_nccl(version);
    const string said = "NCCL " + string(name) + " is loaded, and 2.19.1 or newer is needed";
    EXPECT_PRED2(contains, error_of([] { new_nccl_id(); }), said);
    EXPECT_PRED2(contains, error_of([&] { connect_gpus<float>(id, 0, 2); }), said);
  }
  shadow::set_nccl(21901);
  EXPECT_EQ(error_of([] { new_nccl_id(); }), "");
}

INSTANTIATE_TEST_SUITE_P(Seeds, NcclTest, ::testing::Values(1, 2, 3));

}  // namespace caffe
