#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ReorgLayerTest : public LayerTest<TypeParam> {
 protected:
  static std::string reorg(const std::string& param) {
    return "type: 'Reorg' reorg_param { " + param + " }";
  }
  /// Darknet's rule, place by place: forward, to[(c, h, w)] = from[p]; reverse the other way.
  static std::vector<double> by_rule(const std::vector<double>& x, const std::vector<int>& shape,
                                     int s, bool reverse) {
    const int channels = shape[1], height = shape[2], width = shape[3];
    const int fewer = channels / (s * s);
    std::vector<double> y(x.size());
    for (int n = 0; n < shape[0]; ++n) {
      for (int c = 0; c < channels; ++c) {
        for (int h = 0; h < height; ++h) {
          for (int w = 0; w < width; ++w) {
            const size_t plain = ((n * channels + c) * height + h) * width + w;
            const int c2 = c % fewer, o = c / fewer, h2 = h * s + o / s, w2 = w * s + o % s;
            const size_t p = ((n * fewer + c2) * height * s + h2) * width * s + w2;
            (reverse ? y[p] : y[plain]) = reverse ? x[plain] : x[p];
          }
        }
      }
    }
    return y;
  }
};
TYPED_TEST_SUITE(ReorgLayerTest, DtypesAndDevices);

TYPED_TEST(ReorgLayerTest, ByHand) {
  this->add_bottom({1, 4, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  this->forward(this->reorg("stride: 2"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 16, 1, 1}));
  EXPECT_EQ(this->data(*this->top[0]),
            (std::vector<double>{0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15}));
  this->forward(this->reorg("stride: 2 reverse: true"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 1, 4, 4}));
  EXPECT_EQ(this->data(*this->top[0]),
            (std::vector<double>{0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15}));
}

TYPED_TEST(ReorgLayerTest, IsTheRule) {
  for (const bool reverse : {false, true}) {
    for (const int stride : {1, 2, 3}) {
      this->bottom.clear();
      this->top.clear();
      const std::vector<int> shape = {2, 36, 6, reverse ? 5 : 12};
      this->add_bottom(shape);
      this->forward(
          this->reorg("stride: " + std::to_string(stride) + (reverse ? " reverse: true" : "")));
      EXPECT_EQ(this->data(*this->top[0]),
                this->by_rule(this->data(*this->bottom[0]), shape, stride, reverse));
    }
  }
}

TYPED_TEST(ReorgLayerTest, AnotherBatchAndSize) {
  this->add_bottom({2, 4, 2, 4});
  auto layer = this->forward(this->reorg("stride: 2"));
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{5, 4, 2, 4}, {1, 4, 2, 4}, {1, 8, 6, 2}, {0, 8, 6, 2}}) {
    this->bottom[0]->Reshape(shape);
    this->fill_random(this->bottom[0], 4);
    layer->Forward(this->bottom, this->top);
    EXPECT_EQ(this->data(*this->top[0]),
              this->by_rule(this->data(*this->bottom[0]), shape, 2, false));
  }
}

TYPED_TEST(ReorgLayerTest, Gradient) {
  this->add_bottom({2, 8, 4, 2});
  this->check_gradient(this->reorg("stride: 2"));
  this->check_gradient(this->reorg("stride: 2 reverse: true"));
}

TYPED_TEST(ReorgLayerTest, Errors) {
  this->add_bottom({1, 4, 2, 3});
  this->add_top();
  const auto error = [&](const std::string& param) {
    return error_of([&] { this->make(this->reorg(param))->SetUp(this->bottom, this->top); });
  };
  EXPECT_EQ(error(""), "layer 'under_test' (Reorg): stride is missing; it must be from 1 to 46340");
  EXPECT_PRED2(contains, error("stride: 0"), "stride is 0");
  EXPECT_PRED2(contains, error("stride: 65536"), "stride is 65536");
  EXPECT_PRED2(contains, error("stride: 3"), "needs a multiple of 9 channels");
  EXPECT_PRED2(contains, error("stride: 2"), "does not divide height and width");
  EXPECT_EQ(error("stride: 2 reverse: true"), "");
  this->bottom[0]->Reshape({0, 4, 2000000000, 1});
  EXPECT_PRED2(contains, error("stride: 2 reverse: true"), "an axis of 4000000000 values is too");
  this->bottom[0]->Reshape({1, 2000000000, 0, 0});
  EXPECT_PRED2(contains, error("stride: 2"), "an axis of 8000000000 values is too long");
  this->top = this->bottom;
  EXPECT_PRED2(contains, error("stride: 1"), "cannot work in place");
}

template <typename TypeParam>
class PixelShuffleLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(PixelShuffleLayerTest, DtypesAndDevices);

TYPED_TEST(PixelShuffleLayerTest, ByHand) {
  this->add_bottom({1, 4, 1, 2}, {0, 1, 10, 11, 20, 21, 30, 31});
  for (const char* const text :
       {"", "pixel_shuffle_param { }", "pixelshuffle_param { upscale_factor: 2 }"}) {
    this->forward(std::string("type: 'PixelShuffle' ") + text);
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 1, 2, 4}));
    EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{0, 10, 1, 11, 20, 30, 21, 31}));
  }
}

TYPED_TEST(PixelShuffleLayerTest, IsTheRule) {
  const int r = 3;
  this->add_bottom({2, 18, 4, 5});
  auto layer = this->forward("type: 'PixelShuffle' pixel_shuffle_param { upscale_factor: 3 }");
  for (const int images : {2, 3, 1}) {
    this->bottom[0]->Reshape({images, 18, 4, 5});
    this->fill_random(this->bottom[0], 2);
    layer->Forward(this->bottom, this->top);
    ASSERT_EQ(this->top[0]->shape(), (std::vector<int>{images, 2, 12, 15}));
    for (int n = 0; n < images; ++n) {
      for (int c = 0; c < 2; ++c) {
        for (int y = 0; y < 12; ++y) {
          for (int x = 0; x < 15; ++x) {
            ASSERT_EQ(this->top[0]->data_at(n, c, y, x),
                      this->bottom[0]->data_at(n, c * r * r + y % r * r + x % r, y / r, x / r));
          }
        }
      }
    }
  }
}

TYPED_TEST(PixelShuffleLayerTest, Gradient) {
  this->add_bottom({2, 8, 3, 2});
  this->check_gradient("type: 'PixelShuffle'");
}

TYPED_TEST(PixelShuffleLayerTest, Errors) {
  this->add_bottom({1, 6, 2, 3});
  this->add_top();
  const auto error = [&](const std::string& text) {
    return error_of(
        [&] { this->make("type: 'PixelShuffle' " + text)->SetUp(this->bottom, this->top); });
  };
  EXPECT_EQ(error("pixelshuffle_param { }"),
            "layer 'under_test' (PixelShuffle): pixelshuffle_param needs upscale_factor");
  EXPECT_PRED2(contains, error("pixelshuffle_param { upscale_factor: 2 } pixel_shuffle_param { }"),
               "not both");
  EXPECT_PRED2(contains, error("pixel_shuffle_param { upscale_factor: 0 }"), "is 0");
  EXPECT_PRED2(contains, error("pixel_shuffle_param { upscale_factor: 65536 }"), "is 65536");
  EXPECT_PRED2(contains, error(""), "needs a multiple of 4 channels");
  this->bottom[0]->Reshape({0, 4, 2000000000, 1});
  EXPECT_PRED2(contains, error(""), "an axis of 4000000000 values is too long");
}

}  // namespace caffe
