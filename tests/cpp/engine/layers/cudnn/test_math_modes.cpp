// Convolutions in each math mode, by cuDNN's stand-in and by columns, beside float.

#include <cmath>
#include <functional>

#include "caffe/net.hpp"
#include "caffe/util/math_mode.hpp"
#include "caffe/util/reorder_count.hpp"
#include "caffe/util/value_format.hpp"
#include "kernels/half.hpp"
#include "layers/cudnn/adapter_test.hpp"

namespace caffe {

using cudnn::Convolution;
using cudnn::Pass;
using cudnn::Tensor;

namespace {

typedef std::vector<std::vector<double>> Results;

double unit(MathMode mode) {
  return mode == MathMode::kBf16 ? 1. / 256 : 1. / 2048;
}

std::string convolution(const std::string& param) {
  return "type: 'Convolution' convolution_param { ENGINE weight_filler { type: 'gaussian' std: 0.5 "
         "} bias_filler { type: 'gaussian' std: 1 } " +
         param + " }";
}

std::string with_engine(std::string text, const std::string& engine) {
  return text.replace(text.find("ENGINE"), 6, "engine: " + engine);
}

}  // namespace

class MathModeConvolution : public AdapterTest<On<float, Caffe::GPU>> {
 protected:
  /// Results of a text in a mode: top, bottom's gradient, gradients of weights and bias.
  Results in_mode(MathMode mode, const std::string& text) {
    const MathModeScope scope(mode);
    return this->results(text);
  }
  /// The same with all values replaced by their sizes: what bounds are relative to.
  Results sizes(const std::string& text) {
    Blob<float>& x = *this->bottom[0];
    const std::vector<float> kept(x.cpu_data(), x.cpu_data() + x.count());
    Caffe::set_random_seed(7);
    this->top.clear();
    this->add_top();
    auto layer = this->make(text);
    layer->SetUp(this->bottom, this->top);
    const auto positive = [](float* values, int count) {
      for (int i = 0; i < count; ++i) values[i] = std::abs(values[i]);
    };
    positive(x.mutable_cpu_data(), x.count());
    for (const auto& blob : layer->blobs()) positive(blob->mutable_cpu_data(), blob->count());
    layer->Forward(this->bottom, this->top);
    for (const auto& blob : layer->blobs()) {
      std::fill_n(blob->mutable_cpu_diff(), blob->count(), 1.f);
    }
    Results found = {this->data(*this->top[0])};
    this->fill_random(this->top[0], 50);
    positive(this->top[0]->mutable_cpu_data(), this->top[0]->count());
    std::copy_n(this->top[0]->cpu_data(), this->top[0]->count(), this->top[0]->mutable_cpu_diff());
    layer->Backward(this->top, {true}, this->bottom);
    found.push_back(this->diff(x));
    for (const auto& blob : layer->blobs()) found.push_back(this->diff(*blob));
    std::copy(kept.begin(), kept.end(), x.mutable_cpu_data());
    return found;
  }
  /// Each product of two values has 2 u of its size, and what is stored in 16 bits another u, once
  /// more with a bias; the sums are float. Returns the largest part of that bound that was used.
  static double used(const Results& found, const Results& expected, const Results& size, double u) {
    double most = 0;
    EXPECT_EQ(found.size(), expected.size());
    for (size_t b = 0; b < found.size(); ++b) {
      EXPECT_EQ(found[b].size(), expected[b].size());
      for (size_t i = 0; i < found[b].size(); ++i) {
        const double bound = (4 * u + 8 * u * u) * size[b][i] + 1e-4;
        most = std::max(most, std::abs(found[b][i] - expected[b][i]) / bound);
      }
    }
    return most;
  }
};

TEST_F(MathModeConvolution, StaysWithinTheRoundingOfItsOperands) {
  const struct {
    std::vector<int> bottom;
    std::string param;
  } cases[] = {{{2, 3, 7, 6}, "num_output: 4 kernel_size: 3 stride: 2 pad: 1"},
               {{2, 6, 5, 5}, "num_output: 4 kernel_size: 3 pad: 1 group: 2 bias_term: false"},
               {{2, 3, 7, 6}, "num_output: 5 kernel_size: 1 stride: 2"},
               {{2, 8, 4, 4}, "num_output: 9 kernel_size: 4"},
               {{3, 9, 1, 1}, "num_output: 4 kernel_size: 1"},
               {{2, 3, 7}, "num_output: 2 kernel_size: 3 pad: 1"},
               {{1, 2, 3, 5, 4}, "num_output: 4 kernel_size: 2 dilation: 1"}};
  for (const auto& c : cases) {
    this->bottom.clear();
    this->add_bottom(c.bottom);
    for (const char* const engine : {"CAFFE", "DEFAULT"}) {
      const std::string text = with_engine(convolution(c.param), engine);
      const Results expected = in_mode(MathMode::kFloat, text), size = sizes(text);
      for (const MathMode mode : {MathMode::kTf32, MathMode::kFp16, MathMode::kBf16}) {
        SCOPED_TRACE(c.param + " " + engine + " " + math_mode_name(mode));
        shadow_cudnn::clear();
        const double most = used(in_mode(mode, text), expected, size, unit(mode));
        EXPECT_LT(most, 1);
        EXPECT_GT(most, 0.01) << "nothing was rounded";
        const bool by_columns = std::string(engine) == "CAFFE";
        EXPECT_EQ(shadow_cudnn::runs().size(), by_columns ? 0u : 3u);
      }
    }
  }
}

TEST_F(MathModeConvolution, HandsCudnnValuesOf16BitsWithTheChannelsLast) {
  this->add_bottom({2, 3, 7, 6});
  const std::string text = with_engine(convolution("num_output: 4 kernel_size: 3"), "DEFAULT");
  for (const MathMode mode : {MathMode::kFp16, MathMode::kBf16}) {
    shadow_cudnn::clear();
    in_mode(mode, text);
    const ValueType type = mode == MathMode::kFp16 ? ValueType::kFloat16 : ValueType::kBfloat16;
    ASSERT_EQ(shadow_cudnn::runs().size(), 3u);
    for (const Convolution& run : shadow_cudnn::runs()) {
      EXPECT_EQ(run.type, type);
      EXPECT_EQ(run.x, Tensor::channels_last(run.x.lengths));
      EXPECT_FALSE(run.tf32);
    }
  }
  shadow_cudnn::clear();
  in_mode(MathMode::kTf32, text);
  for (const Convolution& run : shadow_cudnn::runs()) {
    EXPECT_EQ(run.type, ValueType::kFloat);
    EXPECT_TRUE(run.tf32);
  }
}

/// Without plans for 16 bits the layer is float's with cuDNN; without one for a pass, that pass
/// multiplies columns in 16 bits.
TEST_F(MathModeConvolution, TakesWhatCudnnHas) {
  this->add_bottom({2, 3, 6, 5});
  int channels = 60;
  const auto run = [&](const std::function<bool(const Convolution&)>& refused) {
    shadow_cudnn::clear();
    shadow_cudnn::refuse(refused);
    const std::string text = with_engine(
        convolution("kernel_size: 2 num_output: " + std::to_string(++channels)), "DEFAULT");
    const Results found = in_mode(MathMode::kFp16, text);
    const auto runs = shadow_cudnn::runs();
    const Results expected =
        in_mode(MathMode::kFloat,
                with_engine(convolution("kernel_size: 2 num_output: " + std::to_string(channels)),
                            "CAFFE"));
    const Results size = sizes(with_engine(
        convolution("kernel_size: 2 num_output: " + std::to_string(channels)), "CAFFE"));
    EXPECT_LT(used(found, expected, size, unit(MathMode::kFp16)), 1);
    return runs;
  };
  auto runs = run([](const Convolution& c) { return is_half(c.type); });
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].type, ValueType::kFloat);
  for (const Pass pass : {Pass::kForward, Pass::kWeights, Pass::kData}) {
    runs = run([pass](const Convolution& c) { return c.pass == pass; });
    EXPECT_EQ(runs.size(), 2u);
  }
  runs = run([](const Convolution&) { return true; });
  EXPECT_TRUE(runs.empty());
}

/// With images in two axes the values cannot have their channels last: cuDNN computes in float.
TEST_F(MathModeConvolution, IsFloatWhereTheChannelsAreAnotherAxis) {
  this->add_bottom({2, 3, 4, 5, 6});
  in_mode(MathMode::kFp16,
          with_engine(convolution("num_output: 2 kernel_size: 3 axis: 2"), "DEFAULT"));
  ASSERT_EQ(shadow_cudnn::runs().size(), 3u);
  for (const Convolution& run : shadow_cudnn::runs()) EXPECT_EQ(run.type, ValueType::kFloat);
}

TEST_F(MathModeConvolution, LeavesDoublesAlone) {
  const MathModeScope scope(MathMode::kFp16);
  EXPECT_EQ(multiplied_type<double>(), ValueType::kDouble);
  EXPECT_EQ(multiplied_type<float>(), ValueType::kFloat16);
}

namespace {

Net<float> make_net(MathMode mode, const std::string& layers) {
  const MathModeScope scope(mode);
  NetParameter param;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "name: 'chain' force_backward: true layer { name: 'data' type: 'Input' top: 'data' "
      "input_param { shape { dim: 2 dim: 3 dim: 23 dim: 23 } } } " +
          layers,
      &param));
  Caffe::set_random_seed(3);
  FLAGS_minloglevel = google::GLOG_WARNING;
  return Net<float>(param);
}

const char kChain[] =
    "layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1' convolution_param { "
    "num_output: 8 kernel_size: 3 weight_filler { type: 'msra' } } } "
    "layer { name: 'relu1' type: 'ReLU' bottom: 'conv1' top: 'conv1' } "
    "layer { name: 'enhance' type: 'Enhancement' bottom: 'conv1' top: 'enhanced' } "
    "layer { name: 'norm1' type: 'LRN' bottom: 'enhanced' top: 'norm1' } "
    "layer { name: 'pool1' type: 'Pooling' bottom: 'norm1' top: 'pool1' pooling_param { "
    "kernel_size: 3 stride: 2 } } "
    "layer { name: 'a' type: 'Convolution' bottom: 'pool1' top: 'a' convolution_param { "
    "num_output: 4 kernel_size: 1 weight_filler { type: 'msra' } } } "
    "layer { name: 'b' type: 'Convolution' bottom: 'pool1' top: 'b' convolution_param { "
    "num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: 'msra' } } } "
    "layer { name: 'sum' type: 'Eltwise' bottom: 'a' bottom: 'b' top: 'sum' } "
    "layer { name: 'join' type: 'Concat' bottom: 'sum' bottom: 'pool1' top: 'join' } "
    "layer { name: 'conv2' type: 'Convolution' bottom: 'join' top: 'conv2' convolution_param { "
    "num_output: 6 kernel_size: 3 weight_filler { type: 'msra' } } } ";

}  // namespace

/// A GPU of that compute capability while it exists.
class Capability {
 public:
  explicit Capability(int value) { shadow::set_capability(value); }
  ~Capability() { shadow::set_capability(90); }
};

TEST_F(MathModeConvolution, KnowsWhatAGpuLacks) {
  const Capability turing(75);
  EXPECT_ERROR(make_net(MathMode::kBf16, kChain),
               "math mode BF16: the GPU has compute capability 7.5");
  EXPECT_EQ(error_of([] { make_net(MathMode::kFp16, kChain); }), "");
  // TF32 is float there.
  this->add_bottom({2, 3, 6, 5});
  const std::string text = with_engine(convolution("num_output: 4 kernel_size: 3"), "CAFFE");
  EXPECT_EQ(in_mode(MathMode::kTf32, text), in_mode(MathMode::kFloat, text));
  const Capability ampere(80);
  EXPECT_EQ(error_of([] { make_net(MathMode::kBf16, kChain); }), "");
  EXPECT_NE(in_mode(MathMode::kTf32, text), in_mode(MathMode::kFloat, text));
}

/// From the images to the last convolution and back, only these, the weights, and the last gradient
/// are converted, which begin and end as floats.
TEST_F(MathModeConvolution, ConvertsNothingBetweenLayersThatFollow) {
  for (const MathMode mode : {MathMode::kFp16, MathMode::kBf16}) {
    Net<float> net = make_net(mode, kChain);
    Blob<float>& images = *net.blob_by_name("data");
    Blob<float>& last = *net.blob_by_name("conv2");
    for (int iteration = 0; iteration < 2; ++iteration) {
      this->fill_random(&images, 1);
      for (const auto& layer : net.layers()) {
        for (const auto& blob : layer->blobs()) blob->mutable_gpu_data();  // as an update does
      }
      int64_t before = reorder_count();
      net.Forward();
      EXPECT_EQ(reorder_count() - before, 1 + 4) << "the images and four weights";
      EXPECT_EQ(data_format(last).type,
                mode == MathMode::kFp16 ? ValueType::kFloat16 : ValueType::kBfloat16);
      this->fill_random(&last, 2);
      std::copy_n(last.cpu_data(), last.count(), last.mutable_cpu_diff());
      before = reorder_count();
      net.Backward();
      EXPECT_EQ(reorder_count() - before, 1) << "the last gradient";
      EXPECT_TRUE(is_half(diff_format(images).type));
      for (const char* const name : {"conv1", "enhanced", "norm1", "sum", "join"}) {
        EXPECT_EQ(net.blob_by_name(name)->data()->gpu_memory(), nullptr) << name;
      }
    }
  }
}

/// The whole chain is near float's.
TEST_F(MathModeConvolution, GivesAChainsResultsWithinItsRoundings) {
  Net<float> plain = make_net(MathMode::kFloat, kChain);
  const auto results = [this](Net<float>* net) {
    this->fill_random(net->blob_by_name("data").get(), 1);
    net->Forward();
    Blob<float>& last = *net->blob_by_name("conv2");
    std::vector<double> all = this->data(last);
    this->fill_random(&last, 2);
    std::copy_n(last.cpu_data(), last.count(), last.mutable_cpu_diff());
    net->ClearParamDiffs();
    net->Backward();
    for (const Blob<float>* param : net->learnable_params()) {
      const std::vector<double> own = this->diff(*param);
      all.insert(all.end(), own.begin(), own.end());
    }
    return all;
  };
  const std::vector<double> expected = results(&plain);
  double size = 0;
  for (const double value : expected) size += value * value;
  double error_of_tf32 = 0;
  for (const MathMode mode : {MathMode::kTf32, MathMode::kFp16, MathMode::kBf16}) {
    Net<float> net = make_net(mode, kChain);
    const std::vector<double> found = results(&net);
    double error = 0;
    for (size_t i = 0; i < found.size(); ++i) error += std::pow(found[i] - expected[i], 2);
    // Some 20 roundings on the longest way, which add up like random ones.
    EXPECT_LT(std::sqrt(error / size), 20 * unit(mode)) << math_mode_name(mode);
    EXPECT_GT(std::sqrt(error / size), unit(mode) / 20) << math_mode_name(mode);
    if (mode == MathMode::kTf32) error_of_tf32 = error;
  }
  EXPECT_GT(error_of_tf32, 0);
}

}  // namespace caffe
