// Ranks on several shadow devices: what an iteration asks of them, and in which order.

#include "caffe/parallel/gpu_ranks.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "caffe/parallel.hpp"
#include "caffe/parallel/nccl_sums.hpp"
#include "caffe/util/device.hpp"
#include "parallel/rank_training.hpp"
#include "parallel/relayed_rank.hpp"
#include "tests/cpp/shadow/small_net.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {

namespace {

typedef shared_ptr<Communicator> Rank;

/// A convolution, which is cheap to add up, below an inner product of 1.2 million weights.
string wide_net() {
  return string(kTrainingData) +
         "layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param { "
         "num_output: 4 kernel_size: 3 engine: CAFFE weight_filler { type: 'xavier' } } } "
         "layer { name: 'wide' type: 'InnerProduct' bottom: 'conv' top: 'wide' "
         "inner_product_param { num_output: 3000 weight_filler { type: 'xavier' } } } "
         "layer { name: 'scores' type: 'InnerProduct' bottom: 'wide' top: 'scores' "
         "inner_product_param { num_output: 3 weight_filler { type: 'xavier' } } } " +
         softmax_loss();
}

/// Trains on two GPUs: at_third(solver, rank) after two iterations.
void after_two(const string& net,
               const std::function<void(Solver<float>* solver, Communicator* rank)>& at_third) {
  const Devices devices(2);
  const QuietLog quiet;
  run_on_gpus({0, 1}, [&](const Rank& rank) {
    const auto solver = join<float>(rank, solver_param(net, "momentum: 0.9"));
    fill_images(solver->net().get(), rank->rank());
    solver->Step(2);
    at_third(solver.get(), rank.get());
  });
}

/// Where a recorded operation of a device with this in its name is, the last one; -1: nowhere.
int last_of(const vector<string>& operations, const string& device, const string& name) {
  for (int i = static_cast<int>(operations.size()) - 1; i >= 0; --i) {
    if (operations[i].compare(0, device.size(), device) == 0 && contains(operations[i], name)) {
      return i;
    }
  }
  return -1;
}

int first_of(const vector<string>& operations, const string& device, const string& name) {
  for (int i = 0; i < static_cast<int>(operations.size()); ++i) {
    if (operations[i].compare(0, device.size(), device) == 0 && contains(operations[i], name)) {
      return i;
    }
  }
  return -1;
}

constexpr const char* kSum = "NCCL, the begin of a sum of";

/// Of one iteration on two GPUs.
void expect_early_sums(const vector<string>& operations) {
  for (const string device : {"0 ", "1 "}) {
    const int sum = first_of(operations, device, kSum);
    const int first_layer = last_of(operations, device, "Im2col");
    ASSERT_GE(sum, 0);
    EXPECT_LT(sum, first_layer) << device;
    // The update is queued behind all sums, and does not wait for the host.
    EXPECT_LT(last_of(operations, device, kSum), last_of(operations, device, "ArenaPass"));
  }
}

/// Records what two GPUs are given in one iteration.
vector<string> operations_of_step(Solver<float>* solver, Communicator* rank) {
  vector<string> operations;
  rank->barrier();
  if (rank->rank() == 0) shadow::record_operations(true);
  rank->barrier();
  solver->Step(1);
  rank->barrier();
  operations = shadow::recorded_operations();
  rank->barrier();
  shadow::record_operations(false);
  return operations;
}

}  // namespace

TEST(GpuRanks, TheSumOfTheLastLayersIsQueuedBeforeTheFirstLayersBackwardPass) {
  after_two(wide_net(), [&](Solver<float>* solver, Communicator* rank) {
    const vector<string> operations = operations_of_step(solver, rank);
    if (rank->rank() == 0) expect_early_sums(operations);
  });
}

namespace {

/// Looks at what the GPUs have been given and have done when all ranks are at a barrier.
class Looking : public RelayedRank {
 public:
  explicit Looking(Rank rank) : RelayedRank(std::move(rank)) {}
  void barrier() override {
    RelayedRank::barrier();
    operations = shadow::recorded_operations();
    waiting = shadow::operations_waiting();
    ++barriers;
    RelayedRank::barrier();
  }

  vector<string> operations;
  int64_t waiting = 0;
  int barriers = 0;
};

}  // namespace

TEST(GpuRanks, TheFirstIterationsSumsStartWhenAllRanksHaveComputed) {
  const Devices devices(2);
  const QuietLog quiet;
  run_on_gpus({0, 1}, [&](const Rank& rank) {
    const auto looking = std::make_shared<Looking>(rank);
    const auto solver = join<float>(looking, solver_param(wide_net(), "momentum: 0.9"));
    fill_images(solver->net().get(), rank->rank());
    const vector<string> first = operations_of_step(solver.get(), rank.get());
    EXPECT_EQ(looking->barriers, 1);
    EXPECT_EQ(looking->waiting, 0);
    for (const string device : {"0 ", "1 "}) {
      EXPECT_EQ(first_of(looking->operations, device, "NCCL"), -1);
      EXPECT_GE(last_of(looking->operations, device, "WriteVotes"), 0);
      EXPECT_EQ(last_of(looking->operations, device, "Im2col"), last_of(first, device, "Im2col"));
      EXPECT_GE(first_of(first, device, kSum), static_cast<int>(looking->operations.size()));
    }
    const vector<string> second = operations_of_step(solver.get(), rank.get());
    if (rank->rank() == 0) expect_early_sums(second);
    EXPECT_EQ(looking->barriers, 1);
  });
}

/// On a GPU it may wait for that sum, and the sum for a rank that waits for this launch.
TEST(GpuRanks, NoKernelIsLaunchedForTheFirstTimeBesideASum) {
  const Devices devices(2);
  const QuietLog quiet;
  for (const string& net : {wide_net(), lenet()}) {
    shadow::load_lazily(true);
    const string error = error_of([&] {
      run_on_gpus({0, 1}, [&](const Rank& rank) {
        const auto solver = join<float>(rank, solver_param(net, "momentum: 0.9 iter_size: 2"));
        fill_images(solver->net().get(), rank->rank());
        solver->Step(3);
      });
    });
    EXPECT_EQ(error, "");
  }
  shadow::load_lazily(false);
}

TEST(GpuRanks, AnIterationWaitsForEachGpuOnce) {
  shadow::Counts counts;
  after_two(lenet(), [&](Solver<float>* solver, Communicator* rank) {
    rank->barrier();
    if (rank->rank() == 0) shadow::reset_counts();
    rank->barrier();
    solver->Step(1);
    rank->barrier();
    if (rank->rank() == 0) counts = shadow::counts();
    rank->barrier();
  });
  EXPECT_EQ(counts.synchronisations, 2);
  EXPECT_EQ(counts.copies_to_host, 2);
  EXPECT_EQ(counts.bytes_to_device, 0);
  EXPECT_EQ(counts.allocations, 0);
}

/// The error names the rank also if it fails before it trains with the others.
TEST(GpuRanks, AnErrorOfARankEndsAll) {
  const Devices devices(2);
  const QuietLog quiet;
  for (const int failing : {0, 1}) {
    const string error = error_of([&] {
      run_on_gpus({1, 0}, [&](const Rank& rank) {
        CAFFE_CHECK(rank->rank() != failing, "no such file");
        join<float>(rank, solver_param(lenet(), ""))->Step(3);
      });
    });
    EXPECT_EQ(error,
              failing == 0 ? "rank 0 (GPU 1): no such file" : "rank 1 (GPU 0): no such file");
  }
  EXPECT_EQ(Caffe::solver_count(), 1);
  EXPECT_EQ(Caffe::solver_rank(), 0);
}

/// BVLC Caffe's class, as its command uses it.
TEST(GpuRanks, NcclRunsASolverOnAllGpus) {
  const Devices devices(2);
  const QuietLog quiet;
  TempDir folder;
  write_database(folder / "images", float_images(26));
  const auto weights_of = [&](int gpus) {
    const OnGpu mode;
    Caffe::set_solver_count(gpus);
    const string net = data_layer(folder / "images", 12 / gpus) + trained_layers("data");
    const shared_ptr<Solver<float>> solver(SolverRegistry<float>::CreateSolver(solver_param(
        net + softmax_loss(), "momentum: 0.9 max_iter: 12 snapshot_after_train: false")));
    if (gpus == 1) {
      solver->Solve();
    } else {
      NCCL<float>(solver).Run({0, 1}, nullptr);
    }
    Caffe::set_solver_count(1);
    Caffe::SetDevice(0);
    return weights(solver.get());
  };
  EXPECT_LE(relative_difference(weights_of(2), weights_of(1)), 1e-5);
}

/// And afterwards it is alone, at once.
TEST(GpuRanks, NcclRunsASolverWithoutASeed) {
  const Devices devices(2);
  const QuietLog quiet;
  const OnGpu mode;
  Caffe::set_solver_count(2);
  SolverParameter param = solver_param(lenet(), "max_iter: 3 snapshot_after_train: false");
  param.clear_random_seed();
  const shared_ptr<Solver<float>> solver(SolverRegistry<float>::CreateSolver(param));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(error_of([&] { NCCL<float>(solver).Run({0, 1}, nullptr); }), "");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
  EXPECT_EQ(solver->iter(), 3);
  Caffe::set_solver_count(1);
  solver->Step(1);
  EXPECT_EQ(solver->iter(), 4);
  Caffe::SetDevice(0);
}

TEST(GpuRanks, WhatIsNoExceptionOfCaffesEndsAllToo) {
  const Devices devices(2);
  const QuietLog quiet;
  const string error = error_of([&] {
    run_on_gpus({0, 1}, [&](const Rank& rank) {
      if (rank->rank() == 1) throw 5;
      rank->barrier();
    });
  });
  EXPECT_EQ(error, "rank 1 (GPU 1): an exception that is no std::exception");
}

namespace {

/// A Communicator that hears of another rank's failure, as MPI's ranks do.
class Hearing : public RelayedRank {
 public:
  Hearing(Rank rank, const std::atomic<bool>* failed)
      : RelayedRank(std::move(rank)), failed_(failed) {}
  string failure() override { return *failed_ ? "rank 1 has not answered" : ""; }

 private:
  const std::atomic<bool>* const failed_;
};

}  // namespace

/// A rank of another process that was stopped: NCCL itself does not notice.
TEST(GpuRanks, AFailureThatTheCommunicatorHearsOfEndsTheSums) {
  const Devices devices(2);
  const QuietLog quiet;
  std::atomic<bool> failed{false}, has_ended{false};
  string found;
  run_on_gpus({0, 1}, [&](const Rank& rank) {
    const auto sums = make_nccl_sums<float>(std::make_shared<Hearing>(rank, &failed));
    if (rank->rank() == 1) {  // makes no sum
      while (!has_ended) std::this_thread::yield();
      return;
    }
    Blob<float> blob(vector<int>{10});
    sums->start(10, blob.mutable_gpu_data());
    failed = true;
    found = error_of([&] {
      sums->wait();
      device::wait();
      sums->check();
    });
    has_ended = true;
  });
  EXPECT_EQ(found, "rank 1 has not answered");
}

}  // namespace caffe
