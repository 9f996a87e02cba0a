#include "tests/cpp/caffe_layers/layer_helpers.hpp"

namespace {

TEST(Registry, KnowsBothLayersInBothPrecisions) {
  for (const char* type : {"Enhancement", "Elimination"}) {
    EXPECT_STREQ(make_layer<float>(type)->type(), type);
    EXPECT_STREQ(make_layer<double>(type)->type(), type);
  }
}

TEST(Registry, BlobCountsAreDeclared) {
  EXPECT_EQ(make_layer<float>("Enhancement")->ExactNumBottomBlobs(), 1);
  EXPECT_EQ(make_layer<float>("Enhancement")->MaxTopBlobs(), 2);
  EXPECT_EQ(make_layer<float>("Elimination")->ExactNumBottomBlobs(), 2);
  EXPECT_EQ(make_layer<float>("Elimination")->MaxTopBlobs(), 4);
}

}  // namespace
