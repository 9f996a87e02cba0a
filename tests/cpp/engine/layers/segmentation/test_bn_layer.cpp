#include "layers/layer_test.hpp"
#include "log_lines.hpp"

namespace caffe {

namespace {

constexpr const char* kPspNet =
    "slope_filler { type: 'uniform' min: 0.5 max: 2 } bias_filler { type: 'uniform' } ";
constexpr const char* kSegNet =
    "scale_filler { type: 'uniform' min: 0.5 max: 2 } shift_filler { type: 'uniform' } ";

std::string bn(const std::string& param) {
  return "type: 'BN' bn_param { " + param + " }";
}

/// y = slope (x - mean) / sqrt(variance + eps) + bias and its gradients, in double.
struct Reference {
  int outer, channels, inner;
  double eps;
  std::vector<double> slope, bias, mean, variance;

  template <typename Dtype>
  Reference(const Blob<Dtype>& x, const Layer<Dtype>& layer, double eps)
      : outer(x.shape(0)), channels(x.shape(1)), inner(x.count(2)), eps(eps) {
    auto& blobs = const_cast<Layer<Dtype>&>(layer).blobs();
    slope.assign(blobs[0]->cpu_data(), blobs[0]->cpu_data() + channels);
    bias.assign(blobs[1]->cpu_data(), blobs[1]->cpu_data() + channels);
  }
  int channel(size_t i) const { return static_cast<int>(i) / inner % channels; }
  double per_channel() const { return double(outer) * inner; }
  std::vector<double> means(const std::vector<double>& x) const {
    std::vector<double> sums(channels);
    for (size_t i = 0; i < x.size(); ++i) sums[channel(i)] += x[i] / per_channel();
    return sums;
  }
  void take_batch(const std::vector<double>& x) {
    mean = means(x);
    std::vector<double> squares;
    for (size_t i = 0; i < x.size(); ++i) {
      squares.push_back((x[i] - mean[channel(i)]) * (x[i] - mean[channel(i)]));
    }
    variance = means(squares);
  }
  std::vector<double> normalised(const std::vector<double>& x) const {
    std::vector<double> n;
    for (size_t i = 0; i < x.size(); ++i) {
      const int c = channel(i);
      n.push_back((x[i] - mean[c]) / std::sqrt(variance[c] + eps));
    }
    return n;
  }
  std::vector<double> operator()(const std::vector<double>& x) const {
    std::vector<double> y = normalised(x);
    for (size_t i = 0; i < y.size(); ++i) y[i] = slope[channel(i)] * y[i] + bias[channel(i)];
    return y;
  }
};

}  // namespace

template <typename TypeParam>
class BNLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  static std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b) {
    std::vector<double> out;
    for (size_t i = 0; i < a.size(); ++i) out.push_back(a[i] * b[i]);
    return out;
  }
  /// Fills the averages of the fixture's layer with values that no batch has.
  static void set_averages(Layer<Dtype>* layer) {
    for (int c = 0; c < layer->blobs()[2]->count(); ++c) {
      layer->blobs()[2]->mutable_cpu_data()[c] = Dtype(0.3 * c - 0.4);
      layer->blobs()[3]->mutable_cpu_data()[c] = Dtype(0.5 + 0.25 * c);
    }
  }
};
TYPED_TEST_SUITE(BNLayerTest, DtypesAndDevices);

TYPED_TEST(BNLayerTest, PspNetByHand) {
  this->add_bottom({2, 1, 1, 2}, {1, 3, 5, 7});  // mean 4, variance 5
  auto layer =
      this->forward(bn("slope_filler { value: 2 } bias_filler { value: 10 } "
                       "momentum: 0.75 eps: 4"));
  this->expect_near(this->data(*this->top[0]), {8, 10 - 2 / 3., 10 + 2 / 3., 12});
  this->expect_near(this->data(*layer->blobs()[2]), {1});
  this->expect_near(this->data(*layer->blobs()[3]), {1.25});
  layer->Forward(this->bottom, this->top);
  this->expect_near(this->data(*layer->blobs()[2]), {1.75});
  this->expect_near(this->data(*layer->blobs()[3]), {2.1875});
}

TYPED_TEST(BNLayerTest, SegNetByHand) {
  this->add_bottom({2, 1, 1, 2}, {1, 3, 5, 7});
  this->add_top();
  this->add_top();
  this->add_top();
  const std::string param = "scale_filler { value: 2 } shift_filler { value: 10 } ";
  for (const Phase phase : {TRAIN, TEST}) {
    auto layer = this->forward(bn(param), phase);
    EXPECT_EQ(layer->blobs().size(), 2u);
    const double root = std::sqrt(5 + 1e-9);
    this->expect_near(this->data(*this->top[0]),
                      {10 - 6 / root, 10 - 2 / root, 10 + 2 / root, 10 + 6 / root});
    EXPECT_EQ(this->data(*this->top[1]), std::vector<double>{4});
    EXPECT_EQ(this->data(*this->top[2]), std::vector<double>{5});
    EXPECT_EQ(this->top[2]->shape(), (std::vector<int>{1, 1, 1, 1}));
  }
  this->top.resize(1);
  this->forward(bn(param + "bn_mode: INFERENCE"));
  EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{12, 16, 20, 24}));
}

TYPED_TEST(BNLayerTest, NormalisesByTheBatch) {
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{7, 3}, {2, 3, 4, 5}, {3, 2, 5, 9}, {3, 2, 2, 3, 2}}) {
    for (const bool pspnet : {true, false}) {
      for (const bool in_place : {false, true}) {
        this->bottom.clear();
        this->top.clear();
        this->add_bottom(shape, -1, 4);
        if (in_place) this->top = this->bottom;
        const std::vector<double> x = this->data(*this->bottom[0]);
        auto layer = this->forward(bn(pspnet ? kPspNet : kSegNet));
        ASSERT_EQ(layer->blobs().size(), pspnet ? 4u : 2u);
        Reference rule(*this->bottom[0], *layer, pspnet ? 1e-5 : 1e-9);
        rule.take_batch(x);
        this->expect_near(this->data(*this->top[0]), rule(x));
      }
    }
  }
}

TYPED_TEST(BNLayerTest, TestingAndFrozenUseTheAverages) {
  for (const bool frozen : {false, true}) {
    for (const bool in_place : {false, true}) {
      this->bottom.clear();
      this->top.clear();
      this->add_bottom({2, 3, 4, 5});
      if (in_place) this->top = this->bottom;
      const std::vector<double> x = this->data(*this->bottom[0]);
      auto layer = this->forward(bn(kPspNet + std::string(frozen ? "frozen: true" : "")),
                                 frozen ? TRAIN : TEST);
      EXPECT_EQ(layer->blobs()[3]->cpu_data()[2], frozen ? 1 : 0);
      this->set_averages(layer.get());
      const std::vector<double> means = this->data(*layer->blobs()[2]);
      std::copy(x.begin(), x.end(), this->bottom[0]->mutable_cpu_data());
      layer->Forward(this->bottom, this->top);
      Reference rule(*this->bottom[0], *layer, 1e-5);
      rule.mean = means;
      rule.variance = this->data(*layer->blobs()[3]);
      this->expect_near(this->data(*this->top[0]), rule(x));
      EXPECT_EQ(this->data(*layer->blobs()[2]), means) << "no batch changes them";

      this->fill_random(this->top[0], 3);  // a gradient
      const std::vector<double> dy = this->data(*this->top[0]);
      std::copy(dy.begin(), dy.end(), this->top[0]->mutable_cpu_diff());
      if (!in_place) std::copy(x.begin(), x.end(), this->bottom[0]->mutable_cpu_data());
      layer->Backward(this->top, {true}, this->bottom);
      std::vector<double> dx;
      for (size_t i = 0; i < dy.size(); ++i) {
        const int c = rule.channel(i);
        dx.push_back(dy[i] * rule.slope[c] / std::sqrt(rule.variance[c] + 1e-5));
      }
      this->expect_near(this->diff(*this->bottom[0]), dx);
      std::vector<double> slope = rule.means(this->product(dy, rule.normalised(x)));
      std::vector<double> bias = rule.means(dy);
      for (int c = 0; c < 3; ++c) {
        slope[c] *= frozen ? 0 : rule.per_channel();
        bias[c] *= frozen ? 0 : rule.per_channel();
      }
      this->expect_near(this->diff(*layer->blobs()[0]), slope);
      this->expect_near(this->diff(*layer->blobs()[1]), bias);
      this->expect_near(this->diff(*layer->blobs()[3]), {0, 0, 0});
    }
  }
}

TYPED_TEST(BNLayerTest, Gradient) {
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{6, 3}, {3, 2, 5}, {2, 3, 4, 5}}) {
    this->bottom.clear();
    this->add_bottom(shape);
    for (const bool in_place : {false, true}) {
      this->top.clear();
      if (in_place) this->top = this->bottom;
      for (const std::string& param : {kPspNet + std::string("eps: 0.01"), std::string(kSegNet),
                                       kSegNet + std::string("bn_mode: INFERENCE")}) {
        this->check_gradient(bn(param));
        if (this->HasFatalFailure()) FAIL() << param << (in_place ? " in place" : "");
      }
    }
  }
}

TYPED_TEST(BNLayerTest, GradientsOfTheBottomAlone) {
  GradientOptions options;
  options.params = false;
  for (const bool in_place : {false, true}) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom({2, 3, 4, 5});
    if (in_place) this->top = this->bottom;
    for (const std::string& param :
         {kPspNet + std::string("frozen: true"), kPspNet + std::string("momentum: 0.5"),
          std::string(kSegNet), kSegNet + std::string("bn_mode: INFERENCE")}) {
      this->check_gradient(bn(param), options);
      if (this->HasFatalFailure()) FAIL() << param << (in_place ? " in place" : "");
    }
  }
}

TYPED_TEST(BNLayerTest, GradientsOfParametersAdd) {
  typedef typename TypeParam::Dtype Dtype;
  for (const char* const param : {kPspNet, kSegNet}) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom({2, 3, 4, 5});
    auto layer = this->forward(bn(param));
    std::fill_n(this->top[0]->mutable_cpu_diff(), this->top[0]->count(), Dtype(0.5));
    layer->Backward(this->top, {false}, this->bottom);
    layer->Backward(this->top, {false}, this->bottom);
    this->expect_near(this->diff(*layer->blobs()[1]), {40, 40, 40});
  }
}

TYPED_TEST(BNLayerTest, AnotherBatchAndSize) {
  this->add_bottom({2, 3, 4, 5});
  for (const bool in_place : {false, true}) {
    this->top.clear();
    if (in_place) this->top = this->bottom;
    auto layer = this->forward(bn(kSegNet));
    for (const std::vector<int>& shape :
         std::vector<std::vector<int>>{{6, 3, 4, 5}, {1, 3, 4, 5}, {2, 3, 7, 1}}) {
      this->bottom[0]->Reshape(shape);
      this->fill_random(this->bottom[0], 5);
      const std::vector<double> x = this->data(*this->bottom[0]);
      layer->Forward(this->bottom, this->top);
      Reference rule(*this->bottom[0], *layer, 1e-9);
      rule.take_batch(x);
      this->expect_near(this->data(*this->top[0]), rule(x));
    }
  }
}

TYPED_TEST(BNLayerTest, AChannelOfOneValueGetsTheShift) {
  this->add_bottom({1, 2}, {5, -3});
  this->forward(bn("scale_filler { value: 2 } shift_filler { value: 7 }"));
  EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{7, 7}));
}

TYPED_TEST(BNLayerTest, WhoseItIs) {
  struct Case {
    const char* text;
    size_t blobs;
  };
  for (const Case& one : std::vector<Case>{
           {"dialect: 'pspnet'", 4},
           {"dialect: 'happynear'", 4},
           {"dialect: 'segnet'", 2},
           {"dialect: 'enet'", 2},
           {"dialect: 'deconvnet' param { } param { } param { } param { }", 2},
           {"dialect: 'sophgo' bn_param { eps: 0.1 }", 4},
           {"dialect: 'pspnet' bn_param { bn_mode: LEARN }", 4},
           {"bn_param { frozen: true }", 4},
           {"bn_param { momentum: 0.9 }", 4},
           {"bn_param { bias_filler { } }", 4},
           {"bn_param { shift_filler { } }", 2},
           {"bn_param { bn_mode: LEARN }", 2},
           {"param { } param { } param { } param { }", 4},
           {"param { } param { }", 2},
           {"blobs { shape { dim: 1 dim: 3 dim: 1 dim: 1 } data: 1 data: 1 data: 1 } "
            "blobs { num: 1 channels: 3 height: 1 width: 1 data: 1 data: 1 data: 1 }",
            2},
       }) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom({2, 3, 2, 2});
    auto layer = this->forward(std::string("type: 'BN' ") + one.text);
    ASSERT_EQ(layer->blobs().size(), one.blobs) << one.text;
    for (const auto& blob : layer->blobs()) {
      EXPECT_EQ(blob->shape(), (std::vector<int>{1, 3, 1, 1}));
    }
  }
}

TYPED_TEST(BNLayerTest, FieldsOfTheOtherForkHaveAWarning) {
  this->add_bottom({2, 3});
  LogLines log;
  this->forward("type: 'BN' dialect: 'segnet' bn_param { momentum: 0.9 }");
  EXPECT_TRUE(
      log.has("layer 'under_test' (BN): it is SegNet's BN by its dialect, segnet: "
              "slope_filler, bias_filler, momentum, eps and frozen of bn_param have no "
              "effect"));
  log.clear();
  this->forward("type: 'BN' dialect: 'pspnet' bn_param { shift_filler { } }");
  EXPECT_TRUE(
      log.has("layer 'under_test' (BN): it is PSPNet's BN by its dialect, pspnet: "
              "scale_filler, shift_filler and bn_mode of bn_param have no effect"));
  log.clear();
  this->forward("type: 'BN' dialect: 'segnet' bn_param { shift_filler { } }");
  for (const string& line : log.lines) EXPECT_EQ(line.find("no effect"), string::npos);
}

TYPED_TEST(BNLayerTest, SolversChangeNoAveragesAndNothingFrozen) {
  this->add_bottom({2, 3});
  for (const bool frozen : {false, true}) {
    auto layer = this->forward(
        "type: 'BN' param { lr_mult: 3 decay_mult: 2 } param { lr_mult: 4 } param { lr_mult: 5 } " +
        std::string(frozen ? "bn_param { frozen: true }" : "bn_param { frozen: false }"));
    ASSERT_EQ(layer->layer_param().param_size(), 4);
    const auto& params = layer->layer_param().param();
    EXPECT_EQ(params[0].lr_mult(), frozen ? 0 : 3);
    EXPECT_EQ(params[0].decay_mult(), frozen ? 0 : 2);
    EXPECT_EQ(params[1].lr_mult(), frozen ? 0 : 4);
    for (int i : {2, 3}) {
      EXPECT_EQ(params[i].lr_mult(), 0);
      EXPECT_EQ(params[i].decay_mult(), 0);
    }
  }
}

TYPED_TEST(BNLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_top();
  const auto error = [&](const std::string& text) {
    return error_of([&] { this->make("type: 'BN' " + text)->SetUp(this->bottom, this->top); });
  };
  EXPECT_EQ(error(""),
            "layer 'under_test' (BN): nothing in it tells whether it is PSPNet's BN, with four "
            "blobs, or SegNet's, with two: write dialect: \"pspnet\" or \"segnet\" in the layer");
  EXPECT_PRED2(contains, error("bn_param { eps: 1 bn_mode: LEARN }"), "has fields of PSPNet's BN");
  this->add_top();
  EXPECT_PRED2(contains, error("dialect: 'pspnet'"), "remove the tops behind the first");
  EXPECT_PRED2(contains, error("bn_param { bn_mode: INFERENCE }"),
               "remove the tops behind the first");
  this->top.resize(1);
  auto layer = this->make(bn(kSegNet));
  layer->SetUp(this->bottom, this->top);
  this->bottom[0]->Reshape({2, 4});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "was made for 3 channels");
  this->bottom[0]->Reshape(std::vector<int>{0, 3});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "an empty batch has no mean");
  this->bottom[0]->Reshape(std::vector<int>{3});
  EXPECT_PRED2(contains, error("dialect: 'segnet'"), "the bottom needs a channel axis");
}

}  // namespace caffe
