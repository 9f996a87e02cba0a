#include "caffe/layer.hpp"

#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

namespace {

/// One bottom for each top; records the calls.
template <typename Dtype>
class ProbeLayer : public Layer<Dtype> {
 public:
  explicit ProbeLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) override {
    calls += "setup ";
  }
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override {
    calls += "reshape ";
    for (auto* blob : top) blob->ReshapeLike(*bottom[0]);
  }
  const char* type() const override { return "Probe"; }
  int MinBottomBlobs() const override { return min_bottoms; }
  int MaxBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return exact_tops; }
  bool EqualNumBottomTopBlobs() const override { return equal; }

  string calls;
  int min_bottoms = 1, exact_tops = -1;
  bool equal = false;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override {
    calls += "forward ";
    for (auto* blob : top)
      caffe_copy(blob->count(), bottom[0]->cpu_data(), blob->mutable_cpu_data());
  }
  void Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>&) override {
    calls += propagate_down[0] ? "backward " : "nothing ";
  }
};

}  // namespace

template <typename Dtype>
class LayerTest : public ::testing::Test {
 protected:
  LayerTest() : bottom({2}), bottoms{&bottom}, tops{&top} {
    param.set_name("probe1");
    param.set_type("Probe");
    param.add_bottom("data");
    param.add_top("out");
    bottom.mutable_cpu_data()[0] = 3;
    bottom.mutable_cpu_data()[1] = 4;
  }
  LayerParameter param;
  Blob<Dtype> bottom, top, other;
  vector<Blob<Dtype>*> bottoms, tops;
};
TYPED_TEST_SUITE(LayerTest, Dtypes);

TYPED_TEST(LayerTest, CallsComeInOrder) {
  ProbeLayer<TypeParam> layer(this->param);
  layer.SetUp(this->bottoms, this->tops);
  EXPECT_EQ(layer.calls, "setup reshape ");
  EXPECT_EQ(layer.Forward(this->bottoms, this->tops), TypeParam(0));
  layer.Backward(this->tops, {true}, this->bottoms);
  layer.Backward(this->tops, {false}, this->bottoms);
  EXPECT_EQ(layer.calls, "setup reshape reshape forward backward nothing ");
  EXPECT_EQ(this->top.cpu_data()[1], TypeParam(4));
}

TYPED_TEST(LayerTest, WrongBlobCountsNameLayerAndBlobs) {
  ProbeLayer<TypeParam> layer(this->param);
  EXPECT_ERROR(layer.SetUp({}, this->tops),
               "layer 'probe1' (Probe): takes at least 1 bottom and has 0 (data)");
  EXPECT_ERROR(layer.SetUp(vector<Blob<TypeParam>*>(3, &this->bottom), this->tops),
               "takes at most 2 bottoms and has 3");
  layer.exact_tops = 2;
  EXPECT_ERROR(layer.SetUp(this->bottoms, this->tops), "takes 2 tops and has 1 (out)");
  layer.exact_tops = -1;
  layer.equal = true;
  EXPECT_ERROR(layer.SetUp(this->bottoms, {&this->top, &this->other}),
               "takes as many tops as bottoms and has 1 bottom and 2 tops");
  EXPECT_EQ(layer.calls, "");
}

TYPED_TEST(LayerTest, LossIsValueTimesWeight) {
  this->param.add_loss_weight(0.5);
  this->param.add_loss_weight(0);
  ProbeLayer<TypeParam> layer(this->param);
  this->tops.push_back(&this->other);
  layer.SetUp(this->bottoms, this->tops);
  EXPECT_EQ(layer.loss(0), TypeParam(0.5));
  EXPECT_EQ(layer.loss(1), TypeParam(0));
  EXPECT_EQ(layer.loss(7), TypeParam(0));
  EXPECT_EQ(this->top.cpu_diff()[1], TypeParam(0.5));
  EXPECT_EQ(layer.Forward(this->bottoms, this->tops), TypeParam(3.5));
}

TYPED_TEST(LayerTest, LossWeightsFollowATopThatGrows) {
  this->param.add_loss_weight(2);
  ProbeLayer<TypeParam> layer(this->param);
  layer.SetUp(this->bottoms, this->tops);
  this->bottom.Reshape({5});
  caffe_set(5, TypeParam(1), this->bottom.mutable_cpu_data());
  EXPECT_EQ(layer.Forward(this->bottoms, this->tops), TypeParam(10));
}

TYPED_TEST(LayerTest, LossWeightsAreOneForEachTop) {
  this->param.add_loss_weight(1);
  this->param.add_loss_weight(1);
  ProbeLayer<TypeParam> layer(this->param);
  EXPECT_ERROR(layer.SetUp(this->bottoms, this->tops), "has 2 loss_weights and 1 top");
}

TYPED_TEST(LayerTest, TakesAndGivesLearntBlobs) {
  BlobProto* stored = this->param.add_blobs();
  stored->mutable_shape()->add_dim(2);
  stored->add_data(5);
  stored->add_data(6);
  ProbeLayer<TypeParam> layer(this->param);
  ASSERT_EQ(layer.blobs().size(), 1u);
  EXPECT_EQ(layer.blobs()[0]->cpu_data()[1], TypeParam(6));
  layer.blobs()[0]->mutable_cpu_data()[0] = 7;
  LayerParameter written;
  layer.ToProto(&written);
  EXPECT_EQ(written.name(), "probe1");
  ASSERT_EQ(written.blobs_size(), 1);
  Blob<TypeParam> read;
  read.FromProto(written.blobs(0));
  EXPECT_EQ(read.cpu_data()[0], TypeParam(7));
  EXPECT_EQ(layer.layer_param().blobs(0).data(0), 5.0f);
}

TYPED_TEST(LayerTest, ParamPropagateDown) {
  ProbeLayer<TypeParam> layer(this->param);
  EXPECT_FALSE(layer.param_propagate_down(0));
  layer.set_param_propagate_down(1, false);
  EXPECT_TRUE(layer.param_propagate_down(0));
  EXPECT_FALSE(layer.param_propagate_down(1));
}

TYPED_TEST(LayerTest, WithoutGpuMethodsTheCpuOnesAreUsed) {
  ProbeLayer<TypeParam> layer(this->param);
  layer.SetUp(this->bottoms, this->tops);
  Caffe::set_mode(Caffe::GPU);
  layer.Backward(this->tops, {true}, this->bottoms);
  Caffe::set_mode(Caffe::CPU);
  EXPECT_EQ(layer.calls, "setup reshape backward ");
}

}  // namespace caffe
