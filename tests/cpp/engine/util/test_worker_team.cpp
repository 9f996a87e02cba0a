#include "caffe/util/worker_team.hpp"

#include <stdlib.h>

#include <chrono>
#include <numeric>

#include "fixtures.hpp"

namespace caffe {
namespace {

TEST(WorkerTeam, DoesEachItemOnce) {
  for (const int threads : {1, 2, 5}) {
    WorkerTeam team(threads);
    EXPECT_EQ(team.threads(), threads);
    for (const int n : {0, 1, 2, 3, 100}) {
      std::vector<int> done(n, 0);
      team.run(n, [&](int i) { ++done[i]; });
      EXPECT_EQ(std::accumulate(done.begin(), done.end(), 0), n);
      EXPECT_EQ(std::count(done.begin(), done.end(), 1), n);
    }
  }
}

/// Items that wait for each other can only end if they run at the same time.
TEST(WorkerTeam, WorksAtTheSameTime) {
  WorkerTeam team(3);
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> begun{0};
    team.run(3, [&](int) {
      ++begun;
      while (begun < 3) std::this_thread::yield();
    });
  }
}

TEST(WorkerTeam, ThrowsWhatTheFirstFailureThrew) {
  WorkerTeam team(4);
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> done{0};
    EXPECT_ERROR(team.run(1000,
                          [&](int i) {
                            ++done;
                            if (i >= 10) CAFFE_FAIL("item " << i << " failed");
                          }),
                 "item 10 failed");
    EXPECT_LT(done, 100);
    team.run(5, [&](int) { ++done; });  // and continues to work
  }
}

TEST(WorkerTeam, ThreadsOfADataLayer) {
  const int usual = data_threads();
  EXPECT_GE(usual, 1);
  EXPECT_LE(usual, 4);
  setenv("CAFFE_DATA_THREADS", "7", 1);
  EXPECT_EQ(data_threads(), 7);
  for (const char* bad : {"0", "-1", "many", "3x", "1000"}) {
    setenv("CAFFE_DATA_THREADS", bad, 1);
    EXPECT_ERROR(data_threads(), "CAFFE_DATA_THREADS");
  }
  unsetenv("CAFFE_DATA_THREADS");
}

}  // namespace
}  // namespace caffe
