#include "caffe/util/blocking_queue.hpp"
#include "caffe/util/math_functions.hpp"

#include "fixtures.hpp"

namespace caffe {
namespace {

TEST(BlockingQueue, FirstInFirstOut) {
  BlockingQueue<int> queue;
  int value = 0;
  EXPECT_FALSE(queue.try_pop(&value));
  EXPECT_FALSE(queue.try_peek(&value));
  queue.push(1);
  queue.push(2);
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(queue.peek(), 1);
  EXPECT_TRUE(queue.try_peek(&value));
  EXPECT_EQ(value, 1);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_TRUE(queue.try_pop(&value));
  EXPECT_EQ(value, 2);
  EXPECT_EQ(queue.size(), 0u);
}

/// Doubles numbers until it is stopped.
class Doubler : public InternalThread {
 public:
  ~Doubler() override { StopInternalThread(); }
  BlockingQueue<int> in, out;
  std::atomic<int> ended{0};
  std::atomic<bool> busy{false}, throws{false};

 protected:
  void InternalThreadEntry() override {
    struct AtEnd {
      std::atomic<int>* ended;
      ~AtEnd() { ++*ended; }
    } at_end{&ended};
    if (throws) CAFFE_FAIL("as asked for");
    while (busy && !must_stop()) std::this_thread::yield();
    for (;;) out.push(2 * in.pop());
  }
};

TEST(InternalThread, WorksAndStopsWhereItWaits) {
  Doubler doubler;
  EXPECT_FALSE(doubler.is_started());
  for (int round = 1; round <= 50; ++round) {
    doubler.StartInternalThread();
    EXPECT_TRUE(doubler.is_started());
    doubler.in.push(round);
    EXPECT_EQ(doubler.out.pop(), 2 * round);
    doubler.StopInternalThread();
    EXPECT_FALSE(doubler.is_started());
    EXPECT_EQ(doubler.ended, round);
  }
}

TEST(InternalThread, StopsAtOnceAfterItsStart) {
  for (int round = 0; round < 100; ++round) {
    Doubler doubler;
    doubler.StartInternalThread();
  }
}

TEST(InternalThread, StopsWhereItAsks) {
  Doubler doubler;
  doubler.busy = true;
  doubler.StartInternalThread();
  EXPECT_ERROR(doubler.StartInternalThread(), "already running");
  doubler.StopInternalThread();
  EXPECT_EQ(doubler.ended, 1);
}

TEST(InternalThread, OutlivesAnException) {
  Doubler doubler;
  doubler.throws = true;
  doubler.StartInternalThread();
  doubler.StopInternalThread();
  EXPECT_EQ(doubler.ended, 1);
}

/// Records the settings of its thread.
class Witness : public InternalThread {
 public:
  ~Witness() override { StopInternalThread(); }
  int rank = -1, count = -1;
  unsigned int random = 0;

 protected:
  void InternalThreadEntry() override {
    rank = Caffe::solver_rank();
    count = Caffe::solver_count();
    random = caffe_rng_rand();
  }
};

TEST(InternalThread, HasTheSettingsOfItsStarter) {
  Caffe::set_solver_count(3);
  Caffe::set_solver_rank(2);
  Witness one, other;
  for (Witness* witness : {&one, &other}) {
    Caffe::set_random_seed(5);
    witness->StartInternalThread();
    witness->StopInternalThread();
  }
  Caffe::set_solver_count(1);
  Caffe::set_solver_rank(0);
  EXPECT_EQ(one.rank, 2);
  EXPECT_EQ(one.count, 3);
  EXPECT_EQ(one.random, other.random);
}

}  // namespace
}  // namespace caffe
