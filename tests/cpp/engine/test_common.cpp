#include "caffe/common.hpp"

#include <gflags/gflags.h>

#include <cstdlib>
#include <string>
#include <thread>

#include "caffe/util/device.hpp"
#include "caffe/util/rng.hpp"
#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

TEST(Common, EachThreadHasItsOwnSettings) {
  Caffe::set_solver_count(3);
  Caffe::set_solver_rank(2);
  Caffe::set_multiprocess(true);
  Caffe::set_mode(Caffe::GPU);
  std::thread([] {
    EXPECT_EQ(Caffe::mode(), Caffe::CPU);
    EXPECT_EQ(Caffe::solver_count(), 1);
    EXPECT_TRUE(Caffe::root_solver());
    EXPECT_FALSE(Caffe::multiprocess());
  }).join();
  EXPECT_EQ(Caffe::mode(), Caffe::GPU);
  EXPECT_EQ(Caffe::solver_count(), 3);
  EXPECT_FALSE(Caffe::root_solver());
  EXPECT_TRUE(Caffe::multiprocess());
  Caffe::set_mode(Caffe::CPU);
  Caffe::set_solver_count(1);
  Caffe::set_solver_rank(0);
  Caffe::set_multiprocess(false);
}

/// Also in a program that does not call GlobalInit(), as this one.
TEST(Common, LogLinesBeginWithoutTheYear) {
  std::string value;
  if (!gflags::GetCommandLineOption("log_year_in_prefix", &value)) GTEST_SKIP() << "an old glog";
  if (std::getenv("GLOG_log_year_in_prefix") != nullptr) GTEST_SKIP() << "the user's choice";
  EXPECT_EQ(value, "false");
}

TEST(Common, SeedsGiveTheSameSequenceInEveryThread) {
  const auto draw = [](unsigned int seed) {
    Caffe::set_random_seed(seed);
    return vector<unsigned int>{static_cast<unsigned int>((*caffe_rng())()),
                                static_cast<unsigned int>((*caffe_rng())())};
  };
  const vector<unsigned int> here = draw(5);
  vector<unsigned int> there;
  std::thread([&] { there = draw(5); }).join();
  EXPECT_EQ(here, there);
  EXPECT_NE(here, draw(6));
}

TEST(Common, GeneratorIsTheMersenneTwister) {
  // The C++ standard gives the 10000th number of mt19937 with its default seed 5489.
  Caffe::set_random_seed(5489);
  caffe_rng()->discard(9999);
  EXPECT_EQ((*caffe_rng())(), 4123659995u);
}

TEST(Common, UnseededGeneratorsDiffer) {
  Caffe::RNG a, b;
  EXPECT_NE((*static_cast<rng_t*>(a.generator()))(), (*static_cast<rng_t*>(b.generator()))());
}

TEST(Common, CopiesOfAGeneratorShareTheirState) {
  Caffe::RNG a(3);
  Caffe::RNG b(a);
  EXPECT_EQ(a.generator(), b.generator());
}

TEST(Common, DeviceQueryNeedsADevice) {
  if (device::count() > 0) {
    EXPECT_NO_THROW(Caffe::DeviceQuery());
  } else {
    EXPECT_ERROR(Caffe::DeviceQuery(), "GPU");
  }
}

TEST(Common, AMissingDeviceIsAnError) {
  EXPECT_FALSE(Caffe::CheckDevice(1000));
  EXPECT_FALSE(Caffe::CheckDevice(-1));
  EXPECT_EQ(Caffe::FindDevice(1000), -1);
  EXPECT_ERROR(Caffe::SetDevice(1000), "GPU");
}

}  // namespace caffe
