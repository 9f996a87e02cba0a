#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class UnpoolingLayerTest : public LayerTest<TypeParam> {
 protected:
  static std::string unpooling(const std::string& param) {
    return "type: 'Unpooling' unpooling_param { " + param + " }";
  }
  void expect_values(const std::vector<double>& wanted) {
    this->expect_near(this->data(*this->top[0]), wanted);
  }
};
TYPED_TEST_SUITE(UnpoolingLayerTest, DtypesAndDevices);

TYPED_TEST(UnpoolingLayerTest, MaxByHand) {
  this->add_bottom({1, 1, 2, 2}, {1, 2, 3, 4});
  this->forward(this->unpooling("kernel_size: 2 stride: 2 unpool_h: 3 unpool_w: 4"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 1, 3, 4}));
  this->expect_values({1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 4, 0});
  this->forward(this->unpooling("stride: 3 unpool_size: 3"));  // the second window is outside
  this->expect_values({1, 0, 2, 0, 0, 0, 3, 0, 4});
  this->add_bottom({1, 1, 2, 2}, {5, 0, 8, 5});
  this->forward(this->unpooling("unpool_size: 3"));
  this->expect_values({2, 0, 0, 0, 0, 4, 0, 0, 3});
}

TYPED_TEST(UnpoolingLayerTest, AverageAndTileByHand) {
  this->add_bottom({1, 1, 1, 2}, {4, 8});
  // Windows of 2 x 2 from (0, 0) and (0, 1), in a plane of 2 x 3.
  this->forward(this->unpooling("unpool: AVE kernel_size: 2 unpool_h: 2 unpool_w: 3"));
  this->expect_values({1, 3, 2, 1, 3, 2});
  this->forward(this->unpooling("unpool: TILE kernel_size: 2 unpool_h: 2 unpool_w: 3"));
  this->expect_values({4, 12, 8, 4, 12, 8});
  // The second window has one column inside, and the third row is in none.
  this->forward(this->unpooling("unpool: AVE kernel_size: 2 stride: 2 unpool_h: 3 unpool_w: 3"));
  this->expect_values({1, 1, 4, 1, 1, 4, 0, 0, 0});
}

TYPED_TEST(UnpoolingLayerTest, SumsOverWindows) {
  for (const bool divide : {false, true}) {
    this->bottom.clear();
    this->top.clear();
    const auto* x = this->add_bottom({2, 3, 4, 5});
    auto layer = this->forward(this->unpooling(
        std::string(divide ? "unpool: AVE" : "unpool: TILE") +
        " kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 unpool_h: 7 unpool_w: 8"));
    for (const int images : {2, 3, 1}) {
      this->bottom[0]->Reshape({images, 3, 4, 5});
      this->fill_random(this->bottom[0], 3);
      layer->Forward(this->bottom, this->top);
      std::vector<double> y(images * 3 * 7 * 8);
      for (int i = 0; i < x->count(); ++i) {
        const int w = i % 5, h = i / 5 % 4, plane = i / 20;
        const int bottom = std::min(2 * h + 3, 7), right = std::min(w + 2, 8);
        const double size = divide ? (bottom - 2 * h) * (right - w) : 1;
        for (int r = 2 * h; r < bottom; ++r) {
          for (int c = w; c < right; ++c) y[(plane * 7 + r) * 8 + c] += x->cpu_data()[i] / size;
        }
      }
      this->expect_values(y);
    }
  }
}

TYPED_TEST(UnpoolingLayerTest, AnotherBatchOfMaxima) {
  this->add_bottom({2, 3, 2, 2});
  auto layer = this->forward(this->unpooling("stride: 2 unpool_size: 4"));
  for (const int images : {4, 1, 0}) {
    this->bottom[0]->Reshape({images, 3, 2, 2});
    this->fill_random(this->bottom[0], 3);
    layer->Forward(this->bottom, this->top);
    ASSERT_EQ(this->top[0]->shape(), (std::vector<int>{images, 3, 4, 4}));
    for (int i = 0; i < this->bottom[0]->count(); ++i) {
      EXPECT_EQ(this->top[0]->cpu_data()[i / 4 * 16 + i / 2 % 2 * 8 + i % 2 * 2],
                this->bottom[0]->cpu_data()[i]);
    }
  }
}

TYPED_TEST(UnpoolingLayerTest, Gradient) {
  this->add_bottom({2, 2, 3, 4});
  for (const char* const param :
       {"stride: 2 unpool_h: 6 unpool_w: 7", "stride: 3 unpool_size: 5",
        "unpool: AVE kernel_size: 3 stride: 2 unpool_h: 7 unpool_w: 9",
        "unpool: AVE kernel_size: 2 stride: 2 unpool_h: 4 unpool_w: 9",
        "unpool: TILE kernel_size: 3 stride: 1 unpool_h: 5 unpool_w: 5"}) {
    this->check_gradient(this->unpooling(param));
    if (this->HasFatalFailure()) FAIL() << param;
  }
  auto* const places = this->add_bottom({2, 2, 3, 4});
  for (int i = 0; i < places->count(); ++i) places->mutable_cpu_data()[i] = (i % 12) * 5 % 13;
  this->check_gradient(this->unpooling("unpool_h: 2 unpool_w: 7"));
}

TYPED_TEST(UnpoolingLayerTest, Errors) {
  this->add_bottom({1, 1, 2, 2});
  this->add_top();
  const auto error = [&](const std::string& param) {
    return error_of([&] {
      auto layer = this->make(this->unpooling(param));
      layer->SetUp(this->bottom, this->top);
      layer->Forward(this->bottom, this->top);
    });
  };
  EXPECT_EQ(error("unpool_h: 3"),
            "layer 'under_test' (Unpooling): unpooling_param needs unpool_size, or unpool_h and "
            "unpool_w");
  EXPECT_PRED2(contains, error("unpool_size: 3 pad_h: 1"), "has no padding");
  EXPECT_PRED2(contains, error("unpool_size: 3 unpool: AVE"), "needs kernel_size");
  EXPECT_PRED2(contains, error("unpool_size: 3 unpool: AVE kernel_h: 2"), "kernel_w both");
  EXPECT_PRED2(contains, error("unpool_size: 3 stride: 0"), "the stride is 0");
  EXPECT_PRED2(contains, error("unpool_size: 0"), "the top's height is 0");
  this->add_bottom({1, 1, 2, 2}, {0, 1, 2, 9});
  EXPECT_PRED2(contains, error("unpool_size: 3"),
               "a place outside of the top's plane, for value 3");
  EXPECT_PRED2(contains, error("unpool_size: 3 unpool: TILE kernel_size: 2"), "remove it");
  this->bottom[1]->Reshape({1, 1, 4, 1});
  EXPECT_PRED2(contains, error("unpool_size: 3"), "must have that of bottom 0");
}

}  // namespace caffe
