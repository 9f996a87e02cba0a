#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class AxpyLayerTest : public LayerTest<TypeParam> {
 protected:
  void add_bottoms(const std::vector<int>& a, const std::vector<int>& x) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom(a);
    this->add_bottom(x);
    this->add_bottom(x);
  }
};
TYPED_TEST_SUITE(AxpyLayerTest, DtypesAndDevices);

TYPED_TEST(AxpyLayerTest, ByHand) {
  this->add_bottom({1, 2}, {2, -1});
  this->add_bottom({1, 2, 1, 2}, {1, 2, 3, 4});
  this->add_bottom({1, 2, 1, 2}, {10, 20, 30, 40});
  this->forward("type: 'Axpy'");
  EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{12, 24, 27, 36}));
}

TYPED_TEST(AxpyLayerTest, ScalesEachChannelOfEachImage) {
  for (const bool in_place : {false, true}) {
    this->add_bottoms({2, 3, 1, 1}, {2, 3, 4, 5});
    if (in_place) this->top = {this->bottom[2]};
    std::vector<double> expected = this->data(*this->bottom[2]);
    for (size_t i = 0; i < expected.size(); ++i) {
      expected[i] += double(this->bottom[0]->cpu_data()[i / 20]) * this->bottom[1]->cpu_data()[i];
    }
    this->forward("type: 'Axpy'");
    this->expect_near(this->data(*this->top[0]), expected);
  }
}

TYPED_TEST(AxpyLayerTest, AnotherBatch) {
  this->add_bottoms({2, 3}, {2, 3, 4, 5});
  auto layer = this->forward("type: 'Axpy'");
  for (const int images : {6, 1, 0}) {
    this->bottom[0]->Reshape({images, 3});
    for (int b : {1, 2}) this->bottom[b]->Reshape({images, 3, 2, 2});
    for (int b : {0, 1, 2}) this->fill_random(this->bottom[b], b);
    layer->Forward(this->bottom, this->top);
    ASSERT_EQ(this->top[0]->shape(), this->bottom[1]->shape());
    std::vector<double> expected = this->data(*this->bottom[2]);
    for (size_t i = 0; i < expected.size(); ++i) {
      expected[i] += double(this->bottom[0]->cpu_data()[i / 4]) * this->bottom[1]->cpu_data()[i];
    }
    this->expect_near(this->data(*this->top[0]), expected);
  }
}

TYPED_TEST(AxpyLayerTest, Gradient) {
  GradientOptions options;
  options.bottoms = {0, 1, 2};
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{2, 3}, {2, 3, 4}, {2, 3, 5, 4}}) {
    for (const bool in_place : {false, true}) {
      this->add_bottoms({2, 3}, shape);
      if (in_place) this->top = {this->bottom[2]};
      this->check_gradient("type: 'Axpy'", options);
      if (this->HasFatalFailure()) return;
    }
  }
}

TYPED_TEST(AxpyLayerTest, GradientsOnlyWhereWanted) {
  this->add_bottoms({2, 3}, {2, 3, 4, 5});
  auto layer = this->forward("type: 'Axpy'");
  for (auto* blob : this->bottom) std::fill_n(blob->mutable_cpu_diff(), blob->count(), 7);
  std::fill_n(this->top[0]->mutable_cpu_diff(), 120, 1);
  layer->Backward(this->top, {true, false, false}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[1]), std::vector<double>(120, 7));
  EXPECT_EQ(this->diff(*this->bottom[2]), std::vector<double>(120, 7));
  EXPECT_NE(this->bottom[0]->cpu_diff()[0], 7);
}

TYPED_TEST(AxpyLayerTest, Errors) {
  const auto error = [&] {
    if (this->top.empty()) this->add_top();
    return error_of([&] { this->make("type: 'Axpy'")->SetUp(this->bottom, this->top); });
  };
  this->add_bottoms({2, 4}, {2, 3, 4, 5});
  EXPECT_PRED2(contains, error(),
               "'under_test' (Axpy): bottom 0 has shape 2 4 (8); it must have one value for each "
               "channel of bottom 1, 2 x 3 or 2 x 3 x 1 x 1");
  this->add_bottoms({2, 3, 2, 1}, {2, 3, 4, 5});
  EXPECT_PRED2(contains, error(), "one value for each channel");
  this->add_bottoms({2, 3}, {2, 3, 4, 5});
  this->bottom[2]->Reshape({2, 3, 5, 4});
  EXPECT_PRED2(contains, error(), "both must be N x C x ... of one shape");
  this->add_bottoms({2, 3}, {2, 3, 4, 5});
  this->top = {this->bottom[1]};
  EXPECT_PRED2(contains, error(), "in place of its third bottom only");
}

}  // namespace caffe
