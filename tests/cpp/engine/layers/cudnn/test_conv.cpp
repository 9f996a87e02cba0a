#include "caffe/util/value_order.hpp"
#include "layers/cudnn/adapter_test.hpp"

namespace caffe {

using cudnn::Convolution;
using cudnn::Pass;
using cudnn::Tensor;

namespace {

typedef std::vector<int64_t> Lengths;

std::string layer(const std::string& type, const std::string& param) {
  return "type: '" + type +
         "' convolution_param { ENGINE weight_filler { type: 'gaussian' std: 0.5 } "
         "bias_filler { type: 'gaussian' std: 1 } " +
         param + " }";
}

std::string convolution(const std::string& param) {
  return layer("Convolution", param);
}

std::vector<Pass> passes(const std::vector<Convolution>& runs) {
  std::vector<Pass> all;
  for (const Convolution& run : runs) all.push_back(run.pass);
  return all;
}

/// Convolutions write their channels last while it exists.
class ChannelsLast {
 public:
  ChannelsLast() { set_gpu_order(Order::kNhwc); }
  ~ChannelsLast() { set_gpu_order(Order::kNchw); }
  ChannelsLast(const ChannelsLast&) = delete;
  ChannelsLast& operator=(const ChannelsLast&) = delete;
};

const std::vector<Pass> kAllPasses = {Pass::kForward, Pass::kWeights, Pass::kData};

}  // namespace

template <typename TypeParam>
class CudnnConvolutionTest : public AdapterTest<TypeParam> {};
TYPED_TEST_SUITE(CudnnConvolutionTest, DtypesAndDevices);

TYPED_TEST(CudnnConvolutionTest, ComputesWhatThePlainLayerDoes) {
  const struct {
    std::vector<int> bottom;
    std::string param;
    Lengths x, w, y;  // of the plans
  } cases[] = {
      {{2, 3, 7, 6},
       "num_output: 4 kernel_size: 3 stride: 2 pad: 1",
       {2, 3, 7, 6},
       {4, 3, 3, 3},
       {2, 4, 4, 3}},
      {{2, 6, 5, 5},
       "num_output: 4 kernel_size: 3 pad: 1 group: 2",
       {2, 6, 5, 5},
       {4, 3, 3, 3},
       {2, 4, 5, 5}},
      {{1, 4, 5, 5},
       "num_output: 8 kernel_size: 3 group: 4 bias_term: false",
       {1, 4, 5, 5},
       {8, 1, 3, 3},
       {1, 8, 3, 3}},
      {{1, 2, 8, 7},
       "num_output: 3 kernel_h: 3 kernel_w: 2 dilation: 2",
       {1, 2, 8, 7},
       {3, 2, 3, 2},
       {1, 3, 4, 5}},
      {{2, 3, 5, 4}, "num_output: 4 kernel_size: 1", {2, 3, 5, 4}, {4, 3, 1, 1}, {2, 4, 5, 4}},
      // one axis, and none: axes of length 1 come before
      {{2, 3, 7},
       "num_output: 2 kernel_size: 3 pad: 1 stride: 2",
       {2, 3, 1, 7},
       {2, 3, 1, 3},
       {2, 2, 1, 4}},
      {{3, 5}, "num_output: 4", {3, 5, 1, 1}, {4, 5, 1, 1}, {3, 4, 1, 1}},
      {{1, 2, 3, 5, 4},
       "num_output: 4 kernel_size: 2 group: 2 stride: 1 stride: 2 stride: 1",
       {1, 2, 3, 5, 4},
       {4, 1, 2, 2, 2},
       {1, 4, 2, 2, 3}},
      // the channels are axis 2: axes 0 and 1 count images
      {{2, 3, 4, 5, 6},
       "num_output: 2 kernel_size: 3 axis: 2",
       {6, 4, 5, 6},
       {2, 4, 3, 3},
       {6, 2, 3, 4}}};
  for (const auto& c : cases) {
    this->bottom.clear();
    this->add_bottom(c.bottom);
    const auto runs = this->expect_the_plain_results(convolution(c.param));
    ASSERT_EQ(passes(runs), kAllPasses) << c.param;
    for (const Convolution& run : runs) {
      EXPECT_EQ(run.x, Tensor::plain(c.x)) << c.param;
      EXPECT_EQ(run.w, Tensor::plain(c.w)) << c.param;
      EXPECT_EQ(run.y, Tensor::plain(c.y)) << c.param;
      EXPECT_EQ(run.type, type_of<typename TypeParam::Dtype>());
      EXPECT_FALSE(run.bias || run.relu);
    }
  }
}

TYPED_TEST(CudnnConvolutionTest, ComputesSeveralBottoms) {
  this->add_bottom({2, 3, 5, 5});
  this->add_bottom({2, 3, 5, 5});
  const auto runs = this->expect_the_plain_results(convolution("num_output: 2 kernel_size: 3"));
  EXPECT_EQ(passes(runs), (std::vector<Pass>{Pass::kForward, Pass::kForward, Pass::kWeights,
                                             Pass::kData, Pass::kWeights, Pass::kData}));
}

TYPED_TEST(CudnnConvolutionTest, LeavesFourAxesToThePlainLayer) {
  this->add_bottom({1, 2, 2, 2, 3, 2});
  EXPECT_TRUE(this->expect_the_plain_results(convolution("num_output: 2 kernel_size: 2")).empty());
}

/// Each pass by itself, and all.
TYPED_TEST(CudnnConvolutionTest, LeavesRefusedPassesToThePlainLayer) {
  this->add_bottom({2, 3, 6, 5});
  // Lengths of their own: plans that other tests built are kept.
  int channels = 20;
  for (const Pass refused : kAllPasses) {
    shadow_cudnn::refuse([refused](const Convolution& c) { return c.pass == refused; });
    const auto runs = this->expect_the_plain_results(
        convolution("kernel_size: 2 num_output: " + std::to_string(++channels)));
    EXPECT_EQ(runs.size(), 2u);
    for (const Convolution& run : runs) EXPECT_NE(run.pass, refused);
  }
  shadow_cudnn::refuse([](const Convolution&) { return true; });
  EXPECT_TRUE(this->expect_the_plain_results(convolution("kernel_size: 2 num_output: 30")).empty());
}

TYPED_TEST(CudnnConvolutionTest, TakesNoPlanThatNeedsMoreWorkspaceThanAllowed) {
  const Setting setting("CAFFE_CUDNN_WORKSPACE_MB", "1");
  this->add_bottom({1, 2, 5, 5});
  shadow_cudnn::need_workspace((1 << 20) + 1);
  EXPECT_TRUE(this->expect_the_plain_results(convolution("kernel_size: 2 num_output: 31")).empty());
  shadow_cudnn::need_workspace(1 << 20);
  EXPECT_EQ(this->expect_the_plain_results(convolution("kernel_size: 2 num_output: 32")).size(),
            3u);
}

/// The gradient of positions that the convolution does not read is 0: cuDNN computes the others.
TYPED_TEST(CudnnConvolutionTest, SpreadsTheGradientOfAStridedKernelOfOne) {
  const struct {
    std::vector<int> bottom;
    std::string stride;
    Lengths y;
  } cases[] = {{{2, 3, 7, 6}, "stride: 2", {2, 4, 4, 3}},
               {{2, 3, 6, 8}, "stride_h: 1 stride_w: 3", {2, 4, 6, 3}},
               {{1, 2, 3, 4, 5}, "stride: 2", {1, 4, 2, 2, 3}},
               {{2, 3, 9}, "stride: 4", {2, 4, 1, 3}}};
  for (const auto& c : cases) {
    this->bottom.clear();
    this->add_bottom(c.bottom);
    const auto runs =
        this->expect_the_plain_results(convolution("num_output: 4 kernel_size: 1 " + c.stride));
    ASSERT_EQ(passes(runs), kAllPasses);
    EXPECT_EQ(runs[1].y.lengths, c.y);
    EXPECT_NE(runs[1].stride, Lengths(c.y.size() - 2, 1));
    Lengths read = c.y;
    read[1] = c.bottom[1];
    EXPECT_EQ(runs[2].x, Tensor::plain(read));
    EXPECT_EQ(runs[2].stride, Lengths(c.y.size() - 2, 1));
  }
}

TYPED_TEST(CudnnConvolutionTest, ComputesAStridedKernelOfOneWithoutSpreading) {
  this->add_bottom({2, 3, 5, 5});
  const Lengths ones = {1, 1};
  shadow_cudnn::refuse(
      [&ones](const Convolution& c) { return c.pass == Pass::kData && c.stride == ones; });
  const auto runs =
      this->expect_the_plain_results(convolution("num_output: 33 kernel_size: 1 stride: 2"));
  ASSERT_EQ(passes(runs), kAllPasses);
  EXPECT_EQ(runs[2].stride, Lengths({2, 2}));
}

TYPED_TEST(CudnnConvolutionTest, LeavesOperandsAtOddPlacesToThePlainLayer) {
  typedef typename TypeParam::Dtype Dtype;
  Blob<Dtype> memory(std::vector<int>{1 + 2 * 3 * 5 * 5});
  this->add_bottom({2, 3, 5, 5});
  const auto values = this->data(*this->bottom[0]);
  std::copy(values.begin(), values.end(), memory.mutable_cpu_data() + 1);
  auto layer = this->make(
      "type: 'Convolution' convolution_param { num_output: 2 kernel_size: 3 "
      "weight_filler { type: 'gaussian' std: 0.5 } }");
  this->add_top();
  layer->SetUp(this->bottom, this->top);
  layer->Forward(this->bottom, this->top);
  const auto expected = this->data(*this->top[0]);
  EXPECT_EQ(shadow_cudnn::runs().size(), 1u);
  this->bottom[0]->data()->set_gpu_data(memory.mutable_gpu_data() + 1);
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(shadow_cudnn::runs().size(), 1u);
  this->expect_near(this->data(*this->top[0]), expected);
}

TYPED_TEST(CudnnConvolutionTest, KeepsNoGradientOfItsOwn) {
  typedef typename TypeParam::Dtype Dtype;
  this->add_bottom({1, 64, 4, 4});
  const std::string text =
      "type: 'Convolution' convolution_param { num_output: 64 kernel_size: 3 pad: 1 }";
  const auto memory_of_layer = [&] {
    this->top.clear();
    const int64_t before = shadow::counts().memory_in_use;
    auto layer = this->forward(text);
    this->fill_random(this->top[0], 5);
    this->top[0]->mutable_gpu_diff();
    layer->Backward(this->top, {true}, this->bottom);
    layer->blobs()[0]->cpu_diff();
    return shadow::counts().memory_in_use - before;
  };
  memory_of_layer();  // makes the workspace
  const int64_t weights = 64 * 64 * 9 * sizeof(Dtype);
  EXPECT_LT(memory_of_layer(), 2 * weights + weights / 2);  // values and gradient
}

TYPED_TEST(CudnnConvolutionTest, IsSwitchedOff) {
  this->add_bottom({1, 2, 5, 5});
  const std::string text = convolution("num_output: 2 kernel_size: 3");
  for (const char* const list : {"none", "Deconvolution", "Deconvolution,Fusion"}) {
    const Setting setting("CAFFE_CUDNN_LAYERS", list);
    EXPECT_TRUE(this->expect_the_plain_results(text).empty()) << list;
  }
  for (const char* const list : {"Convolution", "Deconvolution,Convolution", "all"}) {
    const Setting setting("CAFFE_CUDNN_LAYERS", list);
    EXPECT_EQ(this->expect_the_plain_results(text).size(), 3u) << list;
  }
  const Setting setting("CAFFE_CUDNN_LAYERS", "Convolution,Pool");
  EXPECT_ERROR(this->make("type: 'Convolution'"), "'Pool' is none of Convolution, Deconvolution");
}

TYPED_TEST(CudnnConvolutionTest, SaysWhatIsWrongWithTheWorkspaceSetting) {
  const Setting setting("CAFFE_CUDNN_WORKSPACE_MB", "1G");
  this->add_bottom({1, 2, 5, 5});
  EXPECT_ERROR(this->forward("type: 'Convolution' convolution_param { num_output: 34 "
                             "kernel_size: 3 }"),
               "CAFFE_CUDNN_WORKSPACE_MB is '1G'");
}

TYPED_TEST(CudnnConvolutionTest, HasItsChannelsLastWhereTheGpuOrderSaysSo) {
  const ChannelsLast scope;
  const struct {
    std::vector<int> bottom;
    std::string param;
  } cases[] = {{{2, 3, 7, 6}, "num_output: 4 kernel_size: 3 stride: 2 pad: 1"},
               {{2, 6, 5, 5}, "num_output: 4 kernel_size: 3 pad: 1 group: 2 bias_term: false"},
               {{2, 3, 7, 6}, "num_output: 4 kernel_size: 1 stride: 2"},
               {{2, 1, 4, 4}, "num_output: 3 kernel_size: 3"},
               {{2, 3, 7}, "num_output: 2 kernel_size: 3 pad: 1"},
               {{1, 2, 3, 5, 4}, "num_output: 4 kernel_size: 2 dilation: 1"}};
  for (const auto& c : cases) {
    this->bottom.clear();
    this->add_bottom(c.bottom);
    const auto runs = this->expect_the_plain_results(convolution(c.param));
    ASSERT_EQ(passes(runs), kAllPasses) << c.param;
    for (const Convolution& run : runs) {
      EXPECT_EQ(run.x, Tensor::channels_last(run.x.lengths)) << c.param;
      EXPECT_EQ(run.w, Tensor::channels_last(run.w.lengths)) << c.param;
      EXPECT_EQ(run.y, Tensor::channels_last(run.y.lengths)) << c.param;
    }
  }
}

TYPED_TEST(CudnnConvolutionTest, HasPlainValuesWhereNoPlanHasItsChannelsLast) {
  const ChannelsLast scope;
  this->add_bottom({2, 3, 6, 5});
  int channels = 50;
  for (const Pass refused : kAllPasses) {
    shadow_cudnn::refuse([refused](const Convolution& c) {
      return c.pass == refused && c.x == Tensor::channels_last(c.x.lengths);
    });
    const auto runs = this->expect_the_plain_results(
        convolution("kernel_size: 2 num_output: " + std::to_string(++channels)));
    EXPECT_EQ(runs.size(), refused == Pass::kForward ? 3u : 2u);
    for (const Convolution& run : runs) {
      EXPECT_EQ(run.x == Tensor::plain(run.x.lengths), refused == Pass::kForward);
    }
  }
}

template <typename TypeParam>
class CudnnDeconvolutionTest : public AdapterTest<TypeParam> {};
TYPED_TEST_SUITE(CudnnDeconvolutionTest, DtypesAndDevices);

TYPED_TEST(CudnnDeconvolutionTest, ComputesWhatThePlainLayerDoes) {
  const struct {
    std::vector<int> bottom;
    std::string param;
    Lengths x, w, y;  // of the convolution
  } cases[] = {{{2, 4, 3, 2},
                "num_output: 3 kernel_size: 3 stride: 2",
                {2, 3, 7, 5},
                {4, 3, 3, 3},
                {2, 4, 3, 2}},
               {{1, 4, 3, 4},
                "num_output: 6 kernel_size: 4 stride: 2 pad: 1 group: 2",
                {1, 6, 6, 8},
                {4, 3, 4, 4},
                {1, 4, 3, 4}},
               {{2, 3, 4, 5},
                "num_output: 2 kernel_h: 2 kernel_w: 3 dilation: 2 pad: 1 bias_term: false",
                {2, 2, 4, 7},
                {3, 2, 2, 3},
                {2, 3, 4, 5}},
               {{1, 2, 2, 3, 1},
                "num_output: 2 kernel_size: 2 stride: 2",
                {1, 2, 4, 6, 2},
                {2, 2, 2, 2, 2},
                {1, 2, 2, 3, 1}},
               {{2, 3, 4},
                "num_output: 2 kernel_size: 2 stride: 2",
                {2, 2, 1, 8},
                {3, 2, 1, 2},
                {2, 3, 1, 4}}};
  for (const auto& c : cases) {
    this->bottom.clear();
    this->add_bottom(c.bottom);
    const auto runs = this->expect_the_plain_results(layer("Deconvolution", c.param));
    ASSERT_EQ(passes(runs), (std::vector<Pass>{Pass::kData, Pass::kWeights, Pass::kForward}));
    for (const Convolution& run : runs) {
      EXPECT_EQ(run.x, Tensor::plain(c.x)) << c.param;
      EXPECT_EQ(run.w, Tensor::plain(c.w)) << c.param;
      EXPECT_EQ(run.y, Tensor::plain(c.y)) << c.param;
    }
  }
}

TYPED_TEST(CudnnDeconvolutionTest, SpreadsWithAKernelOfOne) {
  this->add_bottom({2, 4, 3, 2});
  const auto runs = this->expect_the_plain_results(
      layer("Deconvolution", "num_output: 3 kernel_size: 1 stride: 2"));
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].stride, Lengths({1, 1}));
}

TYPED_TEST(CudnnDeconvolutionTest, LeavesRefusedPassesToThePlainLayer) {
  this->add_bottom({2, 4, 3, 2});
  int channels = 40;
  for (const Pass refused : kAllPasses) {
    shadow_cudnn::refuse([refused](const Convolution& c) { return c.pass == refused; });
    const auto runs = this->expect_the_plain_results(
        layer("Deconvolution", "kernel_size: 2 num_output: " + std::to_string(++channels)));
    EXPECT_EQ(runs.size(), 2u);
  }
  const Setting setting("CAFFE_CUDNN_LAYERS", "Convolution");
  EXPECT_TRUE(this->expect_the_plain_results(layer("Deconvolution", "num_output: 2 kernel_size: 2"))
                  .empty());
}

}  // namespace caffe
