#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class PermuteLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(PermuteLayerTest, DtypesAndDevices);

namespace {

std::string text_of(const std::vector<int>& order) {
  std::string text = "type: 'Permute' permute_param {";
  for (const int axis : order) text += " order: " + std::to_string(axis);
  return text + " }";
}

/// numpy's transpose: `full` names every axis.
std::vector<double> transposed(const std::vector<double>& x, const std::vector<int>& shape,
                               const std::vector<int>& full) {
  std::vector<double> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    std::vector<int> index(shape.size());
    int rest = static_cast<int>(i);
    for (size_t k = shape.size(); k-- > 0;) {
      index[k] = rest % shape[k];
      rest /= shape[k];
    }
    int at = 0;
    for (const int axis : full) at = at * shape[axis] + index[axis];
    y[at] = x[i];
  }
  return y;
}

struct Case {
  std::vector<int> shape, order, full;
};

const std::vector<Case> kCases = {{{2, 3, 4, 5}, {0, 2, 3, 1}, {0, 2, 3, 1}},  // SSD's
                                  {{2, 3, 4, 5}, {0, 3, 1, 2}, {0, 3, 1, 2}},  // and its inverse
                                  {{2, 3, 4, 5}, {3, 2, 1, 0}, {3, 2, 1, 0}},
                                  {{2, 3, 4, 5}, {1}, {1, 0, 2, 3}},  // the rest follows
                                  {{2, 3, 4, 5}, {2, 0}, {2, 0, 1, 3}},
                                  {{1, 3, 1, 5}, {0, 2, 3, 1}, {0, 2, 3, 1}},
                                  {{3, 4}, {1, 0}, {1, 0}},
                                  {{2, 3, 2, 2, 3, 2}, {5, 1, 4}, {5, 1, 4, 0, 2, 3}}};

}  // namespace

TYPED_TEST(PermuteLayerTest, ValuesByHand) {
  this->add_bottom({1, 2, 3}, {0, 1, 2, 3, 4, 5});
  this->forward(text_of({0, 2, 1}));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 3, 2}));
  this->expect_near(this->data(*this->top[0]), {0, 3, 1, 4, 2, 5});
}

TYPED_TEST(PermuteLayerTest, IsATranspose) {
  for (const Case& one : kCases) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom(one.shape);
    this->forward(text_of(one.order));
    std::vector<int> shape;
    for (const int axis : one.full) shape.push_back(one.shape[axis]);
    EXPECT_EQ(this->top[0]->shape(), shape);
    EXPECT_EQ(this->data(*this->top[0]),
              transposed(this->data(*this->bottom[0]), one.shape, one.full));
  }
}

TYPED_TEST(PermuteLayerTest, SharesMemoryIfNoAxisMoves) {
  this->add_bottom({2, 3, 4});
  for (const std::vector<int>& order : {std::vector<int>{}, {0}, {0, 1, 2}}) {
    this->top.clear();
    auto layer = this->forward(text_of(order));
    EXPECT_EQ(this->data(*this->top[0]), this->data(*this->bottom[0]));
    EXPECT_EQ(this->top[0]->cpu_data(), this->bottom[0]->cpu_data());
    EXPECT_EQ(this->top[0]->cpu_diff(), this->bottom[0]->cpu_diff());
    layer->Backward(this->top, {true}, this->bottom);
  }
}

TYPED_TEST(PermuteLayerTest, Reshapes) {
  this->add_bottom({2, 3, 4});
  auto layer = this->forward(text_of({2, 0}));
  for (const int items : {5, 1, 0}) {
    this->bottom[0]->Reshape({items, 3, 2});
    this->fill_random(this->bottom[0], items);
    layer->Reshape(this->bottom, this->top);
    layer->Forward(this->bottom, this->top);
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, items, 3}));
    EXPECT_EQ(this->data(*this->top[0]),
              transposed(this->data(*this->bottom[0]), {items, 3, 2}, {2, 0, 1}));
  }
}

TYPED_TEST(PermuteLayerTest, Gradient) {
  for (const Case& one : kCases) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom(one.shape);
    this->check_gradient(text_of(one.order));
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(PermuteLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_top();
  const auto set_up = [&](const std::vector<int>& order) {
    this->make(text_of(order))->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up({0, 2}), "'under_test' (Permute): order names axis 2, and the bottom has 2");
  EXPECT_ERROR(set_up({1, 1}), "order names axis 1 twice");
  this->top = this->bottom;
  EXPECT_ERROR(set_up({1, 0}), "in place");
}

}  // namespace caffe
