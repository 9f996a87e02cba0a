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

TYPED_TEST(NetTest, TakesInputsAndNewShapes) {
  auto net = make_net<TypeParam>(toy());
  Blob<TypeParam> given(vector<int>{2, 3}), wrong(vector<int>{4});
  fill<TypeParam>(&given, 0.5);
  TypeParam loss = 0;
  net->Forward({&given}, &loss);
  EXPECT_FLOAT_EQ(loss, 12);
  EXPECT_ERROR(net->Forward({&wrong}), "4 (4)");
  EXPECT_ERROR(net->Forward(vector<Blob<TypeParam>*>()), "has 1 inputs and was given 0");
  net->input_blobs()[0]->Reshape({4, 3});
  net->Reshape();
  EXPECT_EQ(net->blob_by_name("b")->shape(), vector<int>({4, 3}));
  fill<TypeParam>(net->input_blobs()[0], 1);
  net->ForwardPrefilled(&loss);
  EXPECT_FLOAT_EQ(loss, 48);
  net->ClearParamDiffs();
  net->Backward();
  EXPECT_EQ(gradient(*net->learnable_params()[0]), Values({8, 8, 8}));
}

TYPED_TEST(NetTest, ClearingUnusedGradientsTakesNoMemory) {
  auto net = make_net<TypeParam>(toy(), TEST);
  net->ClearParamDiffs();
  for (const auto& param : net->params()) {
    EXPECT_EQ(param->diff()->head(), SyncedMemory::UNINITIALIZED);
  }
}

TYPED_TEST(NetTest, CallsBack) {
  struct Recorder : Net<TypeParam>::Callback {
    Recorder(vector<string>* calls, const string& name) : calls(calls), name(name) {}
    void run(int layer) override { calls->push_back(name + std::to_string(layer)); }
    vector<string>* calls;
    string name;
  };
  auto net = make_net<TypeParam>(toy());
  vector<string> calls;
  Recorder f(&calls, "f"), F(&calls, "F"), b(&calls, "b"), B(&calls, "B");
  net->add_before_forward(&f);
  net->add_after_forward(&F);
  net->add_before_backward(&b);
  net->add_after_backward(&B);
  net->ForwardFromTo(1, 2);
  net->BackwardFromTo(2, 1);
  EXPECT_EQ(calls, vector<string>({"f1", "F1", "f2", "F2", "b2", "B2", "b1", "B1"}));
  EXPECT_EQ(net->before_forward().size(), 1u);
}

TYPED_TEST(NetTest, DebugInfoLogsWhatCaffeLogs) {
  auto net = make_net<TypeParam>(
      kToyData + toy_weights("w1", "data", "a", "param { name: 'p' } param { lr_mult: 0 } ") +
      toy_weights("w2", "a", "b", "param { name: 'p' } ") + toy_loss("loss", "b", "top: 'loss' "));
  net->set_debug_info(true);
  fill<TypeParam>(net->input_blobs()[0], -1);
  LogLines log;
  net->ForwardBackward();
  EXPECT_EQ(
      log.lines,
      vector<string>({"    [Forward] Layer data, top blob data data: 1",
                      "    [Forward] Layer w1, top blob a data: 2",
                      "    [Forward] Layer w1, param blob p data: 2",
                      "    [Forward] Layer w1, param blob 1 data: 0",
                      "    [Forward] Layer w2, top blob b data: 4",
                      "    [Forward] Layer w2, param blob p data: 2",
                      "    [Forward] Layer w2, param blob 1 data: 0",
                      "    [Forward] Layer loss, top blob loss data: 24",
                      "    [Backward] Layer loss, bottom blob b diff: 1",
                      "    [Backward] Layer w2, bottom blob a diff: 2",
                      "    [Backward] Layer w2, param blob 0 diff: 4",
                      "    [Backward] Layer w2, param blob 1 diff: 6",
                      "    [Backward] Layer w1, param blob 0 diff: 8",
                      "    [Backward] All net params (data, diff): L1 norm = (6, 30); L2 norm = "
                      "(3.4641, 15.0997)"}));
}

TYPED_TEST(NetTest, BlobsOutliveTheNet) {
  auto net = make_net<TypeParam>(toy());
  const shared_ptr<Blob<TypeParam>> param = net->params()[0], top = net->blob_by_name("a");
  net.reset();
  EXPECT_EQ(values(*param), Values({2, 2, 2}));
  EXPECT_EQ(top->count(), 6);
}

TYPED_TEST(NetTest, MayBeEmpty) {
  auto net = make_net<TypeParam>("name: 'empty'");
  TypeParam loss = 1;
  EXPECT_TRUE(net->Forward(&loss).empty());
  EXPECT_EQ(loss, 0);
  net->Backward();
}

}  // namespace caffe
