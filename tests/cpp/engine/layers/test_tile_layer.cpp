#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class TileLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(TileLayerTest, DtypesAndDevices);

TYPED_TEST(TileLayerTest, Values) {
  this->add_bottom({2, 2}, {1, 2, 3, 4});
  this->forward("type: 'Tile' tile_param { tiles: 3 }");
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 6}));
  this->expect_near(this->data(*this->top[0]), {1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4});
  this->forward("type: 'Tile' tile_param { axis: 0 tiles: 2 }");
  this->expect_near(this->data(*this->top[0]), {1, 2, 3, 4, 1, 2, 3, 4});
  this->forward("type: 'Tile' tile_param { axis: -1 tiles: 1 }");
  this->expect_near(this->data(*this->top[0]), {1, 2, 3, 4});
}

TYPED_TEST(TileLayerTest, Gradient) {
  this->add_bottom({2, 3, 2});
  for (const char* param : {"tiles: 3", "axis: 0 tiles: 2", "axis: 2 tiles: 4"}) {
    this->check_gradient(std::string("type: 'Tile' tile_param { ") + param + " }");
  }
}

TYPED_TEST(TileLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make("type: 'Tile' tile_param { " + param + " }")->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up(""), "'under_test' (Tile): tile_param.tiles is 0");
  EXPECT_ERROR(set_up("tiles: -1"), "tile_param.tiles is -1");
  EXPECT_ERROR(set_up("tiles: 2 axis: 2"), "axis is 2");
  EXPECT_ERROR(set_up("tiles: 2147483647"), "axis 1 would be 6442450941 long");
  this->top = this->bottom;
  EXPECT_ERROR(set_up("tiles: 2"), "cannot work in place");
}

}  // namespace caffe
