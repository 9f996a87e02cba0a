#include "caffe/layers/engine_choice.hpp"

#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

namespace {

template <typename Dtype, int kId>
class Made : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Layer<Dtype>::Layer;
  void Reshape(const Blobs&, const Blobs&) override {}
  int ExactNumBottomBlobs() const override { return kId; }

 protected:
  void Forward_cpu(const Blobs&, const Blobs&) override {}
  void Backward_cpu(const Blobs&, const vector<bool>&, const Blobs&) override {}
};

constexpr int kPlain = 1, kAdapter = 2, kGpuAdapter = 3;

template <typename Dtype>
shared_ptr<Layer<Dtype>> make_plain_one(const LayerParameter& param) {
  return std::make_shared<Made<Dtype, kPlain>>(param);
}
/// Supports layers named "good".
template <typename Dtype>
shared_ptr<Layer<Dtype>> make_adapter(const LayerParameter& param) {
  if (param.name() != "good") return nullptr;
  return std::make_shared<Made<Dtype, kAdapter>>(param);
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> make_gpu_adapter(const LayerParameter& param) {
  if (param.name() != "good") return nullptr;
  return std::make_shared<Made<Dtype, kGpuAdapter>>(param);
}

LayerParameter named(const string& name, const string& type) {
  LayerParameter param;
  param.set_name(name);
  param.set_type(type);
  return param;
}

}  // namespace

template <typename Dtype>
class EngineChoiceTest : public ::testing::Test {
 protected:
  EngineChoiceTest() {
    EngineChoice<Dtype>::offer(Library::kOneDnn, "Adapted", make_adapter<Dtype>);
    EngineChoice<Dtype>::offer(Library::kOneDnn, "Both", make_adapter<Dtype>);
    EngineChoice<Dtype>::offer(Library::kCudnn, "Both", make_gpu_adapter<Dtype>);
  }
  ~EngineChoiceTest() override { Caffe::set_mode(Caffe::CPU); }
  static int made(const string& name, const string& type, int engine) {
    return EngineChoice<Dtype>::make(named(name, type), engine, make_plain_one<Dtype>)
        ->ExactNumBottomBlobs();
  }
};
TYPED_TEST_SUITE(EngineChoiceTest, Dtypes);

TYPED_TEST(EngineChoiceTest, TakesTheAdapterWhereItCan) {
  EXPECT_EQ(this->made("good", "Adapted", ConvolutionParameter::DEFAULT), kAdapter);
  EXPECT_EQ(this->made("good", "Adapted", ConvolutionParameter::ONEDNN), kAdapter);
  EXPECT_EQ(this->made("bad", "Adapted", ConvolutionParameter::DEFAULT), kPlain);
  EXPECT_EQ(this->made("good", "Other", ConvolutionParameter::DEFAULT), kPlain);
}

TYPED_TEST(EngineChoiceTest, ThePlainLayerWhenAskedFor) {
  EXPECT_EQ(this->made("good", "Adapted", ConvolutionParameter::CAFFE), kPlain);
  EXPECT_EQ(this->made("good", "Adapted", ConvolutionParameter::CUDNN), kPlain);
}

TYPED_TEST(EngineChoiceTest, OneDnnAskedForAndImpossibleIsAnError) {
  EXPECT_ERROR(this->made("bad", "Adapted", ConvolutionParameter::ONEDNN),
               "layer 'bad' (Adapted): engine: ONEDNN: the oneDNN adapter does not support");
  EXPECT_ERROR(this->made("good", "Other", ConvolutionParameter::ONEDNN), "has no oneDNN adapter");
  Caffe::set_mode(Caffe::GPU);
  EXPECT_ERROR(this->made("good", "Adapted", ConvolutionParameter::ONEDNN), "the mode is GPU");
  EXPECT_EQ(this->made("good", "Adapted", ConvolutionParameter::DEFAULT), kPlain);
}

TYPED_TEST(EngineChoiceTest, CudnnsAdapterOnTheGpuOnly) {
  EXPECT_EQ(this->made("good", "Both", ConvolutionParameter::DEFAULT), kAdapter);
  EXPECT_EQ(this->made("good", "Both", ConvolutionParameter::CUDNN), kPlain);
  Caffe::set_mode(Caffe::GPU);
  EXPECT_EQ(this->made("good", "Both", ConvolutionParameter::DEFAULT), kGpuAdapter);
  EXPECT_EQ(this->made("good", "Both", ConvolutionParameter::CUDNN), kGpuAdapter);
  EXPECT_EQ(this->made("good", "Both", ConvolutionParameter::CAFFE), kPlain);
  EXPECT_EQ(this->made("bad", "Both", ConvolutionParameter::DEFAULT), kPlain);
  EXPECT_EQ(this->made("bad", "Both", ConvolutionParameter::CUDNN), kPlain);
  EXPECT_ERROR(this->made("good", "Both", ConvolutionParameter::ONEDNN), "the mode is GPU");
}

}  // namespace caffe
