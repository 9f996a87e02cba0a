#include <limits>

#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ArgMaxLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(ArgMaxLayerTest, DtypesAndDevices);

namespace {

std::string argmax(const std::string& param) {
  return "type: 'ArgMax' argmax_param { " + param + " }";
}

}  // namespace

TYPED_TEST(ArgMaxLayerTest, OfEachItem) {
  this->add_bottom({2, 4}, {1, 3, 3, 2, 0, -1, 5, 5});
  this->forward("type: 'ArgMax'");
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 1, 1}));
  this->expect_near(this->data(*this->top[0]), {2, 3});  // the last of equal ones
  this->forward(argmax("top_k: 4"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 1, 4}));
  this->expect_near(this->data(*this->top[0]), {2, 1, 3, 0, 3, 2, 0, 1});
  this->forward(argmax("top_k: 2 out_max_val: true"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 2, 2}));
  this->expect_near(this->data(*this->top[0]), {2, 1, 3, 3, 3, 2, 5, 5});
}

TYPED_TEST(ArgMaxLayerTest, AlongAnAxis) {
  this->add_bottom({2, 3, 2}, {1, 2, 7, 0, 3, 4, 9, 5, 8, 6, 0, 7});
  this->forward(argmax("axis: 1"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 1, 2}));
  this->expect_near(this->data(*this->top[0]), {1, 2, 0, 2});
  this->forward(argmax("axis: 1 top_k: 2"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 2, 2}));
  this->expect_near(this->data(*this->top[0]), {1, 2, 2, 0, 0, 2, 1, 1});
  this->forward(argmax("axis: -2 top_k: 2 out_max_val: true"));
  this->expect_near(this->data(*this->top[0]), {7, 4, 3, 2, 9, 7, 8, 6});
  this->forward(argmax("axis: 0"));
  this->expect_near(this->data(*this->top[0]), {1, 1, 1, 1, 0, 1});
  this->forward(argmax("axis: -1"));
  this->expect_near(this->data(*this->top[0]), {1, 0, 1, 0, 0, 1});
}

// Against a sort of pairs, with many equal values.
TYPED_TEST(ArgMaxLayerTest, IsAPartOfTheOrder) {
  auto* x = this->add_bottom({3, 50});
  for (int i = 0; i < x->count(); ++i) x->mutable_cpu_data()[i] = std::round(x->cpu_data()[i] * 5);
  this->forward(argmax("top_k: 20"));
  for (int n = 0; n < 3; ++n) {
    std::vector<std::pair<double, int>> order;
    for (int i = 0; i < 50; ++i) order.push_back({x->cpu_data()[n * 50 + i], i});
    std::sort(order.rbegin(), order.rend());
    for (int k = 0; k < 20; ++k) {
      ASSERT_EQ(this->top[0]->cpu_data()[n * 20 + k], order[k].second) << n << " " << k;
    }
  }
}

// Rows for a warp and for a block of a GPU, with equal values, NaN, and rows of one value.
TYPED_TEST(ArgMaxLayerTest, OfManyValues) {
  typedef typename TypeParam::Dtype Dtype;
  const Dtype nan = std::numeric_limits<Dtype>::quiet_NaN();
  const Dtype infinity = std::numeric_limits<Dtype>::infinity();
  auto* x = this->add_bottom({1});
  for (const int length : {33, 1000, 1100}) {
    const int rows = 13;
    x->Reshape({rows, length});
    this->fill_random(x, length);
    Dtype* const values = x->mutable_cpu_data();
    for (int i = 0; i < x->count(); ++i) values[i] = std::round(values[i] * 5);
    values[5] = values[20] = nan;                              // row 0
    std::fill_n(values + length, length, -infinity);           // row 1
    std::fill_n(values + 2 * length, length, nan);             // row 2
    values[3 * length] = infinity;                             // the first of row 3
    values[4 * length + length - 1] = infinity;                // the last of row 4
    std::fill_n(values + 5 * length, length - 1, Dtype(-0.));  // row 5: -0 = 0
    values[6 * length + 7] = nan;
    values[6 * length + 8] = infinity;
    for (const int k : {1, 25}) {
      const std::string param = "top_k: " + std::to_string(k) + " out_max_val: true";
      this->forward(argmax(param));
      for (int n = 0; n < rows; ++n) {
        std::vector<int> order(length);
        for (int i = 0; i < length; ++i) order[i] = i;
        std::sort(order.begin(), order.end(), [&](int a, int b) {
          const Dtype va = values[n * length + a], vb = values[n * length + b];
          if (std::isnan(va) != std::isnan(vb)) return std::isnan(va);
          return std::isnan(va) || va == vb ? a > b : va > vb;
        });
        const Dtype* const found = this->top[0]->cpu_data() + 2 * n * k;
        for (int r = 0; r < k; ++r) {
          ASSERT_EQ(found[r], order[r]) << length << " values, row " << n << ", rank " << r;
          const Dtype value = values[n * length + order[r]];
          ASSERT_TRUE(found[k + r] == value || (std::isnan(found[k + r]) && std::isnan(value)));
        }
      }
    }
  }
}

// With more neighbouring rows than are processed at once.
TYPED_TEST(ArgMaxLayerTest, AlongAnAxisOfManyRows) {
  const int outer = 2, length = 5, inner = 150;
  auto* x = this->add_bottom({outer, length, inner});
  for (int i = 0; i < x->count(); ++i) x->mutable_cpu_data()[i] = std::round(x->cpu_data()[i] * 2);
  x->mutable_cpu_data()[3 * inner + 70] = std::nan("");
  for (const char* more : {"", "out_max_val: true"}) {
    this->forward(argmax(std::string("axis: 1 ") + more));
    for (int o = 0; o < outer; ++o) {
      for (int i = 0; i < inner; ++i) {
        int best = 0;
        const auto at = [&](int k) { return x->cpu_data()[(o * length + k) * inner + i]; };
        for (int k = 1; k < length; ++k) {
          if (at(k) >= at(best) || std::isnan(at(k))) best = k;
        }
        const double found = this->top[0]->cpu_data()[o * inner + i];
        if (*more == 0) {
          ASSERT_EQ(found, best) << o << " " << i;
        } else {
          ASSERT_TRUE(found == at(best) || (std::isnan(found) && std::isnan(at(best))));
        }
      }
    }
  }
}

TYPED_TEST(ArgMaxLayerTest, NaNCountsAsTheLargest) {
  const double nan = std::nan("");
  this->add_bottom({1, 4}, {1, nan, 3, nan});
  this->forward(argmax("top_k: 4"));
  this->expect_near(this->data(*this->top[0]), {3, 1, 2, 0});
}

TYPED_TEST(ArgMaxLayerTest, ShapesOfMoreAxes) {
  this->add_bottom({2, 3, 4, 5});
  this->forward(argmax("top_k: 7 out_max_val: true"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 2, 7, 1}));
}

TYPED_TEST(ArgMaxLayerTest, Errors) {
  this->add_bottom({2, 3, 4});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make(argmax(param))->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up("top_k: 0"), "'under_test' (ArgMax): top_k is 0, out of 12 values");
  EXPECT_ERROR(set_up("top_k: 13"), "top_k is 13, out of 12 values");
  EXPECT_ERROR(set_up("axis: 1 top_k: 4"), "top_k is 4, out of 3 values");
  EXPECT_ERROR(set_up("axis: 3"), "axis is 3");
  auto layer = this->forward("type: 'ArgMax'");
  EXPECT_ERROR(layer->Backward(this->top, {true}, this->bottom), "indices have no gradient");
  EXPECT_FALSE(layer->AllowForceBackward(0));
  this->top = this->bottom;
  EXPECT_ERROR(set_up(""), "cannot work in place");
}

}  // namespace caffe
