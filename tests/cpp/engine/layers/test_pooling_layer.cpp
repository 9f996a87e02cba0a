#include <cfloat>
#include <limits>

#include "layers/layer_test.hpp"

namespace caffe {

/// One pooling along both axes, by its definition.
struct PoolingReference {
  int height, width, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, out_h, out_w;

  /// f(window, index in the plane) for each value of each window of a plane.
  template <typename F>
  void each(const F& f) const {
    for (int w = 0; w < out_h * out_w; ++w) {
      for (int ky = 0; ky < kernel_h; ++ky) {
        for (int kx = 0; kx < kernel_w; ++kx) {
          const int y = w / out_w * stride_h - pad_h + ky, x = w % out_w * stride_w - pad_w + kx;
          if (y >= 0 && y < height && x >= 0 && x < width) f(w, y * width + x);
        }
      }
    }
  }
  /// The positions of a window that are in the plane or its padding.
  int area(int w) const {
    int n = 0;
    for (int ky = 0; ky < kernel_h; ++ky) {
      for (int kx = 0; kx < kernel_w; ++kx) {
        n += w / out_w * stride_h - pad_h + ky < height + pad_h &&
             w % out_w * stride_w - pad_w + kx < width + pad_w;
      }
    }
    return n;
  }
};

template <typename TypeParam>
class PoolingLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef std::vector<double> Values;
  static std::string layer_text(const std::string& param) {
    return "type: 'Pooling' pooling_param { engine: CAFFE " + param + " }";
  }
  void start(const PoolingReference& r, const std::string& param) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom({2, 3, r.height, r.width});
    this->forward(layer_text(param));
    ASSERT_EQ(this->top[0]->shape(), (std::vector<int>{2, 3, r.out_h, r.out_w})) << param;
  }
  void expect_max_and_mean(const std::string& param, const PoolingReference& r) {
    SCOPED_TRACE(param);
    const int planes = 6, in = r.height * r.width, out = r.out_h * r.out_w;
    start(r, param + " pool: MAX");
    const Values x = this->data(*this->bottom[0]);
    Values largest(planes * out, -DBL_MAX), mean(planes * out, 0);
    for (int p = 0; p < planes; ++p) {
      r.each([&](int w, int i) {
        largest[p * out + w] = std::max(largest[p * out + w], x[p * in + i]);
        mean[p * out + w] += x[p * in + i] / r.area(w);
      });
    }
    this->expect_near(this->data(*this->top[0]), largest);
    start(r, param + " pool: AVE");
    this->expect_near(this->data(*this->top[0]), mean);
  }
  /// Values whose order does not change in central differences.
  void spread(Blob<typename TypeParam::Dtype>* blob) {
    std::vector<int> order(blob->count());
    for (int i = 0; i < blob->count(); ++i) order[i] = i;
    std::mt19937 random(5);
    std::shuffle(order.begin(), order.end(), random);
    for (int i = 0; i < blob->count(); ++i) {
      blob->mutable_cpu_data()[i] = typename TypeParam::Dtype(0.1 * (order[i] + 1));
    }
  }
};
TYPED_TEST_SUITE(PoolingLayerTest, DtypesAndDevices);

TYPED_TEST(PoolingLayerTest, MaxAndMean) {
  this->expect_max_and_mean("kernel_size: 3 stride: 2", {7, 7, 3, 3, 2, 2, 0, 0, 3, 3});
  this->expect_max_and_mean("kernel_size: 3 stride: 2", {8, 6, 3, 3, 2, 2, 0, 0, 4, 3});
  this->expect_max_and_mean("kernel_size: 3 stride: 2 round_mode: FLOOR",
                            {8, 6, 3, 3, 2, 2, 0, 0, 3, 2});
  this->expect_max_and_mean("kernel_size: 3 pad: 1", {5, 6, 3, 3, 1, 1, 1, 1, 5, 6});
  this->expect_max_and_mean("kernel_size: 3 stride: 2 pad: 1", {6, 5, 3, 3, 2, 2, 1, 1, 4, 3});
  this->expect_max_and_mean("kernel_size: 3 stride: 2 pad: 2", {5, 5, 3, 3, 2, 2, 2, 2, 4, 4});
  this->expect_max_and_mean("kernel_h: 2 kernel_w: 5 stride_h: 3 stride_w: 1 pad_h: 0 pad_w: 3",
                            {5, 4, 2, 5, 3, 1, 0, 3, 2, 6});
  this->expect_max_and_mean("global_pooling: true", {4, 5, 4, 5, 1, 1, 0, 0, 1, 1});
}

TYPED_TEST(PoolingLayerTest, RowsWiderThanAPiece) {
  this->expect_max_and_mean("kernel_size: 2", {2, 150, 2, 2, 1, 1, 0, 0, 1, 149});
  this->expect_max_and_mean("kernel_size: 3 stride: 2 pad: 1", {3, 261, 3, 3, 2, 2, 1, 1, 2, 131});
}

TYPED_TEST(PoolingLayerTest, LastWindowBeyondThePaddingIsLeftOut) {
  this->expect_max_and_mean("kernel_size: 2 stride: 2 pad: 1", {3, 4, 2, 2, 2, 2, 1, 1, 2, 3});
  this->expect_max_and_mean("kernel_size: 2 stride: 3 pad: 1", {6, 5, 2, 2, 3, 3, 1, 1, 3, 2});
  // The other axis' padding counts as well.
  this->expect_max_and_mean("kernel_h: 2 kernel_w: 5 stride_h: 3 stride_w: 1 pad_h: 0 pad_w: 3",
                            {6, 4, 2, 5, 3, 1, 0, 3, 2, 6});
}

TYPED_TEST(PoolingLayerTest, Mask) {
  this->add_bottom({1, 1, 3, 4}, {1, 2, 2, 1, 7, 3, 9, 8, 0, 7, 9, 1});
  this->add_top();
  this->add_top();
  this->forward(this->layer_text("kernel_size: 2"));
  this->expect_near(this->data(*this->top[0]), {7, 9, 9, 7, 9, 9});
  this->expect_near(this->data(*this->top[1]), {4, 6, 6, 4, 6, 6});  // the first of equal ones
}

TYPED_TEST(PoolingLayerTest, WindowsOutsideThePlane) {
  this->add_bottom({1, 1, 1, 3}, {1, 2, 3});
  this->add_top();
  this->add_top();
  auto layer = this->forward(this->layer_text("kernel_h: 1 kernel_w: 1 stride: 3"));
  ASSERT_EQ(this->top[0]->count(), 2);
  EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{1, -FLT_MAX}));
  EXPECT_EQ(this->data(*this->top[1]), (std::vector<double>{0, -1}));
  std::fill_n(this->top[0]->mutable_cpu_diff(), 2, typename TypeParam::Dtype(5));
  layer->Backward(this->top, {true}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[0]), (std::vector<double>{5, 0, 0}));
  this->top.pop_back();
  layer = this->forward(this->layer_text("kernel_size: 1 stride: 3 pool: AVE"));
  EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{1, 0}));
}

TYPED_TEST(PoolingLayerTest, NaNAndInfinity) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  this->add_bottom({1, 1, 1, 8}, {nan, nan, nan, 2, -inf, -inf, 3, nan});
  this->add_top();
  this->add_top();
  auto layer = this->forward(this->layer_text("kernel_h: 1 kernel_w: 2 stride_h: 1 stride_w: 2"));
  EXPECT_TRUE(std::isnan(this->data(*this->top[0])[0]));
  EXPECT_EQ(this->data(*this->top[0])[1], 2);
  EXPECT_EQ(this->data(*this->top[0])[2], -inf);
  EXPECT_EQ(this->data(*this->top[0])[3], 3);
  EXPECT_EQ(this->data(*this->top[1]), (std::vector<double>{0, 3, 4, 6}));
  std::fill_n(this->top[0]->mutable_cpu_diff(), 4, typename TypeParam::Dtype(1));
  layer->Backward(this->top, {true}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[0]), (std::vector<double>{1, 0, 0, 1, 1, 0, 1, 0}));
}

TYPED_TEST(PoolingLayerTest, Gradient) {
  this->add_bottom({1, 2, 6, 5});
  this->spread(this->bottom[0]);
  for (const std::string pool : {"MAX", "AVE"}) {
    this->check_gradient(this->layer_text("kernel_size: 3 stride: 2 pad: 1 pool: " + pool));
    this->check_gradient(this->layer_text("kernel_h: 2 kernel_w: 3 pool: " + pool));
    this->check_gradient(this->layer_text("global_pooling: true pool: " + pool));
  }
}

TYPED_TEST(PoolingLayerTest, StochasticMeansWhileTesting) {
  this->add_bottom({1, 1, 2, 4}, {1, 3, 0, 0, 0, 4, 0, 0});
  this->forward(this->layer_text("pool: STOCHASTIC kernel_size: 2 stride: 2"), TEST);
  this->expect_near(this->data(*this->top[0]), {26 / 8., 0});
}

TYPED_TEST(PoolingLayerTest, StochasticDrawsInProportion) {
  const int windows = 20000;
  std::vector<double> values;
  for (int i = 0; i < windows; ++i) values.insert(values.end(), {1, 0, 3});
  this->add_bottom({1, windows, 1, 3}, values);
  auto layer = this->forward(this->layer_text("pool: STOCHASTIC kernel_h: 1 kernel_w: 3"));
  const auto y = this->data(*this->top[0]);
  const double threes = std::count(y.begin(), y.end(), 3.),
               ones = std::count(y.begin(), y.end(), 1.);
  EXPECT_EQ(threes + ones, windows);
  EXPECT_NEAR(threes / windows, 0.75, 0.015);  // 5 standard deviations
  std::fill_n(this->top[0]->mutable_cpu_diff(), windows, typename TypeParam::Dtype(2));
  layer->Backward(this->top, {true}, this->bottom);
  const auto dx = this->diff(*this->bottom[0]);
  for (int i = 0; i < windows; ++i) {
    ASSERT_EQ(dx[3 * i], y[i] == 1 ? 2 : 0) << i;
    ASSERT_EQ(dx[3 * i + 1], 0) << i;
    ASSERT_EQ(dx[3 * i + 2], y[i] == 3 ? 2 : 0) << i;
  }
  layer->Forward(this->bottom, this->top);
  EXPECT_NE(this->data(*this->top[0]), y);
  Caffe::set_random_seed(1701);
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->data(*this->top[0]), y);
}

TYPED_TEST(PoolingLayerTest, StochasticStaysInsideWhateverTheValues) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  this->add_bottom({1, 1, 1, 6}, {0, 0, nan, 1, -1, 0.5});
  auto layer =
      this->forward(this->layer_text("pool: STOCHASTIC kernel_h: 1 kernel_w: 2 stride: 2"));
  std::fill_n(this->top[0]->mutable_cpu_diff(), 3, typename TypeParam::Dtype(1));
  layer->Backward(this->top, {true}, this->bottom);
  const auto dx = this->diff(*this->bottom[0]);
  EXPECT_EQ(std::count(dx.begin(), dx.end(), 1.), 3);
  EXPECT_EQ(this->data(*this->top[0])[0], 0);
}

/// Rounded up, a window may be larger than the plane by less than a stride.
TYPED_TEST(PoolingLayerTest, AWindowLargerThanThePlane) {
  typedef std::vector<double> Values;
  this->add_bottom({1, 1, 2, 3}, {1, 2, 3, 4, 5, 9});
  this->forward(this->layer_text("kernel_size: 4 stride: 3"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 1, 1, 1}));
  EXPECT_EQ(this->data(*this->top[0]), Values({9}));
  this->top.clear();
  this->forward(this->layer_text("kernel_h: 4 kernel_w: 2 stride_h: 3 stride_w: 1 pool: AVE"));
  EXPECT_EQ(this->data(*this->top[0]), Values({3, 4.75}));
  this->top.clear();
  EXPECT_ERROR(this->forward(this->layer_text("kernel_size: 4 stride: 3 round_mode: FLOOR")),
               "larger than the bottom");
  this->top.clear();
  EXPECT_ERROR(this->forward(this->layer_text("kernel_size: 5 stride: 3")),
               "kernel_size 5 is larger than the bottom, 2");
}

TYPED_TEST(PoolingLayerTest, Errors) {
  this->add_bottom({1, 1, 4, 4});
  this->add_top();
  const auto set_up = [this](const std::string& param) {
    return error_of([&] { this->make(this->layer_text(param))->SetUp(this->bottom, this->top); });
  };
  EXPECT_PRED2(contains, set_up(""), "'under_test' (Pooling): kernel_size is missing");
  EXPECT_PRED2(contains, set_up("kernel_size: 2 kernel_h: 2 kernel_w: 2"), "not both");
  EXPECT_PRED2(contains, set_up("kernel_h: 2"), "_h and _w both");
  EXPECT_PRED2(contains, set_up("kernel_size: 0"), "must not be 0");
  EXPECT_PRED2(contains, set_up("kernel_size: 2 stride: 0"), "stride must not be 0");
  EXPECT_PRED2(contains, set_up("kernel_size: 2 pad: 2"), "must be less than kernel_size");
  EXPECT_PRED2(contains, set_up("kernel_size: 2 pad: 1 pool: STOCHASTIC"), "MAX and AVE only");
  EXPECT_PRED2(contains, set_up("kernel_size: 2 global_pooling: true"), "takes no kernel_size");
  EXPECT_PRED2(contains, set_up("stride: 2 global_pooling: true"), "takes no pad and no stride");
  EXPECT_PRED2(contains, set_up("kernel_size: 5"), "larger than the bottom");
  this->add_top();
  EXPECT_PRED2(contains, set_up("kernel_size: 2 pool: AVE"), "at most 1 top");
  this->top = {this->bottom[0]};
  EXPECT_PRED2(contains, set_up("kernel_size: 1"), "in place");
  this->bottom[0]->Reshape({1, 4, 4});
  this->top.clear();
  this->add_top();
  EXPECT_PRED2(contains, set_up("kernel_size: 2"), "num x channels x height x width");
}

}  // namespace caffe
