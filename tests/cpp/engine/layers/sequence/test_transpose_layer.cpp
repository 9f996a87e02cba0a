#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class TransposeLayerTest : public LayerTest<TypeParam> {
 protected:
  /// Compares the top with the bottom at each index: top[j] = bottom[i] where j[a] = i[dim[a]].
  void expect_transposed(const std::vector<int>& dim) {
    const Blob<typename TypeParam::Dtype>& x = *this->bottom[0];
    const Blob<typename TypeParam::Dtype>& y = *this->top[0];
    const int axes = x.num_axes();
    std::vector<int> index(axes, 0);
    for (int i = 0; i < x.count(); ++i) {
      int rest = i;
      for (int a = axes - 1; a >= 0; --a) {
        index[a] = rest % x.shape(a);
        rest /= x.shape(a);
      }
      int at = 0;
      for (int a = 0; a < axes; ++a) {
        ASSERT_EQ(y.shape(a), x.shape(dim[a]));
        at = at * y.shape(a) + index[dim[a]];
      }
      ASSERT_EQ(y.cpu_data()[at], x.cpu_data()[i]) << "element " << i;
    }
  }
  static std::string text(const std::vector<int>& dim) {
    std::string text = "type: 'Transpose' transpose_param {";
    for (const int axis : dim) text += " dim: " + std::to_string(axis);
    return text + " }";
  }
};
TYPED_TEST_SUITE(TransposeLayerTest, DtypesAndDevices);

TYPED_TEST(TransposeLayerTest, Values) {
  this->add_bottom({2, 3}, {1, 2, 3, 4, 5, 6});
  this->forward(this->text({1, 0}));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{3, 2}));
  this->expect_near(this->data(*this->top[0]), {1, 4, 2, 5, 3, 6});
}

TYPED_TEST(TransposeLayerTest, EveryOrder) {
  this->add_bottom({2, 3, 1, 4});
  std::vector<int> dim = {0, 1, 2, 3};
  do {
    auto layer = this->forward(this->text(dim));
    this->expect_transposed(dim);
    for (const int batch : {5, 1}) {
      this->bottom[0]->Reshape({batch, 3, 2, 4});
      this->fill_random(this->bottom[0], batch);
      layer->Forward(this->bottom, this->top);
      this->expect_transposed(dim);
    }
  } while (std::next_permutation(dim.begin(), dim.end()));
  this->bottom[0]->Reshape({2, 3, 2, 2, 3});
  this->fill_random(this->bottom[0], 9);
  this->forward(this->text({4, 2, 0, 3, 1}));
  this->expect_transposed({4, 2, 0, 3, 1});
}

TYPED_TEST(TransposeLayerTest, OfOneValueOrNone) {
  this->add_bottom({1, 1, 1}, std::vector<double>{7});
  this->forward(this->text({2, 0, 1}));
  this->expect_near(this->data(*this->top[0]), {7});
  this->bottom[0]->Reshape({0, 2, 3});
  this->forward(this->text({2, 0, 1}));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{3, 0, 2}));
}

TYPED_TEST(TransposeLayerTest, Gradient) {
  this->add_bottom({2, 3, 4});
  for (const std::vector<int>& dim : {std::vector<int>{1, 2, 0}, {2, 0, 1}, {0, 2, 1}}) {
    this->check_gradient(this->text(dim));
  }
}

TYPED_TEST(TransposeLayerTest, Errors) {
  this->add_bottom({2, 3, 4});
  this->add_top();
  const auto set_up = [&](const std::vector<int>& dim) {
    this->make(this->text(dim))->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up({1, 0}), "'under_test' (Transpose): transpose_param's dim has 2 axes");
  EXPECT_ERROR(set_up({}), "dim has 0 axes");
  EXPECT_ERROR(set_up({0, 1, 1}), "must name each axis, 0 to 2, once");
  EXPECT_ERROR(set_up({0, 1, 3}), "must name each axis, 0 to 2, once");
  EXPECT_ERROR(set_up({0, 1, -1}), "must name each axis, 0 to 2, once");
  this->top = {this->bottom[0]};
  EXPECT_ERROR(set_up({0, 1, 2}), "cannot work in place");
}

}  // namespace caffe
