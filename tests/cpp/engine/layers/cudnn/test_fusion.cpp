// A convolution's bias and ReLU in cuDNN's kernel: where the net asks for it, and where it must
// not.

#include "layers/cudnn/adapter_test.hpp"
#include "toy_net.hpp"

namespace caffe {

using cudnn::Convolution;
using cudnn::Pass;

namespace {

const char kHead[] =
    "force_backward: true layer { name: 'data' type: 'Input' top: 'data' "
    "input_param { shape { dim: 2 dim: 3 dim: 6 dim: 5 } } } ";

std::string conv(const std::string& more = "") {
  return "layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'y' convolution_param { "
         "num_output: 4 kernel_size: 3 weight_filler { type: 'gaussian' std: 0.5 } "
         "bias_filler { type: 'gaussian' std: 1 } " +
         more + " } } ";
}

std::string relu(const std::string& top = "y", const std::string& more = "") {
  return "layer { name: 'relu' type: 'ReLU' bottom: 'y' top: '" + top + "' " + more + " } ";
}

std::vector<Convolution> forward_runs() {
  std::vector<Convolution> found;
  for (const Convolution& run : shadow_cudnn::runs()) {
    if (run.pass == Pass::kForward) found.push_back(run);
  }
  return found;
}

}  // namespace

template <typename TypeParam>
class FusionTest : public AdapterTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  typedef std::shared_ptr<Net<Dtype>> NetPtr;

  NetPtr make(const std::string& text) {
    Caffe::set_random_seed(3);
    NetPtr net = make_net<Dtype>(text);
    this->fill_random(net->blob_by_name("data").get(), 9);
    return net;
  }
  std::vector<double> values(const NetPtr& net, const std::string& blob) {
    return this->data(*net->blob_by_name(blob));
  }
  /// Whether ReLU was in the convolution's kernel in a whole forward pass. The values of the blobs
  /// and, after a backward pass, the gradients must be those of a net without fusion.
  bool fuses(const std::string& text) {
    const auto run = [&](const char* setting) {
      const Setting layers("CAFFE_CUDNN_LAYERS", setting);
      const NetPtr net = make(text);
      shadow_cudnn::clear();
      net->Forward();
      std::vector<std::vector<double>> found;
      for (const auto& blob : net->blobs()) found.push_back(this->data(*blob));
      Blob<Dtype>* const out = net->output_blobs()[0];
      Blob<Dtype> gradient(out->shape());
      this->fill_random(&gradient, 5);
      std::copy_n(gradient.cpu_data(), gradient.count(), out->mutable_cpu_diff());
      net->Backward();
      found.push_back(this->diff(*net->blob_by_name("data")));
      for (const auto& param : net->params()) found.push_back(this->diff(*param));
      return found;
    };
    const auto expected = run("Convolution");
    EXPECT_FALSE(forward_runs().empty() || forward_runs()[0].relu || forward_runs()[0].bias);
    const auto found = run("all");
    for (size_t i = 0; i < found.size(); ++i) this->expect_near(found[i], expected[i]);
    return forward_runs()[0].relu;
  }
};
TYPED_TEST_SUITE(FusionTest, DtypesAndDevices);

TYPED_TEST(FusionTest, TakesAReluInPlaceBehindIt) {
  EXPECT_TRUE(this->fuses(kHead + conv() + relu()));
  EXPECT_FALSE(this->fuses(kHead + conv() + relu("z")));
  EXPECT_FALSE(this->fuses(kHead + conv() + relu("y", "relu_param { negative_slope: 0.1 }")));
  EXPECT_FALSE(this->fuses(kHead + conv()));
}

/// cuDNN has no kernel for a ReLU without a bias.
TYPED_TEST(FusionTest, NeedsABias) {
  EXPECT_FALSE(this->fuses(kHead + conv("bias_term: false") + relu()));
}

TYPED_TEST(FusionTest, AddsTheBiasInTheKernelWithoutARelu) {
  const Setting layers("CAFFE_CUDNN_LAYERS", "all");
  const auto net = this->make(kHead + conv());
  net->Forward();
  ASSERT_EQ(forward_runs().size(), 1u);
  EXPECT_TRUE(forward_runs()[0].bias);
}

TYPED_TEST(FusionTest, IsNotForAReluFurtherBehind) {
  EXPECT_FALSE(this->fuses(
      kHead + conv() + "layer { name: 'power' type: 'Power' bottom: 'data' top: 'p' } " + relu()));
}

TYPED_TEST(FusionTest, IsNotForATopThatIsALoss) {
  const Setting layers("CAFFE_CUDNN_LAYERS", "all");
  this->make(kHead + conv() + relu("y", "loss_weight: 1"))->Forward();
  ASSERT_EQ(forward_runs().size(), 1u);
  EXPECT_FALSE(forward_runs()[0].relu);
}

/// Programs that run a net in parts see each layer's own values.
TYPED_TEST(FusionTest, IsNotForAPartThatEndsWithTheConvolution) {
  const Setting layers("CAFFE_CUDNN_LAYERS", "all");
  const auto net = this->make(kHead + conv() + relu());
  net->ForwardFromTo(0, 1);
  const std::vector<double> before = this->values(net, "y");
  EXPECT_LT(*std::min_element(before.begin(), before.end()), 0);
  net->ForwardFromTo(2, 2);
  std::vector<double> after = before;
  for (double& value : after) value = std::max(value, 0.);
  this->expect_near(this->values(net, "y"), after);
  net->ForwardFromTo(1, 2);
  this->expect_near(this->values(net, "y"), after);
  EXPECT_TRUE(forward_runs().back().relu);
  net->layers()[1]->Forward(net->bottom_vecs()[1], net->top_vecs()[1]);
  this->expect_near(this->values(net, "y"), before);
}

template <typename Dtype>
class Watcher : public Net<Dtype>::Callback {
 public:
  std::vector<int> seen;

 protected:
  void run(int layer) override { seen.push_back(layer); }
};

TYPED_TEST(FusionTest, IsNotForANetThatIsWatched) {
  const Setting layers("CAFFE_CUDNN_LAYERS", "all");
  Watcher<typename TypeParam::Dtype> watcher;
  const auto net = this->make(kHead + conv() + relu());
  net->add_after_forward(&watcher);
  net->Forward();
  EXPECT_EQ(watcher.seen, (std::vector<int>{0, 1, 2}));
  EXPECT_FALSE(forward_runs()[0].relu);
  const auto other = this->make(kHead + conv() + relu());
  other->set_debug_info(true);
  shadow_cudnn::clear();
  other->Forward();
  EXPECT_FALSE(forward_runs()[0].relu);
}

/// Without a kernel for both, the ReLU is a layer of its own; without one for the bias, that too.
TYPED_TEST(FusionTest, FallsBackToSeparateKernels) {
  const std::string text = kHead + conv("pad: 1") + relu();
  std::vector<double> expected;
  {
    const Setting layers("CAFFE_CUDNN_LAYERS", "none");
    const auto net = this->make(text);
    net->Forward();
    expected = this->values(net, "y");
  }
  const Setting layers("CAFFE_CUDNN_LAYERS", "all");
  shadow_cudnn::refuse([](const Convolution& c) { return c.relu; });
  auto net = this->make(text);
  net->Forward();
  this->expect_near(this->values(net, "y"), expected);
  ASSERT_EQ(forward_runs().size(), 1u);
  EXPECT_TRUE(forward_runs()[0].bias && !forward_runs()[0].relu);
}

/// An error in the pass leaves no wish behind.
TYPED_TEST(FusionTest, IsForgottenAfterAnError) {
  const Setting layers("CAFFE_CUDNN_LAYERS", "all");
  const auto net = this->make(kHead + conv("pad: 2") + relu());
  net->Forward();
  net->blob_by_name("data")->Reshape({2, 1, 6, 5});
  EXPECT_ERROR(net->Forward(), "made for 3 channels");
  net->blob_by_name("data")->Reshape({2, 3, 6, 5});
  this->fill_random(net->blob_by_name("data").get(), 9);
  net->layers()[1]->Forward(net->bottom_vecs()[1], net->top_vecs()[1]);
  const auto y = this->values(net, "y");
  EXPECT_LT(*std::min_element(y.begin(), y.end()), 0);
}

}  // namespace caffe
