#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class SilenceLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(SilenceLayerTest, DtypesAndDevices);

TYPED_TEST(SilenceLayerTest, TakesBlobsAndGivesThemNoGradient) {
  this->add_bottom({2, 3});
  this->add_bottom({4});
  auto layer = this->make("type: 'Silence'");
  layer->SetUp(this->bottom, {});
  const std::vector<double> x = this->data(*this->bottom[0]);
  layer->Forward(this->bottom, {});
  EXPECT_EQ(this->data(*this->bottom[0]), x);
  for (auto* blob : this->bottom) std::fill_n(blob->mutable_cpu_diff(), blob->count(), 3);
  layer->Backward({}, {true, false}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[0]), std::vector<double>(6, 0));
  EXPECT_EQ(this->diff(*this->bottom[1]), std::vector<double>(4, 3));
  EXPECT_ERROR(layer->SetUp({}, {}), "takes at least 1 bottom");
}

}  // namespace caffe
