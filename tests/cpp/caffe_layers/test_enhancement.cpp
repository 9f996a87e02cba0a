#include <algorithm>
#include <cmath>

#include "tests/cpp/caffe_layers/gradient_checker.hpp"
#include "tests/cpp/caffe_layers/layer_helpers.hpp"

namespace {

/// One row: batch, channels, height, width. With more pixels than a CPU tile, one pixel, or one
/// channel; and a number of channels for each functor that a GPU has for plain values.
const std::vector<std::vector<int>> kShapes = {
    {2, 3, 4, 5},  {1, 7, 1, 1},   {3, 1, 2, 2},   {1, 2, 23, 47}, {1, 40, 1, 2},
    {1, 70, 1, 1}, {1, 100, 1, 1}, {1, 130, 1, 1}, {1, 260, 1, 1}, {1, 300, 1, 2}};

template <typename TypeParam>
class EnhancementTest : public DeviceTest<TypeParam> {};
TYPED_TEST_SUITE(EnhancementTest, DtypesAndDevices);

TYPED_TEST(EnhancementTest, ForwardIsTheEquation) {
  typedef typename TypeParam::Dtype T;
  auto shapes = kShapes;
  shapes.push_back({2, 3, 60, 70});  // enough for more than one thread
  for (const auto& shape : shapes) {
    caffe::Blob<T> f(shape), enhanced, a;
    fill(&f, random_values<T>(f.count(), 1, -30, 30));
    auto layer = make_layer<T>("Enhancement");
    layer->SetUp({&f}, {&enhanced, &a});
    layer->Forward({&f}, {&enhanced, &a});
    ASSERT_EQ(f.shape(), enhanced.shape());
    ASSERT_EQ((std::vector<int>{shape[0], 1, shape[2], shape[3]}), a.shape());
    for (int n = 0; n < shape[0]; ++n) {
      for (int p = 0; p < shape[2] * shape[3]; ++p) {
        double sum = 0;
        for (int c = 0; c < shape[1]; ++c) sum += f.cpu_data()[f.offset(n, c) + p];
        const double attention = 1 / (1 + std::exp(-sum / shape[1]));
        const double tolerance = sizeof(T) == 4 ? 2e-6 : 4e-15;
        ASSERT_NEAR(a.cpu_data()[a.offset(n) + p], attention, tolerance);
        for (int c = 0; c < shape[1]; ++c) {
          const double expected = (1 + attention) * f.cpu_data()[f.offset(n, c) + p];
          ASSERT_NEAR(enhanced.cpu_data()[f.offset(n, c) + p], expected, 60 * tolerance);
        }
      }
    }
  }
}

TYPED_TEST(EnhancementTest, Gradient) {
  typedef typename TypeParam::Dtype T;
  for (const auto& shape : kShapes) {
    caffe::Blob<T> f(shape), enhanced;
    fill(&f, random_values<T>(f.count(), 2));
    check_gradients<T>(make_layer<T>("Enhancement").get(), {&f}, {&enhanced}, {0});
  }
}

TYPED_TEST(EnhancementTest, GradientInPlace) {
  typedef typename TypeParam::Dtype T;
  for (const auto& shape : kShapes) {
    caffe::Blob<T> f(shape);
    fill(&f, random_values<T>(f.count(), 3));
    check_gradients<T>(make_layer<T>("Enhancement").get(), {&f}, {&f}, {0});
  }
}

TYPED_TEST(EnhancementTest, GradientThroughTheAttention) {
  typedef typename TypeParam::Dtype T;
  for (const auto& shape : kShapes) {
    caffe::Blob<T> f(shape), enhanced, a;
    fill(&f, random_values<T>(f.count(), 4));
    check_gradients<T>(make_layer<T>("Enhancement").get(), {&f}, {&enhanced, &a}, {0});
    check_gradients<T>(make_layer<T>("Enhancement").get(), {&f}, {&f, &a}, {0});
  }
}

TYPED_TEST(EnhancementTest, InPlaceGivesTheSameBits) {
  typedef typename TypeParam::Dtype T;
  caffe::Blob<T> f(2, 5, 7, 9), in_place, enhanced;
  fill(&f, random_values<T>(f.count(), 5));
  in_place.CopyFrom(f, false, true);
  auto one = make_layer<T>("Enhancement"), other = make_layer<T>("Enhancement");
  one->SetUp({&f}, {&enhanced});
  one->Forward({&f}, {&enhanced});
  other->SetUp({&in_place}, {&in_place});
  other->Forward({&in_place}, {&in_place});
  EXPECT_EQ(values(enhanced), values(in_place));
}

TYPED_TEST(EnhancementTest, SaturatesWithoutOverflow) {
  typedef typename TypeParam::Dtype T;
  caffe::Blob<T> f(1, 1, 1, 4), enhanced, a;
  fill<T>(&f, {T(1e4), T(-1e4), 0, T(-80)});
  auto layer = make_layer<T>("Enhancement");
  layer->SetUp({&f}, {&enhanced, &a});
  layer->Forward({&f}, {&enhanced, &a});
  EXPECT_EQ(a.cpu_data()[0], 1);
  EXPECT_LT(a.cpu_data()[1], 1e-30);
  EXPECT_EQ(a.cpu_data()[2], T(0.5));
  EXPECT_NEAR(a.cpu_data()[3] / std::exp(-80.), 1, 1e-6);
  EXPECT_EQ(enhanced.cpu_data()[0], T(2e4));
}

/// Of maps far below zero the attention vanishes in 1 + A: the layer's presence alone changes
/// nothing.
TYPED_TEST(EnhancementTest, AttentionThatVanishesChangesNoBit) {
  typedef typename TypeParam::Dtype T;
  for (const auto& shape : kShapes) {
    for (const bool in_place : {false, true}) {
      for (const bool with_attention : {false, true}) {
        caffe::Blob<T> f(shape), other, a;
        const std::vector<T> before = random_values<T>(f.count(), 7, -1300, -1000);
        const std::vector<T> gradient = random_values<T>(f.count(), 8, -3, 3);
        fill(&f, before);
        caffe::Blob<T>* enhanced = in_place ? &f : &other;
        std::vector<caffe::Blob<T>*> tops = {enhanced};
        if (with_attention) tops.push_back(&a);
        auto layer = make_layer<T>("Enhancement");
        layer->SetUp({&f}, tops);
        layer->Forward({&f}, tops);
        EXPECT_EQ(before, values(*enhanced));
        std::copy(gradient.begin(), gradient.end(), enhanced->mutable_cpu_diff());
        if (with_attention) {
          for (const T attention : values(a)) EXPECT_LT(attention, 1e-30);
          std::fill_n(a.mutable_cpu_diff(), a.count(), T(2));
        }
        layer->Backward(tops, {true}, {&f});
        EXPECT_EQ(gradient, std::vector<T>(f.cpu_diff(), f.cpu_diff() + f.count()));
      }
    }
  }
}

TYPED_TEST(EnhancementTest, ALaterInPlaceLayerThatChangesTheBlobIsRefused) {
  typedef typename TypeParam::Dtype T;
  caffe::Blob<T> f(2, 8, 3, 3);
  fill(&f, random_values<T>(f.count(), 6, 0, 4));
  auto layer = make_layer<T>("Enhancement");
  layer->SetUp({&f}, {&f});
  layer->Forward({&f}, {&f});
  for (int i = 0; i < f.count(); i += 2) f.mutable_cpu_data()[i] *= 2;  // as Dropout does
  const std::string message = message_of([&] { layer->Backward({&f}, {true}, {&f}); });
  EXPECT_HAS(message, "'layer under test' (Enhancement)");
  EXPECT_HAS(message, "a later layer has changed that blob in place");
}

TYPED_TEST(EnhancementTest, WrongShapesAndNamesAreErrors) {
  typedef typename TypeParam::Dtype T;
  caffe::Blob<T> flat(std::vector<int>{3, 4}), f(1, 2, 3, 3), top;
  EXPECT_HAS(message_of([&] { make_layer<T>("Enhancement")->SetUp({&flat}, {&top}); }),
             "bottom[0] 'bottom0' must be a feature map of shape N x C x H x W and not empty; its "
             "shape is 3 4");
  EXPECT_HAS(message_of([&] { make_layer<T>("Enhancement")->SetUp({&f}, {&top, &f}); }),
             "top[1] receives the attention and needs a name of its own");
}

}  // namespace
