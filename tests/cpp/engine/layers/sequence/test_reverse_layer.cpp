#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class ReverseLayerTest : public LayerTest<TypeParam> {
 protected:
  /// Compares the top with the reversed bottom, one index at a time.
  void expect_reversed(int axis) {
    const Blob<typename TypeParam::Dtype>& x = *this->bottom[0];
    const int length = x.shape(axis), inner = x.count(axis + 1);
    ASSERT_EQ(this->top[0]->shape(), x.shape());
    for (int o = 0; o < x.count(0, axis); ++o) {
      for (int k = 0; k < length * inner; ++k) {
        const int from = (length - 1 - k / inner) * inner + k % inner;
        ASSERT_EQ(this->top[0]->cpu_data()[o * length * inner + k],
                  x.cpu_data()[o * length * inner + from]);
      }
    }
  }
};
TYPED_TEST_SUITE(ReverseLayerTest, DtypesAndDevices);

TYPED_TEST(ReverseLayerTest, Values) {
  this->add_bottom({2, 3}, {1, 2, 3, 4, 5, 6});
  this->forward("type: 'Reverse'");
  this->expect_near(this->data(*this->top[0]), {4, 5, 6, 1, 2, 3});
  this->forward("type: 'Reverse' reverse_param { axis: -1 }");
  this->expect_near(this->data(*this->top[0]), {3, 2, 1, 6, 5, 4});
}

TYPED_TEST(ReverseLayerTest, EveryAxisAndBatch) {
  this->add_bottom({3, 2, 4, 5});
  for (int axis = 0; axis < 4; ++axis) {
    auto layer =
        this->forward("type: 'Reverse' reverse_param { axis: " + std::to_string(axis) + " }");
    this->expect_reversed(axis);
    for (const int batch : {7, 1, 3}) {
      this->bottom[0]->Reshape({batch, 2, 4, 5});
      this->fill_random(this->bottom[0], batch);
      layer->Forward(this->bottom, this->top);
      this->expect_reversed(axis);
    }
  }
}

TYPED_TEST(ReverseLayerTest, Gradient) {
  this->add_bottom({3, 2, 4});
  for (const char* axis : {"0", "1", "2"}) {
    this->check_gradient(std::string("type: 'Reverse' reverse_param { axis: ") + axis + " }");
  }
}

TYPED_TEST(ReverseLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make("type: 'Reverse' " + param)->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up("reverse_param { axis: 2 }"),
               "'under_test' (Reverse): axis is 2, and the bottom has 2 axes");
  this->top = {this->bottom[0]};
  EXPECT_ERROR(set_up(""), "cannot work in place");
}

template <typename TypeParam>
class ReverseTimeLayerTest : public LayerTest<TypeParam> {
 protected:
  /// 4 steps of 3 streams of one value, 10 t + n, with lengths of 4, 2 and 0 steps.
  void add_streams() {
    this->add_bottom({4, 3, 1}, {0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32});
    this->add_bottom({3}, {4, 2, 0});
  }
};
TYPED_TEST_SUITE(ReverseTimeLayerTest, DtypesAndDevices);

TYPED_TEST(ReverseTimeLayerTest, Values) {
  this->add_streams();
  auto layer = this->forward("type: 'ReverseTime' reverse_time_param { copy_remaining: true }");
  this->expect_near(this->data(*this->top[0]), {30, 11, 2, 20, 1, 12, 10, 21, 22, 0, 31, 32});
  this->forward("type: 'ReverseTime'");
  this->expect_near(this->data(*this->top[0]), {30, 11, 0, 20, 1, 0, 10, 0, 0, 0, 0, 0});
}

TYPED_TEST(ReverseTimeLayerTest, OtherBatches) {
  this->add_bottom({2, 1, 2}, {1, 2, 3, 4});
  this->add_bottom({1}, std::vector<double>{2});
  auto layer = this->forward("type: 'ReverseTime'");
  this->expect_near(this->data(*this->top[0]), {3, 4, 1, 2});
  this->bottom[0]->Reshape({3, 2, 1});
  this->bottom[1]->Reshape({2, 1, 1, 1});
  for (int i = 0; i < 6; ++i) this->bottom[0]->mutable_cpu_data()[i] = i;
  this->bottom[1]->mutable_cpu_data()[0] = 2;
  this->bottom[1]->mutable_cpu_data()[1] = 3;
  layer->Forward(this->bottom, this->top);
  this->expect_near(this->data(*this->top[0]), {2, 5, 0, 3, 0, 1});
}

TYPED_TEST(ReverseTimeLayerTest, Gradient) {
  this->add_bottom({4, 3, 2});
  this->add_bottom({3}, {4, 2, 0});
  this->check_gradient("type: 'ReverseTime'");
  this->check_gradient("type: 'ReverseTime' reverse_time_param { copy_remaining: true }");
}

TYPED_TEST(ReverseTimeLayerTest, LengthsHaveTheGradientZeroAndErrors) {
  this->add_streams();
  auto layer = this->forward("type: 'ReverseTime'");
  std::fill_n(this->bottom[1]->mutable_cpu_diff(), 3, 7);
  layer->Backward(this->top, {true, true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[1]), {0, 0, 0});
  this->bottom[1]->mutable_cpu_data()[1] = 5;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top),
               "value 1 of the lengths is 5; it must be a whole number from 0 to 4");
  this->bottom[1]->mutable_cpu_data()[1] = 1.5;
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "value 1 of the lengths is 1.5");
  this->bottom[1]->mutable_cpu_data()[1] = std::nan("");
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "value 1 of the lengths is");
  this->bottom[1]->Reshape({2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "a length for each item");
}

}  // namespace caffe
