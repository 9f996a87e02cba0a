// The math mode BF16: what is stored in bfloat16 numbers, and how far results may be from those in
// float.
//
// A number is rounded to the nearest of 8 significant bits, so it is off by at most u = 2^-8 of its
// size. A product of two such numbers is off by 2 u of its size, and so is a sum of products, of
// the sum of their sizes; a result that is stored is rounded once more. Floats add errors of 2^-24
// of the sum of sizes for each term: kFloats is that for 1600 terms.
//
// What is counted (conversions, bytes) is that where oneDNN stores bfloat16 numbers in blocks of
// channels, as in float; other versions and processors (AMX) may have the channels last, and then
// the layers behind a convolution convert. What is rounded holds everywhere.

#include <cstdlib>

#include "caffe/util/bf16.hpp"
#include "caffe/util/math_mode.hpp"
#include "layers/onednn/net_pair.hpp"

namespace caffe {

namespace {

constexpr double kRounding = 1. / 256, kFloats = 1e-4;

/// The bytes that a blob's data or gradient takes in a layout of oneDNN's; 0 if it is plain.
size_t stored_bytes(const Blob<float>& blob, bool diff) {
#ifdef USE_ONEDNN
  const auto part = diff ? onednn::Part::kDiff : onednn::Part::kData;
  const auto copy = onednn::current_copy(blob, part);
  return copy == nullptr ? 0 : copy->layout().get_size();
#else
  (void)blob, (void)diff;
  return 0;
#endif
}

std::unique_ptr<Net<float>> net_in_bf16(const NetParameter& param) {
  const MathModeScope mode(MathMode::kBf16);
  return std::make_unique<Net<float>>(param);
}

/// A pair whose net of floats is in BF16.
struct Bf16Pair {
  explicit Bf16Pair(const std::string& text, Phase phase = TRAIN, int seed = 1)
      : judge(parse_net(text, phase)), net(net_in_bf16(parse_net(text, phase))), random(seed) {
    for (const auto& param : judge.params()) {
      if (param->num_axes() > 0) fill(param.get(), false);
    }
    copy_params();
  }

  double draw() {
    return static_cast<float>(std::uniform_real_distribution<double>(-1, 1)(random));
  }
  /// With `exact`, numbers that bfloat16 has.
  void fill(Blob<double>* blob, bool exact) {
    for (int i = 0; i < blob->count(); ++i) {
      const double value = draw();
      blob->mutable_cpu_data()[i] = exact ? std::floor(value * 64) / 64 : value;
    }
  }
  void fill_inputs(bool exact) {
    for (int i = 0; i < judge.num_inputs(); ++i) {
      fill(judge.input_blobs()[i], exact);
      NetPair::copy(*judge.input_blobs()[i], net->input_blobs()[i]);
    }
  }
  void copy_params() {
    NetParameter values;
    judge.ToProto(&values);
    net->CopyTrainedLayersFrom(values);
  }
  /// The convolution's top is its bottom.
  void make_identity(const std::string& name) {
    const auto& blobs = judge.layer_by_name(name)->blobs();
    Blob<double>& weights = *blobs[0];
    const int middle = weights.shape(2) / 2;
    caffe_set(weights.count(), 0., weights.mutable_cpu_data());
    for (int o = 0; o < weights.shape(0); ++o) {
      weights.mutable_cpu_data()[weights.offset(o, o, middle, middle)] = 1;
    }
    if (blobs.size() > 1) caffe_set(blobs[1]->count(), 0., blobs[1]->mutable_cpu_data());
    copy_params();
  }
  void set_gradients() {
    for (int i = 0; i < judge.num_outputs(); ++i) {
      Blob<double>* const from = judge.output_blobs()[i];
      for (int k = 0; k < from->count(); ++k) {
        from->mutable_cpu_diff()[k] = net->output_blobs()[i]->mutable_cpu_diff()[k] =
            static_cast<float>(draw());
      }
    }
  }
  int64_t forward() {
    judge.Forward();
    const int64_t before = reorder_count();
    net->Forward();
    return reorder_count() - before;
  }
  int64_t backward() {
    set_gradients();
    judge.Backward();
    const int64_t before = reorder_count();
    net->Backward();
    return reorder_count() - before;
  }
  const Blob<float>& blob(const std::string& name) const { return *net->blob_by_name(name); }

  Net<double> judge;
  std::unique_ptr<Net<float>> net;
  std::mt19937 random;
};

/// The same sums with all terms' sizes: what errors are a share of.
struct Sizes {
  explicit Sizes(const std::string& text, const Net<double>& net) : net(parse_net(text)) {
    for (size_t i = 0; i < net.params().size(); ++i) take(*net.params()[i], this->net.params()[i]);
    for (int i = 0; i < net.num_inputs(); ++i)
      take(*net.input_blobs()[i], this->net.input_blobs()[i]);
    this->net.Forward();
    for (int i = 0; i < net.num_outputs(); ++i) {
      const Blob<double>& from = *net.output_blobs()[i];
      for (int k = 0; k < from.count(); ++k) {
        this->net.output_blobs()[i]->mutable_cpu_diff()[k] = std::abs(from.cpu_diff()[k]);
      }
    }
    this->net.Backward();
  }
  template <typename To>
  static void take(const Blob<double>& from, const To& to) {
    for (int i = 0; i < from.count(); ++i) to->mutable_cpu_data()[i] = std::abs(from.cpu_data()[i]);
  }
  Net<double> net;
};

/// |found - expected| is at most share * size for each value; and some value is off by more than
/// floats would be.
template <typename Found>
void expect_within(int count, const Found* found, const double* expected, const double* sizes,
                   double share, const char* what) {
  double worst = 0;
  for (int i = 0; i < count; ++i) {
    const double error = std::abs(found[i] - expected[i]), size = sizes[i] + 1e-30;
    ASSERT_LE(error, share * size)
        << what << ", element " << i << ": " << found[i] << " and " << expected[i];
    worst = std::max(worst, error / size);
  }
  EXPECT_GT(worst, 1e-5) << what << ": nothing was rounded";
}

/// Channels in a block of a blob's data, floats or bfloat16 numbers; 0 if there are no blocks.
int stored_block_of(const Blob<float>& blob) {
#ifdef USE_ONEDNN
  return onednn::stored_block(onednn::layout_of(blob));
#else
  (void)blob;
  return 0;
#endif
}

/// Why nothing can be counted here; "" if it can.
std::string why_no_counts() {
  static const std::string why = [] {
    const MathModeScope mode(MathMode::kBf16);
    for (const int channels : {3, 32}) {
      Net<float> net(parse_net(
          "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 1 dim: " +
          std::to_string(channels) +
          " dim: 16 dim: 16 } } } layer { name: 'y' type: 'Convolution' bottom: 'x' top: 'y' "
          "convolution_param { num_output: 32 kernel_size: 3 } }"));
      Blob<float>& x = *net.input_blobs()[0];
      std::fill_n(x.mutable_cpu_data(), x.count(), 1.f);
      net.Forward();
      const Blob<float>& y = *net.blob_by_name("y");
      if (stored_block_of(y) == 0 || stored_bytes(y, false) != 2u * y.count()) {
        return std::string("oneDNN stores a convolution's bfloat16 numbers in no blocks here");
      }
    }
    return std::string();
  }();
  return why;
}

/// Forward and backward passes' conversions; nothing where they cannot be counted.
void expect_conversions(int64_t found, int64_t expected, const char* why) {
  if (why_no_counts().empty()) {
    EXPECT_EQ(found, expected) << why;
  }
}

void expect_16_bits(const Blob<float>& blob, bool diff, const std::string& name) {
  if (why_no_counts().empty()) {
    EXPECT_EQ(stored_bytes(blob, diff), 2u * blob.count()) << name << (diff ? "'s gradient" : "");
  }
}

double largest(int count, const double* values) {
  double result = 0;
  for (int i = 0; i < count; ++i) result = std::max(result, std::abs(values[i]));
  return result;
}

/// Each value is off by at most so many roundings of the largest.
void expect_roundings(const Bf16Pair& pair, const std::string& name, double of_data,
                      double of_gradient) {
  const Blob<float>& found = pair.blob(name);
  const Blob<double>& expected = *pair.judge.blob_by_name(name);
  const auto compare = [&](const float* a, const double* b, double roundings, const char* what) {
    const double most = (roundings * kRounding + kFloats) * largest(found.count(), b);
    for (int i = 0; i < found.count(); ++i) {
      ASSERT_NEAR(a[i], b[i], most) << what << " of " << name << ", element " << i;
    }
  };
  compare(found.cpu_data(), expected.cpu_data(), of_data, "data");
  compare(found.cpu_diff(), expected.cpu_diff(), of_gradient, "gradient");
}

/// A net of one convolution from x to y.
void check_convolution(const std::string& text) {
  Bf16Pair pair(text);
  pair.fill_inputs(false);
  expect_conversions(pair.forward(), 1, "the input is plain");
  expect_16_bits(pair.blob("y"), false, "y");
  pair.backward();
  expect_16_bits(pair.blob("x"), true, "x");
  const Sizes sizes(text, pair.judge);
  const double three = 3 * kRounding * 1.01 + kFloats;
  const Blob<double>&y = *pair.judge.blob_by_name("y"), &x = *pair.judge.blob_by_name("x");
  expect_within(y.count(), pair.blob("y").cpu_data(), y.cpu_data(),
                sizes.net.blob_by_name("y")->cpu_data(), three, "y");
  expect_within(x.count(), pair.blob("x").cpu_diff(), x.cpu_diff(),
                sizes.net.blob_by_name("x")->cpu_diff(), three, "dx");
  for (int i = 0; i < 2; ++i) {
    const Blob<double>& gradient = *pair.judge.params()[i];
    expect_within(gradient.count(), pair.net->params()[i]->cpu_diff(), gradient.cpu_diff(),
                  sizes.net.params()[i]->cpu_diff(), 2 * kRounding * 1.01 + kFloats, "dw");
  }
}

}  // namespace

/// Skipped where the CPU does not have it.
class OneDnnBf16 : public OneDnn {
 protected:
  void SetUp() override {
    OneDnn::SetUp();
    if (IsSkipped()) return;
    const string why = why_no_math_mode(MathMode::kBf16);
    if (!why.empty()) GTEST_SKIP() << why;
  }
  static std::string pool(const std::string& method) {
    return "pooling_param { pool: " + method + " kernel_size: 3 stride: 2 }";
  }
  /// A layer between two convolutions that only change the layout, on values that bfloat16 has.
  static std::string between(const std::string& middle, int channels = 32) {
    return input(2, channels, 9, 11) + conv("x", "a", channels, "kernel_size: 1") + middle +
           conv("b", "y", channels, "kernel_size: 1");
  }
  static void check_between(const std::string& middle, double of_data, double of_gradient,
                            int channels = 32) {
    SCOPED_TRACE(middle);
    Bf16Pair pair(between(middle, channels));
    pair.make_identity("a");
    pair.make_identity("y");
    pair.fill_inputs(true);
    for (int pass = 0; pass < 2; ++pass) {
      expect_conversions(pair.forward(), 1, "the input is plain");
      expect_conversions(pair.backward(), 2, "the input again, and the gradient that is given");
    }
    for (const char* const name : {"a", "b"}) {
      const Blob<float>& blob = pair.blob(name);
      expect_16_bits(blob, false, name);
      expect_16_bits(blob, true, name);
    }
    expect_roundings(pair, "b", of_data, 1);
    expect_roundings(pair, "a", 0, of_gradient);
  }
};

TEST(Bf16, RoundsToTheNearestAndKeepsNan) {
  const float eighth = 1.f / 128, values[] = {1,
                                              1 + eighth / 2,
                                              1 + 1.5f * eighth,
                                              1 + eighth * .51f,
                                              -3.25f,
                                              3.4e38f,
                                              INFINITY,
                                              NAN,
                                              0,
                                              -0.f};
  const float expected[] = {1, 1,   1 + 2 * eighth, 1 + eighth, -3.25f, INFINITY, INFINITY, NAN,
                            0, -0.f};
  constexpr int kCount = 10, kTimes = 20;  // more than a vector's values
  std::vector<float> from, to(kCount * kTimes);
  for (int i = 0; i < kTimes; ++i) from.insert(from.end(), values, values + kCount);
  std::vector<Bf16> stored(from.size());
  narrow(from.data(), static_cast<int64_t>(from.size()), stored.data());
  widen(stored.data(), static_cast<int64_t>(from.size()), to.data());
  for (size_t i = 0; i < to.size(); ++i) {
    const float wanted = expected[i % kCount];
    if (std::isnan(wanted)) {
      EXPECT_TRUE(std::isnan(to[i])) << i;
    } else {
      EXPECT_EQ(to[i], wanted) << from[i];
      EXPECT_EQ(std::signbit(to[i]), std::signbit(wanted));
    }
  }
}

TEST_F(OneDnnBf16, ConvolutionIsOffByItsRoundings) {
  for (const char* const shape : {"kernel_size: 3 pad: 1", "kernel_size: 1",
                                  "kernel_size: 1 stride: 2", "kernel_size: 5 pad: 2 group: 2",
                                  "kernel_size: 3 dilation: 2", "kernel_size: 7 stride: 2"}) {
    SCOPED_TRACE(shape);
    check_convolution(input(2, 32, 15, 13) + conv("x", "y", 64, shape));
  }
}

/// Of a shape for which every pass is the engine's own Winograd algorithm.
TEST_F(OneDnnBf16, WinogradsConvolutionIsOffByItsRoundings) {
  check_convolution(input(2, 128, 56, 56) + conv("x", "y", 128));
}

TEST_F(OneDnnBf16, ConvolutionOfImagesIsOffByItsRoundings) {
  const std::string text = input(3, 3, 35, 35) + conv("x", "y", 32, "kernel_size: 11 stride: 4");
  Bf16Pair pair(text);
  pair.fill_inputs(false);
  pair.forward();
  pair.backward();
  const Sizes sizes(text, pair.judge);
  const Blob<double>& y = *pair.judge.blob_by_name("y");
  expect_within(y.count(), pair.blob("y").cpu_data(), y.cpu_data(),
                sizes.net.blob_by_name("y")->cpu_data(), 3 * kRounding * 1.01 + kFloats, "y");
  const Blob<double>& gradient = *pair.judge.params()[0];
  expect_within(gradient.count(), pair.net->params()[0]->cpu_diff(), gradient.cpu_diff(),
                sizes.net.params()[0]->cpu_diff(), 2 * kRounding * 1.01 + kFloats, "dw");
}

// The gradient of `a` is a sum of multiples of those of `b`, which are rounded, and is rounded
// itself: in BatchNorm of three, by 1, 1 and the value squared, which is less than 3.3.
TEST_F(OneDnnBf16, OtherLayersAreOffByTheirRoundings) {
  check_between(layer("ReLU", "a", "b"), 1, 2);
  check_between(layer("ReLU", "a", "b", "relu_param { negative_slope: 0.25 }"), 1, 2);
  check_between(layer("ReLU6", "a", "b"), 1, 2);
  check_between(layer("Pooling", "a", "b", pool("MAX")), 1, 5);  // up to 4 windows
  check_between(layer("Pooling", "a", "b", pool("AVE")), 1, 5);
  check_between(layer("LRN", "a", "b", "lrn_param { local_size: 5 alpha: 0.1 }"), 1, 3);
  check_between(layer("BatchNorm", "a", "b"), 1, 6.3);
  check_between(layer("Scale", "a", "b", "scale_param { bias_term: true }"), 1, 2);
  check_between(layer("Enhancement", "a", "b"), 1, 3);
}

TEST_F(OneDnnBf16, SumsAndSplits) {
  Bf16Pair pair(input(2, 32, 9, 11) + conv("x", "a", 32, "kernel_size: 1") +
                layer("ReLU", "a", "r") +
                "layer { name: 'b' type: 'Eltwise' bottom: 'a' bottom: 'r' top: 'b' } " +
                conv("b", "y", 32, "kernel_size: 1"));
  pair.make_identity("a");
  pair.make_identity("y");
  pair.fill_inputs(true);
  expect_conversions(pair.forward(), 1, "the input is plain");
  expect_conversions(pair.backward(), 2, "the input again, and the gradient that is given");
  expect_16_bits(pair.blob("b"), false, "b");
  expect_roundings(pair, "b", 1, 1);
  expect_roundings(pair, "a", 0, 3);
}

TEST_F(OneDnnBf16, Concats) {
  for (const int channels : {32, 24}) {  // the second does not fill its blocks
    Bf16Pair pair(input(2, channels, 9, 11) + conv("x", "a", channels, "kernel_size: 1") +
                  conv("x", "c", channels, "kernel_size: 1") +
                  "layer { name: 'b' type: 'Concat' bottom: 'a' bottom: 'c' top: 'b' } " +
                  conv("b", "y", 2 * channels, "kernel_size: 1"));
    for (const char* const name : {"a", "c", "y"}) pair.make_identity(name);
    pair.fill_inputs(true);
    pair.forward();
    pair.backward();
    if (channels == 32) expect_16_bits(pair.blob("b"), false, "b");
    expect_roundings(pair, "b", 0, 1);
    expect_roundings(pair, "a", 0, 1);
  }
}

TEST_F(OneDnnBf16, ConvertsNothingBetweenConvolutionReluAndPooling) {
  if (!why_no_counts().empty()) GTEST_SKIP() << why_no_counts();
  Bf16Pair pair("force_backward: false " + input(3, 3, 67, 67) +
                conv("x", "conv1", 96, "kernel_size: 11 stride: 4") +
                layer("ReLU", "conv1", "conv1") + layer("Pooling", "conv1", "pool1", pool("MAX")) +
                layer("LRN", "pool1", "norm1", "lrn_param { local_size: 5 alpha: 0.0001 }") +
                layer("Enhancement", "norm1", "norm1") +
                conv("norm1", "conv2", 64, "kernel_size: 5 pad: 2 group: 2") +
                layer("ReLU", "conv2", "conv2") + layer("Pooling", "conv2", "pool2", pool("MAX")) +
                layer("Power", "pool2", "loss", "loss_weight: 1"));
  pair.fill_inputs(false);
  for (int iteration = 0; iteration < 2; ++iteration) {
    EXPECT_EQ(pair.forward(), 2) << "the images, and for the Power layer, which is a plain one";
    EXPECT_EQ(pair.backward(), 2) << "the images again, and the Power layer's gradient";
  }
  for (const char* const name : {"conv1", "pool1", "norm1", "conv2", "pool2"}) {
    EXPECT_EQ(stored_bytes(pair.blob(name), false), 2u * pair.blob(name).count()) << name;
  }
  for (const char* const name : {"conv1", "pool1", "norm1", "conv2"}) {
    EXPECT_EQ(stored_bytes(pair.blob(name), true), 2u * pair.blob(name).count()) << name;
  }
}

TEST_F(OneDnnBf16, GivesPlainFloatsToWhoAsks) {
  Bf16Pair pair(input(2, 16, 5, 7) + conv("x", "y", 16));
  pair.fill_inputs(false);
  pair.forward();
  const Blob<float>& y = pair.blob("y");
  std::vector<Bf16> stored(y.count());
  std::vector<float> again(y.count());
  narrow(y.cpu_data(), y.count(), stored.data());
  widen(stored.data(), y.count(), again.data());
  for (int i = 0; i < y.count(); ++i) EXPECT_EQ(y.cpu_data()[i], again[i]) << i;
}

TEST_F(OneDnnBf16, LeavesNanToTheRelu) {
  Bf16Pair pair(input(1, 16, 5, 7) + conv("x", "y", 16) + layer("ReLU", "y", "y") +
                conv("y", "z", 16) + layer("ReLU", "z", "z"));
  pair.fill_inputs(false);
  pair.net->input_blobs()[0]->mutable_cpu_data()[3] = NAN;
  pair.net->Forward();
  int found = 0;
  for (int i = 0; i < pair.blob("z").count(); ++i)
    found += std::isnan(pair.blob("z").cpu_data()[i]);
  EXPECT_GT(found, 0);
}

TEST_F(OneDnnBf16, FoldsWhileTesting) {
  const std::string text = input(2, 16, 9, 11) + conv("x", "y", 32) + layer("BatchNorm", "y", "y") +
                           layer("Scale", "y", "y", "scale_param { bias_term: true }") +
                           layer("ReLU", "y", "y");
  Bf16Pair pair(text, TEST);
  for (const auto& layer : pair.judge.layers()) {
    if (string(layer->type()) != "BatchNorm") continue;
    for (int i = 0; i < 32; ++i) layer->blobs()[1]->mutable_cpu_data()[i] = 1 + 0.1 * i;
    layer->blobs()[2]->mutable_cpu_data()[0] = 2;
  }
  pair.copy_params();
  pair.fill_inputs(false);
  pair.net->KeepOnly({});
  for (int pass = 0; pass < 2; ++pass) {
    pair.forward();
    const Blob<double>& y = *pair.judge.blob_by_name("y");
    const double most = 12 * kRounding * largest(y.count(), y.cpu_data());
    for (int i = 0; i < y.count(); ++i) {
      ASSERT_NEAR(pair.blob("y").cpu_data()[i], y.cpu_data()[i], most) << i;
    }
  }
}

}  // namespace caffe
