#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class SplitLayerTest : public LayerTest<TypeParam> {
 protected:
  void run(int tops) {
    this->add_bottom({2, 3});
    for (int i = 0; i < tops; ++i) this->add_top();
    layer_ = this->forward("type: 'Split'");
  }
  std::shared_ptr<Layer<typename TypeParam::Dtype>> layer_;
};
TYPED_TEST_SUITE(SplitLayerTest, DtypesAndDevices);

TYPED_TEST(SplitLayerTest, SharesData) {
  this->run(3);
  for (auto* top : this->top) EXPECT_EQ(top->cpu_data(), this->bottom[0]->cpu_data());
  this->bottom[0]->Reshape({5, 7});  // more than before
  this->bottom[0]->mutable_cpu_data()[34] = 5;
  this->layer_->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[2]->shape(), std::vector<int>({5, 7}));
  EXPECT_EQ(this->top[2]->cpu_data()[34], 5);
}

TYPED_TEST(SplitLayerTest, Gradient) {
  for (int tops = 1; tops <= 4; ++tops) {
    this->add_top();
    if (tops == 1) this->add_bottom({2, 3, 2});
    this->check_gradient("type: 'Split'");
  }
}

TYPED_TEST(SplitLayerTest, TakesTopsWithoutGradientAs0) {
  this->run(3);
  this->layer_->Backward(this->top, {true}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[0]), std::vector<double>(6, 0));
  for (int i : {2, 1}) {
    caffe_set<typename TypeParam::Dtype>(6, i, this->top[i]->mutable_cpu_diff());
    this->layer_->Backward(this->top, {true}, this->bottom);
    EXPECT_EQ(this->diff(*this->bottom[0]), std::vector<double>(6, i == 2 ? 2 : 3));
  }
  this->layer_->Backward(this->top, {false}, this->bottom);
}

TYPED_TEST(SplitLayerTest, RefusesInPlace) {
  this->add_bottom({2});
  this->add_top();
  this->top.push_back(this->bottom[0]);
  auto layer = this->make("type: 'Split'");
  EXPECT_ERROR(layer->SetUp(this->bottom, this->top), "'under_test' (Split): cannot work in place");
}

}  // namespace caffe
