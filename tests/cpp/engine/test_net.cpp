#include "caffe/net.hpp"

#include "toy_net.hpp"

namespace caffe {

// Once for all tests.
REGISTER_LAYER_CLASS(ToyWeights);
REGISTER_LAYER_CLASS(ToyLoss);

namespace {

typedef vector<double> Values;

string toy() {
  return kToyData + toy_weights("w1", "data", "a") + toy_weights("w2", "a", "b") +
         toy_loss("loss", "b", "top: 'loss' ");
}

}  // namespace

template <typename Dtype>
class NetTest : public ::testing::Test {};
TYPED_TEST_SUITE(NetTest, Dtypes);

TYPED_TEST(NetTest, RunsForwardAndBackward) {
  auto net = make_net<TypeParam>(toy());
  fill<TypeParam>(net->input_blobs()[0], 1);
  TypeParam loss = 0;
  const vector<Blob<TypeParam>*>& out = net->Forward(&loss);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0], net->blob_by_name("loss").get());
  EXPECT_FLOAT_EQ(loss, 24);  // 2 * 2 * 1, six times
  net->Backward();
  EXPECT_EQ(gradient(*net->layer_by_name("w1")->blobs()[0]), Values({4, 4, 4}));
  EXPECT_EQ(gradient(*net->layer_by_name("w1")->blobs()[1]), Values({12}));
  EXPECT_EQ(gradient(*net->layer_by_name("w2")->blobs()[0]), Values({4, 4, 4}));
  net->Backward();  // adds
  EXPECT_EQ(gradient(*net->learnable_params()[0]), Values({8, 8, 8}));
  net->ClearParamDiffs();
  EXPECT_FLOAT_EQ(net->ForwardBackward(), 24);
  EXPECT_EQ(gradient(*net->learnable_params()[0]), Values({4, 4, 4}));
  net->Update();
  EXPECT_EQ(values(*net->learnable_params()[0]), Values({-2, -2, -2}));
}

TYPED_TEST(NetTest, RunsPartsOfItself) {
  auto net = make_net<TypeParam>(toy());
  fill<TypeParam>(net->input_blobs()[0], 1);
  EXPECT_FLOAT_EQ(net->ForwardTo(2), 0);
  EXPECT_FLOAT_EQ(net->ForwardFrom(3), 24);
  fill<TypeParam>(net->blob_by_name("a").get(), 1);
  EXPECT_FLOAT_EQ(net->ForwardFromTo(2, 3), 12);
  net->BackwardFromTo(3, 2);
  EXPECT_EQ(gradient(*net->blob_by_name("a")), Values(6, 2));
  EXPECT_EQ(gradient(*net->layer_by_name("w1")->blobs()[0]), Values(3, 0));
  net->BackwardFrom(1);
  EXPECT_EQ(gradient(*net->layer_by_name("w1")->blobs()[0]), Values(3, 4));
  net->BackwardTo(2);
  EXPECT_ERROR(net->ForwardFromTo(0, 4), "layers 0 to 4 of 4");
  EXPECT_ERROR(net->BackwardFromTo(3, -1), "layers -1 to 3 of 4");
  EXPECT_ERROR(net->top_ids(4), "of 4");
}

}  // namespace caffe
