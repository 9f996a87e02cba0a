#include "caffe/util/unchanged.hpp"

#include <gtest/gtest.h>

#include "caffe/blob.hpp"

namespace caffe {

namespace {

class UnchangedTest : public ::testing::Test {
 protected:
  UnchangedTest() {
    a.cpu_data();
    b.cpu_data();
    blocks = {a.data().get(), b.data().get()};
  }
  Blob<float> a{std::vector<int>{4}}, b{std::vector<int>{4}};
  Unchanged::Blocks blocks;
  Unchanged unchanged;
};

}  // namespace

TEST_F(UnchangedTest, HoldsUntilSomethingIsWritten) {
  EXPECT_FALSE(unchanged.holds(blocks)) << "nothing was noted";
  for (Blob<float>* const blob : {&a, &b}) {
    unchanged.note(blocks);
    EXPECT_TRUE(unchanged.holds(blocks));
    a.cpu_data();
    b.asum_data();
    EXPECT_TRUE(unchanged.holds(blocks)) << "reading changes nothing";
    blob->mutable_cpu_data();
    EXPECT_FALSE(unchanged.holds(blocks));
  }
}

TEST_F(UnchangedTest, NoticesOtherBlocks) {
  unchanged.note(blocks);
  EXPECT_FALSE(unchanged.holds({a.data().get()}));
  EXPECT_FALSE(unchanged.holds({b.data().get(), a.data().get()}));
  EXPECT_FALSE(unchanged.holds({}));
  Blob<float> other(std::vector<int>{4});
  other.cpu_data();
  a.ShareData(other);
  EXPECT_FALSE(unchanged.holds({a.data().get(), b.data().get()}));
}

TEST_F(UnchangedTest, DoesNotTrustMemoryThatOthersMayWrite) {
  {
    const auto held = a.data()->share_cpu_data();
    unchanged.note(blocks);
    EXPECT_FALSE(unchanged.holds(blocks));
  }
  EXPECT_FALSE(unchanged.holds(blocks)) << "the holder may have written last";
  unchanged.note(blocks);
  EXPECT_TRUE(unchanged.holds(blocks));
  float given[4] = {};
  b.set_cpu_data(given);
  unchanged.note(blocks);
  EXPECT_FALSE(unchanged.holds(blocks));
}

TEST_F(UnchangedTest, SeveralCanWatchOneBlock) {
  unchanged.note(blocks);
  Unchanged second;
  second.note({b.data().get()});
  EXPECT_TRUE(unchanged.holds(blocks));
  EXPECT_TRUE(second.holds({b.data().get()}));
  b.mutable_cpu_data()[0] = 1;
  second.note({b.data().get()});
  EXPECT_FALSE(unchanged.holds(blocks)) << "a new mark says nothing about older values";
  EXPECT_TRUE(second.holds({b.data().get()}));
}

}  // namespace caffe
