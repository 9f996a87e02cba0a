#include "kernels/fork.hpp"

#include <omp.h>

#include <chrono>
#include <thread>

#include "caffe/util/blocking_queue.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/worker_team.hpp"
#include "fixtures.hpp"
#include "forked.hpp"

namespace caffe {
namespace {

int threads_of_a_loop() {
  int count = 0;
#pragma omp parallel
  {
#pragma omp atomic
    ++count;
  }
  return count;
}

TEST(Fork, CountsProcesses) {
  const int mine = maap::process_generation();
  EXPECT_EQ(status_in_child([&] {
              const int child = maap::process_generation() - mine;
              return 10 * child +
                     status_in_child([&] { return maap::process_generation() - mine; });
            }),
            12);
  EXPECT_EQ(maap::process_generation(), mine);
}

TEST(Fork, LeavesLoopsTheirThreads) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(3);
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(threads_of_a_loop(), 3);
    EXPECT_EQ(status_in_child(
                  [] { return 10 * threads_of_a_loop() + status_in_child(threads_of_a_loop); }),
              33);
  }
  omp_set_num_threads(before);
}

/// By a thread that has a team of its own, beside one that the main thread has.
TEST(Fork, InAThread) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(3);
  threads_of_a_loop();
  int status = 0;
  std::thread([&] {
    omp_set_num_threads(4);
    threads_of_a_loop();
    status = status_in_child(threads_of_a_loop);
  }).join();
  EXPECT_EQ(status, 4);
  EXPECT_EQ(threads_of_a_loop(), 3);
  omp_set_num_threads(before);
}

TEST(Fork, LeavesTheBlasItsThreads) {
  const int n = 300;
  std::vector<double> a(n * n, 1), c(n * n);
  const auto product = [&] {
    caffe_cpu_gemm<double>(CblasNoTrans, CblasNoTrans, n, n, n, 1, a.data(), a.data(), 0, c.data());
    return c[n * n - 1] == n ? 1 : 0;
  };
  EXPECT_EQ(product(), 1);
  EXPECT_EQ(status_in_child(product), 1);
  EXPECT_EQ(product(), 1);
}

/// Forks between the products of another thread, not within.
TEST(Fork, WhileAnotherThreadMultiplies) {
  const int n = 200;
  const std::vector<double> a(n * n, 1);
  const auto product = [&] {
    std::vector<double> c(n * n);
    caffe_cpu_gemm<double>(CblasNoTrans, CblasNoTrans, n, n, n, 1, a.data(), a.data(), 0, c.data());
    return c[0] == n ? 1 : 0;
  };
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) product();
  });
  for (int round = 0; round < 30; ++round) EXPECT_EQ(status_in_child(product), 1);
  stop = true;
  other.join();
}

TEST(Fork, WaitsForASectionOfAnotherThread) {
  std::atomic<int> step{0};
  std::thread other([&] {
    const maap::NoFork outer;
    const maap::NoFork inner;
    step = 1;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    step = 2;
  });
  while (step == 0) std::this_thread::yield();
  EXPECT_EQ(status_in_child([&] { return step.load(); }), 2);
  other.join();
}

/// A section that itself forks does not wait for itself, and lasts on in both processes.
TEST(Fork, InsideASection) {
  const maap::NoFork section;
  EXPECT_EQ(status_in_child([] {
              const maap::NoFork again;
              return status_in_child([] { return 5; });
            }),
            5);
}

struct Counted {
  explicit Counted(int* deleted) : deleted_(deleted) {}
  ~Counted() { ++*deleted_; }
  int* deleted_;
};

TEST(OfProcess, DeletesWhatItsProcessMade) {
  int deleted = 0;
  maap::OfProcess<Counted> object(new Counted(&deleted));
  EXPECT_TRUE(object.is_ours());
  EXPECT_EQ(status_in_child([&] {
              const bool ours = object.is_ours();
              object.reset(new Counted(&deleted));  // forgets the parent's
              const int before = deleted;
              object.reset();
              return 100 * ours + 10 * before + deleted;
            }),
            1);
  object.reset();
  EXPECT_EQ(deleted, 1);
  EXPECT_FALSE(object);
}

/// With a thread that waits in it, whose place in the condition variable stays.
TEST(Fork, LeavesAQueueThatCanBeDestroyed) {
  auto queue = std::make_unique<BlockingQueue<int>>();
  std::thread waiting([&] { queue->pop(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(status_in_child([&] {
              for (const auto& call : std::vector<std::function<void()>>{
                       [&] { queue->push(1); }, [&] { queue->pop(); }, [&] { queue->peek(); },
                       [&] { queue->size(); }}) {
                if (!contains(error_of(call), "belongs to the process")) return 1;
              }
              queue.reset();
              BlockingQueue<int> own;
              own.push(3);
              return own.pop();
            }),
            3);
  queue->push(1);
  waiting.join();
}

TEST(Fork, LeavesATeamThatCanBeDestroyed) {
  auto team = std::make_unique<WorkerTeam>(3);
  team->run(5, [](int) {});
  EXPECT_EQ(status_in_child([&] {
              if (!contains(error_of([&] { team->run(1, [](int) {}); }), "was forked")) return 1;
              team.reset();
              std::atomic<int> done{0};
              WorkerTeam(3).run(7, [&](int) { ++done; });
              return done.load();
            }),
            7);
  std::atomic<int> done{0};
  team->run(5, [&](int) { ++done; });
  EXPECT_EQ(done, 5);
}

class Reader : public InternalThread {
 public:
  ~Reader() override { StopInternalThread(); }
  BlockingQueue<int> in, out;

 protected:
  void InternalThreadEntry() override {
    for (;;) out.push(2 * in.pop());
  }
};

TEST(Fork, LeavesAnInternalThreadThatCanBeStopped) {
  auto reader = std::make_unique<Reader>();
  reader->StartInternalThread();
  reader->in.push(1);
  EXPECT_EQ(reader->out.pop(), 2);
  EXPECT_EQ(status_in_child([&] {
              if (reader->is_started()) return 1;
              reader->StopInternalThread();
              reader.reset();
              Reader own;
              own.StartInternalThread();
              own.in.push(4);
              return own.out.pop();
            }),
            8);
  EXPECT_TRUE(reader->is_started());
  reader->in.push(2);
  EXPECT_EQ(reader->out.pop(), 4);
}

/// Threads that log all the time: the log's lock is free in the child.
TEST(Fork, WhileOtherThreadsLog) {
  const int before = FLAGS_minloglevel;
  FLAGS_minloglevel = 0;
  testing::internal::CaptureStderr();
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!stop) LOG(INFO) << "a line";
    });
  }
  int failed = 0;
  for (int round = 0; round < 60; ++round) {
    failed += status_in_child([] {
      LOG(INFO) << "a line of the child";
      LOG_IF(INFO, true) << "another";
      return 0;
    });
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  testing::internal::GetCapturedStderr();
  FLAGS_minloglevel = before;
  EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace caffe
