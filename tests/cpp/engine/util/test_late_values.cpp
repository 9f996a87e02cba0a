#include "caffe/util/late_values.hpp"

#include <gtest/gtest.h>

#include "caffe/util/device.hpp"
#include "fixtures.hpp"

namespace caffe {

class LateValuesTest : public GpuTest {
 protected:
  /// Writes a number to its place, as a kernel would.
  static void write(int* place, int value) { device::copy(place, &value, sizeof(value)); }
};

TEST(LateValuesWithoutGpu, WhatComesAfterThemComesAtOnce) {
  int calls = 0;
  after_late_values([&] { ++calls; });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(LateValues::current(), nullptr);
}

TEST_F(LateValuesTest, ComeInTheOrderOfTheirPlaces) {
  LateValues late;
  std::vector<int> order;
  for (int round = 0; round < 3; ++round) {  // the second needs more than the first buffer
    order.clear();
    late.begin();
    {
      const LateValues::Scope scope(&late);
      for (int i = 0; i < 2000; ++i) {
        write(LateValues::current()->place<int>(
                  1, [&order](const int* value) { order.push_back(*value); }),
              2 * i);
        after_late_values([&order, i] { order.push_back(2 * i + 1); });
      }
      EXPECT_TRUE(order.empty());
    }
    late.finish();
    ASSERT_EQ(order.size(), 4000u);
    for (int i = 0; i < 4000; ++i) ASSERT_EQ(order[i], i);
  }
}

TEST_F(LateValuesTest, AnErrorEndsThem) {
  LateValues late;
  late.begin();
  int calls = 0;
  late.then([&] { ++calls; });
  write(late.place<int>(1, [](const int* value) { CAFFE_CHECK(*value == 3, "it is " << *value); }),
        4);
  late.then([&] { ++calls; });
  EXPECT_ERROR(late.finish(), "it is 4");
  EXPECT_EQ(calls, 1);
  late.finish();  // nothing is left
  EXPECT_EQ(calls, 1);
}

TEST_F(LateValuesTest, OutsideOfAScopeTheyAreThereAtOnce) {
  int found = 0;
  with_late_values([&](LateValues& late) {
    write(late.place<int>(1, [&](const int* value) { found = *value; }), 7);
    EXPECT_EQ(found, 0);
  });
  EXPECT_EQ(found, 7);
}

TEST_F(LateValuesTest, NothingStopsAtTheBeginning) {
  LateValues late;
  for (int round = 0; round < 2; ++round) {
    late.begin();
    int stop = -1;
    device::copy(&stop, late.stop(), sizeof(stop));
    EXPECT_EQ(stop, 0);
    write(late.stop(), 1);
  }
}

}  // namespace caffe
