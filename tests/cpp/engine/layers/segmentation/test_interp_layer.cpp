#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class InterpLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(InterpLayerTest, DtypesAndDevices);

namespace {

/// The rule in double, with the place as a fraction: x [planes, height, width] without `low` rows
/// and columns at the beginning and `high` at the end, made rows x columns.
struct Reference {
  int planes, height, width, low, high, rows, columns;

  static double place(int i, int from, int to) { return to > 1 ? i * (from - 1.) / (to - 1.) : 0; }
  /// The weight of row or column k in value i.
  static double share(int i, int k, int from, int to) {
    return std::max(0., 1 - std::abs(place(i, from, to) - k));
  }
  std::vector<double> operator()(const std::vector<double>& x) const {
    const int inner_height = height - low - high, inner_width = width - low - high;
    std::vector<double> y;
    for (int p = 0; p < planes; ++p) {
      for (int r = 0; r < rows; ++r) {
        for (int c = 0; c < columns; ++c) {
          double sum = 0;
          for (int h = 0; h < inner_height; ++h) {
            for (int w = 0; w < inner_width; ++w) {
              sum += share(r, h, inner_height, rows) * share(c, w, inner_width, columns) *
                     x[(p * height + h + low) * width + w + low];
            }
          }
          y.push_back(sum);
        }
      }
    }
    return y;
  }
};

std::string interp(const std::string& param) {
  return "type: 'Interp' interp_param { " + param + " }";
}

}  // namespace

TYPED_TEST(InterpLayerTest, AlignsTheCorners) {
  this->add_bottom({1, 1, 2, 3}, {0, 1, 2, 10, 11, 12});
  this->forward(interp("height: 3 width: 5"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 1, 3, 5}));
  this->expect_near(this->data(*this->top[0]),
                    {0, 0.5, 1, 1.5, 2, 5, 5.5, 6, 6.5, 7, 10, 10.5, 11, 11.5, 12});
}

TYPED_TEST(InterpLayerTest, SizesFollowTheGivenFields) {
  struct Case {
    const char* param;
    std::vector<int> wanted;
  };
  for (const Case& one : std::vector<Case>{
           {"zoom_factor: 8", {49, 65}},
           {"shrink_factor: 2", {4, 5}},
           {"shrink_factor: 4", {2, 3}},
           {"height: 5 width: 3", {5, 3}},
           {"shrink_factor: 3 zoom_factor: 2", {5, 5}},
           {"zoom_factor: 2 height: 5 width: 3", {13, 17}},
           {"shrink_factor: 2 height: 5 width: 3", {4, 5}},
           {"shrink_factor: 2 zoom_factor: 2 height: 5 width: 3", {5, 3}},
           {"zoom_factor: 2 pad_beg: -1", {11, 15}},
           {"shrink_factor: 2 pad_beg: -2 pad_end: -1", {2, 3}},
           {"zoom_factor: 1", {7, 9}},
       }) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom({2, 3, 7, 9});
    this->forward(interp(one.param));
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 3, one.wanted[0], one.wanted[1]}))
        << one.param;
  }
}

TYPED_TEST(InterpLayerTest, IsTheRule) {
  struct Case {
    const char* param;
    int low, high, rows, columns;
  };
  for (const Case& one : std::vector<Case>{{"height: 11 width: 4", 0, 0, 11, 4},
                                           {"height: 1 width: 1", 0, 0, 1, 1},
                                           {"height: 1 width: 9", 0, 0, 1, 9},
                                           {"zoom_factor: 3", 0, 0, 16, 19},
                                           {"shrink_factor: 2", 0, 0, 3, 4},
                                           {"height: 6 width: 7", 0, 0, 6, 7},
                                           {"height: 9 width: 13 pad_beg: -1", 1, 0, 9, 13},
                                           {"zoom_factor: 2 pad_beg: -1 pad_end: -2", 1, 2, 5, 7},
                                           {"height: 50 width: 2", 0, 0, 50, 2}}) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom({2, 3, 6, 7});
    this->forward(interp(one.param));
    const Reference rule = {6, 6, 7, one.low, one.high, one.rows, one.columns};
    this->expect_near(this->data(*this->top[0]), rule(this->data(*this->bottom[0])));
    if (this->HasFatalFailure()) FAIL() << one.param;
  }
}

TYPED_TEST(InterpLayerTest, AOneByOneMapFillsAny) {
  this->add_bottom({1, 2, 1, 1}, {3, -5});
  this->forward(interp("height: 2 width: 2"));
  EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{3, 3, 3, 3, -5, -5, -5, -5}));
}

TYPED_TEST(InterpLayerTest, TheSameSizeIsACopy) {
  this->add_bottom({1, 2, 5, 4});
  this->forward(interp("zoom_factor: 1"));
  EXPECT_EQ(this->data(*this->top[0]), this->data(*this->bottom[0]));
}

TYPED_TEST(InterpLayerTest, ASecondBottomGivesTheSize) {
  this->add_bottom({2, 1, 3, 4});
  this->add_bottom({1, 5, 7, 2});
  auto layer = this->forward("type: 'Interp'");
  const Reference rule = {2, 3, 4, 0, 0, 7, 2};
  this->expect_near(this->data(*this->top[0]), rule(this->data(*this->bottom[0])));
  EXPECT_FALSE(layer->AllowForceBackward(1));
  std::fill_n(this->bottom[1]->mutable_cpu_diff(), this->bottom[1]->count(), 7);
  layer->Backward(this->top, {true, true}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[1]), std::vector<double>(70, 0));
}

TYPED_TEST(InterpLayerTest, AnotherBatchAndSize) {
  this->add_bottom({2, 3, 6, 7});
  auto layer = this->forward(interp("zoom_factor: 3"));
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{5, 3, 6, 7}, {1, 3, 6, 7}, {1, 3, 4, 9}, {0, 3, 4, 9}}) {
    this->bottom[0]->Reshape(shape);
    this->fill_random(this->bottom[0], 7);
    layer->Forward(this->bottom, this->top);
    const Reference rule = {shape[0] * 3,     shape[2],        shape[3], 0, 0,
                            shape[2] * 3 - 2, shape[3] * 3 - 2};
    this->expect_near(this->data(*this->top[0]), rule(this->data(*this->bottom[0])));
  }
}

/// The place of a value is exact: row 471 of 473 made of 60 is 471 * 59 / 472 rows down, not what
/// multiples of a rounded quotient give.
TYPED_TEST(InterpLayerTest, PlacesAreExactOnLongAxes) {
  auto* x = this->add_bottom({1, 1, 60, 1});
  for (int i = 0; i < 60; ++i) x->mutable_cpu_data()[i] = i;
  this->forward(interp("height: 6001 width: 1"));
  for (int i = 0; i <= 6000; ++i) {
    ASSERT_NEAR(this->top[0]->cpu_data()[i], i * 59. / 6000,
                sizeof(typename TypeParam::Dtype) == 4 ? 8e-6 : 1e-13);
  }
}

TYPED_TEST(InterpLayerTest, Gradient) {
  for (const char* const param :
       {"height: 5 width: 9", "shrink_factor: 3", "zoom_factor: 2 pad_beg: -1 pad_end: -1",
        "height: 1 width: 2", "height: 4 width: 5"}) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom({2, 2, 4, 5});
    this->check_gradient(interp(param));
    if (this->HasFatalFailure()) FAIL() << param;
  }
}

TYPED_TEST(InterpLayerTest, Errors) {
  this->add_bottom({1, 1, 4, 5});
  this->add_top();
  const auto error = [&](const std::string& param) {
    return error_of([&] { this->make(interp(param))->SetUp(this->bottom, this->top); });
  };
  EXPECT_EQ(error(""),
            "layer 'under_test' (Interp): interp_param needs height and width, zoom_factor or "
            "shrink_factor");
  EXPECT_PRED2(contains, error("height: 4"), "needs height and width");
  EXPECT_PRED2(contains, error("zoom_factor: 2 pad_end: 1"), "must be at most 0");
  EXPECT_PRED2(contains, error("zoom_factor: 2 pad_beg: -4"), "leave nothing of the bottom");
  EXPECT_PRED2(contains, error("zoom_factor: 2 pad_beg: -2147483648 pad_end: -2147483648"),
               "leave nothing of the bottom");
  EXPECT_PRED2(contains, error("zoom_factor: 0"), "must be at least 1");
  EXPECT_PRED2(contains, error("shrink_factor: -2"), "must be at least 1");
  EXPECT_PRED2(contains, error("zoom_factor: 2000000000"), "too many");
  EXPECT_PRED2(contains, error("height: 4 width: 0"), "the top would be 0 columns wide");
  this->add_bottom({1, 1, 2, 2});
  EXPECT_PRED2(contains, error("zoom_factor: 2"), "remove one of them");
  this->bottom = {this->add_bottom({3, 4})};
  EXPECT_PRED2(contains, error("zoom_factor: 2"), "need four axes, N x C x H x W; one is 3 4");
  this->top = this->bottom = {this->add_bottom({1, 1, 2, 2})};
  EXPECT_PRED2(contains, error("zoom_factor: 2"), "cannot work in place");
}

}  // namespace caffe
