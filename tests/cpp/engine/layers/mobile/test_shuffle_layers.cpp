#include "layers/layer_test.hpp"

namespace caffe {

/// What both layers need.
template <typename TypeParam>
class ShuffleLayersTest : public LayerTest<TypeParam> {
 protected:
  static std::string shuffle(int group) {
    return "type: 'ShuffleChannel' shuffle_channel_param { group: " + std::to_string(group) + " }";
  }
  static std::string by_blocks(const std::string& param) {
    return "type: 'ChannelShuffle' channel_shuffle_param { " + param + " }";
  }
  void expect_values(const std::vector<double>& wanted) {
    EXPECT_EQ(this->data(*this->top[0]), wanted);
  }
};

template <typename TypeParam>
class ShuffleChannelLayerTest : public ShuffleLayersTest<TypeParam> {};
template <typename TypeParam>
class ChannelShuffleLayerTest : public ShuffleLayersTest<TypeParam> {};
TYPED_TEST_SUITE(ShuffleChannelLayerTest, DtypesAndDevices);
TYPED_TEST_SUITE(ChannelShuffleLayerTest, DtypesAndDevices);

TYPED_TEST(ShuffleChannelLayerTest, ByHand) {
  this->add_bottom({1, 6, 1, 2}, {0, 1, 10, 11, 20, 21, 30, 31, 40, 41, 50, 51});
  this->forward(this->shuffle(2));
  this->expect_values({0, 1, 30, 31, 10, 11, 40, 41, 20, 21, 50, 51});
  this->forward(this->shuffle(3));
  this->expect_values({0, 1, 20, 21, 40, 41, 10, 11, 30, 31, 50, 51});
  this->forward("type: 'ShuffleChannel'");
  this->expect_values(this->data(*this->bottom[0]));
}

TYPED_TEST(ChannelShuffleLayerTest, ByHand) {
  this->add_bottom({1, 6, 1, 2}, {0, 1, 10, 11, 20, 21, 30, 31, 40, 41, 50, 51});
  this->forward(this->by_blocks("group: 2"));
  this->expect_values({0, 1, 30, 31, 10, 11, 40, 41, 20, 21, 50, 51});
  this->forward(this->by_blocks("group: 3 shuffle_channel_num: 2"));  // a block for each group
  this->expect_values(this->data(*this->bottom[0]));
  this->forward(this->by_blocks("shuffle_pattern: 0"));
  this->expect_values({0, 10, 20, 30, 40, 50, 1, 11, 21, 31, 41, 51});
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 6, 1, 2}));
  this->bottom.clear();
  this->add_bottom({1, 8}, {0, 1, 2, 3, 4, 5, 6, 7});
  this->forward(this->by_blocks("group: 2 shuffle_channel_num: 2"));
  this->expect_values({0, 1, 4, 5, 2, 3, 6, 7});
}

TYPED_TEST(ShuffleChannelLayerTest, ChannelsByTheRule) {
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{3, 12}, {2, 12, 3, 5}, {2, 12, 1, 1}, {2, 12, 2, 3, 2}}) {
    for (const int group : {1, 2, 3, 4, 6, 12}) {
      this->bottom.clear();
      this->top.clear();
      const auto* x = this->add_bottom(shape);
      this->forward(this->shuffle(group));
      ASSERT_EQ(this->top[0]->shape(), shape);
      const int inner = x->count(2), columns = 12 / group;
      for (int n = 0; n < shape[0]; ++n) {
        for (int c = 0; c < 12; ++c) {  // c is j group + i
          const int from = n * 12 + c % group * columns + c / group;
          for (int k = 0; k < inner; ++k) {
            ASSERT_EQ(this->top[0]->cpu_data()[(n * 12 + c) * inner + k],
                      x->cpu_data()[from * inner + k]);
          }
        }
      }
    }
  }
}

TYPED_TEST(ShuffleChannelLayerTest, AnotherBatch) {
  this->add_bottom({2, 6, 2, 2});
  auto layer = this->forward(this->shuffle(3));
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{5, 6, 2, 2}, {1, 6, 2, 2}, {1, 9, 1, 3}, {0, 6, 2, 2}}) {
    this->bottom[0]->Reshape(shape);
    this->fill_random(this->bottom[0], 4);
    layer->Forward(this->bottom, this->top);
    ASSERT_EQ(this->top[0]->shape(), shape);
    if (shape[0] == 0) continue;
    const int columns = shape[1] / 3, inner = this->bottom[0]->count(2);
    EXPECT_EQ(this->top[0]->cpu_data()[inner], this->bottom[0]->cpu_data()[columns * inner]);
  }
}

TYPED_TEST(ShuffleChannelLayerTest, Gradient) {
  this->add_bottom({2, 6, 2, 3});
  for (const int group : {2, 3}) this->check_gradient(this->shuffle(group));
}

TYPED_TEST(ChannelShuffleLayerTest, Gradient) {
  this->add_bottom({2, 6, 2, 3});
  for (const char* const param :
       {"group: 3", "shuffle_channel_num: 3 group: 2", "shuffle_pattern: 0"}) {
    this->check_gradient(this->by_blocks(param));
    if (this->HasFatalFailure()) FAIL() << param;
  }
}

TYPED_TEST(ShuffleChannelLayerTest, Errors) {
  this->add_bottom({2, 6, 2, 3});
  this->add_top();
  const auto error = [&](const std::string& text) {
    return error_of([&] { this->make(text)->SetUp(this->bottom, this->top); });
  };
  EXPECT_EQ(
      error(this->shuffle(4)),
      "layer 'under_test' (ShuffleChannel): group is 4, which does not divide the 6 channels");
  EXPECT_PRED2(contains, error(this->shuffle(0)), "group is 0");
  EXPECT_PRED2(contains, error(this->by_blocks("group: 2 shuffle_channel_num: 2")),
               "does not divide the 6 channels");
  EXPECT_PRED2(contains, error(this->by_blocks("shuffle_channel_num: -1")), "does not divide");
  EXPECT_PRED2(contains, error(this->by_blocks("group: 0")), "does not divide");
  EXPECT_PRED2(contains, error(this->by_blocks("shuffle_pattern: 2")), "there are 0 and 1");
  this->top = this->bottom;
  EXPECT_PRED2(contains, error(this->shuffle(2)), "cannot work in place");
  EXPECT_PRED2(contains, error(this->by_blocks("")), "cannot work in place");
}

}  // namespace caffe
