#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class NormalizeLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(NormalizeLayerTest, DtypesAndDevices);

namespace {

const char* const kFiller = "scale_filler { type: 'uniform' min: 0.5 max: 2 }";

std::string ssd(bool across, bool shared, const std::string& more = kFiller) {
  return std::string("type: 'Normalize' norm_param { across_spatial: ") +
         (across ? "true" : "false") + " channel_shared: " + (shared ? "true" : "false") + " " +
         more + " }";
}

std::string happynear(const std::string& param) {
  return "type: 'Normalize' normalize_param { " + param + " }";
}

/// The norm of the vector that value (n, c, p) belongs to; x is [N, C, pixels].
struct Reference {
  std::vector<double> x;
  int channels, pixels;
  bool across, absolute;
  double eps;
  double norm(int n, int p) const {
    double sum = 0;
    for (int c = 0; c < channels; ++c) {
      for (int q = 0; q < pixels; ++q) {
        if (!across && q != p) continue;
        const double value = x[(n * channels + c) * pixels + q];
        sum += absolute ? std::abs(value) : value * value;
      }
    }
    return absolute ? sum + eps : std::sqrt(sum + eps);
  }
  std::vector<double> y(const std::vector<double>& scales) const {
    std::vector<double> y(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const int row = static_cast<int>(i) / pixels, p = static_cast<int>(i) % pixels;
      y[i] = x[i] / norm(row / channels, p) * scales[row % channels % scales.size()];
    }
    return y;
  }
};

}  // namespace

TYPED_TEST(NormalizeLayerTest, ValuesByHand) {
  this->add_bottom({1, 2, 2}, {3, 1, 4, 0});
  auto layer = this->forward(ssd(false, true, "eps: 0"));
  this->expect_near(this->data(*this->top[0]), {0.6, 1, 0.8, 0});
  EXPECT_EQ(layer->blobs().size(), 1u);
  EXPECT_EQ(layer->blobs()[0]->num_axes(), 0);
  this->top.clear();
  this->forward(ssd(true, false, "eps: 0 scale_filler { type: 'constant' value: 20 }"));
  const double norm = std::sqrt(26.);
  this->expect_near(this->data(*this->top[0]), {60 / norm, 20 / norm, 80 / norm, 0});
}

TYPED_TEST(NormalizeLayerTest, EpsIsInsideTheRoot) {
  this->add_bottom({1, 2}, {0, 0});
  this->forward(ssd(false, true, "eps: 4"));
  this->expect_near(this->data(*this->top[0]), {0, 0});
  this->top.clear();
  this->bottom[0]->mutable_cpu_data()[1] = 2;
  this->forward(ssd(false, true, "eps: 5"));
  this->expect_near(this->data(*this->top[0]), {0, 2 / 3.});
}

TYPED_TEST(NormalizeLayerTest, AsTheFormula) {
  for (const std::vector<int>& shape : {std::vector<int>{2, 5, 3, 4}, {3, 4}, {2, 3, 70}}) {
    for (const bool across : {true, false}) {
      for (const bool shared : {true, false}) {
        this->bottom.clear();
        this->top.clear();
        this->add_bottom(shape);
        auto layer = this->forward(ssd(across, shared));
        const std::vector<double> scales = this->data(*layer->blobs()[0]);
        ASSERT_EQ(static_cast<int>(scales.size()), shared ? 1 : shape[1]);
        const Reference reference = {this->data(*this->bottom[0]),
                                     shape[1],
                                     this->bottom[0]->count(2),
                                     across,
                                     false,
                                     1e-10};
        this->expect_near(this->data(*this->top[0]), reference.y(scales));
      }
    }
  }
}

TYPED_TEST(NormalizeLayerTest, Gradient) {
  for (const std::vector<int>& shape : {std::vector<int>{2, 3, 2, 3}, {3, 4}}) {
    for (const bool across : {true, false}) {
      for (const bool shared : {true, false}) {
        this->bottom.clear();
        this->top.clear();
        this->add_bottom(shape, 0.2, 1.5);
        this->check_gradient(ssd(across, shared));
        if (this->HasFatalFailure()) return;
      }
    }
  }
}

TYPED_TEST(NormalizeLayerTest, AScaleOfZeroHasAGradient) {
  this->add_bottom({2, 3, 2});
  this->check_gradient(ssd(false, false, "scale_filler { type: 'constant' value: 0 }"));
}

TYPED_TEST(NormalizeLayerTest, ReshapesToMoreItems) {
  this->add_bottom({1, 2, 3});
  auto layer = this->forward(ssd(true, true));
  const std::vector<double> scales = this->data(*layer->blobs()[0]);
  for (const int items : {7, 2}) {
    this->bottom[0]->Reshape({items, 2, 3});
    this->fill_random(this->bottom[0], items);
    layer->Reshape(this->bottom, this->top);
    layer->Forward(this->bottom, this->top);
    const Reference reference = {this->data(*this->bottom[0]), 2, 3, true, false, 1e-10};
    this->expect_near(this->data(*this->top[0]), reference.y(scales));
  }
}

TYPED_TEST(NormalizeLayerTest, WorksInPlaceForward) {
  this->add_bottom({2, 3, 2});
  auto layer = this->forward(ssd(false, true));
  const std::vector<double> expected = this->data(*this->top[0]);
  layer->blobs()[0]->mutable_cpu_data();
  this->top = this->bottom;
  layer->Forward(this->bottom, this->top);
  this->expect_near(this->data(*this->bottom[0]), expected);
  EXPECT_ERROR(layer->Backward(this->top, {true}, this->bottom), "only without a backward pass");
}

TYPED_TEST(NormalizeLayerTest, HappynearsValues) {
  this->add_bottom({2, 3, 4, 2});
  for (const bool absolute : {false, true}) {
    this->top.clear();
    this->add_top();
    this->add_top();
    auto layer = this->forward(happynear(absolute ? "normalize_type: 'L1'" : ""));
    EXPECT_TRUE(layer->blobs().empty());
    const Reference reference = {this->data(*this->bottom[0]), 3, 8, false, absolute,
                                 absolute ? 1e-6 : 1e-12};
    this->expect_near(this->data(*this->top[0]), reference.y({1}));
    ASSERT_EQ(this->top[1]->shape(), (std::vector<int>{2, 1, 4, 2}));
    for (int i = 0; i < 16; ++i) {
      EXPECT_NEAR(this->top[1]->cpu_data()[i], reference.norm(i / 8, i % 8), 1e-5);
    }
  }
}

TYPED_TEST(NormalizeLayerTest, HappynearsZeroVectorStaysZero) {
  this->add_bottom({1, 2}, {0, 0});
  this->forward(happynear(""));
  this->expect_near(this->data(*this->top[0]), {0, 0});
}

TYPED_TEST(NormalizeLayerTest, HappynearsGradient) {
  GradientOptions options;
  options.kink_range = 0.05;  // of |x|
  for (const std::string type : {"L2", "L1"}) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom({2, 3, 2, 2});
    this->check_gradient(happynear("normalize_type: '" + type + "'"), options);
    if (this->HasFatalFailure()) return;
    this->top.clear();
    this->add_top();
    this->add_top();
    this->check_gradient(happynear("bp_norm: true normalize_type: '" + type + "'"), options);
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(NormalizeLayerTest, HappynearsFixedGradientIsNotDivided) {
  this->add_bottom({1, 2}, {3, 4});
  auto layer = this->forward(happynear("fix_gradient: true"));
  this->top[0]->mutable_cpu_diff()[0] = 1;
  this->top[0]->mutable_cpu_diff()[1] = 0;
  layer->Backward(this->top, {true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {1 - 0.36, -0.48});
}

TYPED_TEST(NormalizeLayerTest, TheDialectChoosesBetweenTheTwo) {
  this->add_bottom({1, 2}, {3, 4});
  EXPECT_TRUE(this->forward("type: 'Normalize' dialect: 'happynear'")->blobs().empty());
  EXPECT_EQ(this->forward("type: 'Normalize' dialect: 'ssd'")->blobs().size(), 1u);
  EXPECT_EQ(this->forward("type: 'Normalize'")->blobs().size(), 1u);
}

TYPED_TEST(NormalizeLayerTest, Errors) {
  this->add_bottom({2, 3, 2});
  this->add_top();
  auto layer = this->make(ssd(false, false));
  layer->SetUp(this->bottom, this->top);
  this->bottom[0]->Reshape({2, 4, 2});
  EXPECT_ERROR(layer->Reshape(this->bottom, this->top),
               "'under_test' (Normalize): has 3 scales, and the bottom's shape is now 2 4 2");
  EXPECT_ERROR(this->make(happynear("normalize_type: 'L3'"))->SetUp(this->bottom, this->top),
               "normalize_type is \"L3\"; it may be \"L2\" or \"L1\"");
  EXPECT_ERROR(this->make(ssd(true, true, "eps: -1"))->SetUp(this->bottom, this->top), "eps is -1");
  this->bottom[0]->Reshape({2});
  EXPECT_ERROR(this->make(ssd(true, true))->SetUp(this->bottom, this->top), "channel axis");
  this->bottom[0]->Reshape({2, 3});
  this->add_top();
  EXPECT_ERROR(this->make(ssd(true, true))->SetUp(this->bottom, this->top), "happynear's");
}

}  // namespace caffe
