#include "caffe/util/benchmark.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace caffe {

TEST(TimerTest, MeasuresFromStartToStop) {
  Timer timer;
  EXPECT_FALSE(timer.has_run_at_least_once());
  EXPECT_EQ(timer.MilliSeconds(), 0);
  timer.Start();
  EXPECT_TRUE(timer.running());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  timer.Stop();
  const float measured = timer.MilliSeconds();
  EXPECT_GE(measured, 20);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(timer.MilliSeconds(), measured);
  EXPECT_FLOAT_EQ(timer.MicroSeconds(), 1000 * measured);
  EXPECT_FLOAT_EQ(timer.Seconds(), measured / 1000);
}

TEST(TimerTest, ReadingARunningOneStopsIt) {
  CPUTimer timer;
  timer.Start();
  timer.Seconds();
  EXPECT_FALSE(timer.running());
}

}  // namespace caffe
