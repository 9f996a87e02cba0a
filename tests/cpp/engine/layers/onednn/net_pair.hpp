#ifndef TESTS_CPP_ENGINE_LAYERS_ONEDNN_NET_PAIR_HPP_
#define TESTS_CPP_ENGINE_LAYERS_ONEDNN_NET_PAIR_HPP_

// The adapters to oneDNN are for float; the same net in double runs the plain layers and gives the
// expected results.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/util/reorder_count.hpp"
#include "fixtures.hpp"
#include "google/protobuf/text_format.h"

#ifdef USE_ONEDNN
#include "caffe/layers/onednn/memory.hpp"
#endif

namespace caffe {

/// Every blob gets a gradient, including the inputs, unless the text says `force_backward: false`.
inline NetParameter parse_net(const std::string& text, Phase phase = TRAIN) {
  NetParameter param;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param)) << text;
  if (!param.has_force_backward()) param.set_force_backward(true);
  param.mutable_state()->set_phase(phase);
  return param;
}

inline bool has_onednn() {
  static const bool has = error_of([] {
                            LayerParameter param;
                            param.set_name("x");
                            param.set_type("ReLU");
                            param.mutable_relu_param()->set_engine(ReLUParameter::ONEDNN);
                            LayerRegistry<float>::CreateLayer(param);
                          }).empty();
  return has;
}

/// Channels in a block of a blob's data, 16 or 8; 0 if the data is plain.
inline int block_of(const Blob<float>& blob) {
#ifdef USE_ONEDNN
  return onednn::channel_block(onednn::layout_of(blob));
#else
  (void)blob;
  return 0;
#endif
}

#if defined(__x86_64__)
constexpr bool kIsX86 = true;
#else
constexpr bool kIsX86 = false;
#endif

/// Whether oneDNN has fast code for convolutions here, in blocks of channels. For 64-bit ARM it has
/// some for processors with vectors of 512 bits (SVE) alone, and the plain layers do the work.
inline bool has_blocks() {
  if (kIsX86 || !has_onednn()) return has_onednn();
  Net<float> net(parse_net(
      "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 1 dim: 32 dim: 8 dim: 8 "
      "} } } layer { name: 'y' type: 'Convolution' bottom: 'x' top: 'y' convolution_param { "
      "num_output: 32 kernel_size: 3 } }"));
  net.Forward();
  return block_of(*net.blob_by_name("y")) != 0;
}

/// One net in both types, with the same weights, inputs and gradients of the outputs.
class NetPair {
 public:
  explicit NetPair(const std::string& text, Phase phase = TRAIN, int seed = 1)
      : seed(seed), judge(parse_net(text, phase)), net(parse_net(text, phase)), random_(seed) {
    judge.add_before_forward(&watcher_);  // its layers run one by one
    for (const auto& param : judge.params()) fill(param.get(), -0.5, 0.5);
    copy_params();
    fill_inputs();
  }

  /// Values uniform in [low, high), or, with `steps`, that many different values.
  void fill_inputs(double low = -1, double high = 1, int steps = 0) {
    for (int i = 0; i < judge.num_inputs(); ++i) {
      fill(judge.input_blobs()[i], low, high, steps);
      copy(*judge.input_blobs()[i], net.input_blobs()[i]);
    }
  }

  /// The layer's output is its bottom in oneDNN's layout.
  void make_identity(const std::string& convolution) {
    Blob<double>& weights = *judge.layer_by_name(convolution)->blobs()[0];
    for (int o = 0; o < weights.shape(0); ++o) {
      for (int i = 0; i < weights.shape(1); ++i) {
        weights.mutable_cpu_data()[weights.offset(o, i)] = o == i ? 1 : 0;
      }
    }
    copy_params();
  }

  void copy_params() {
    NetParameter values;
    judge.ToProto(&values);
    net.CopyTrainedLayersFrom(values);
  }

  /// Both forward; returns the number of conversions in `net`.
  int64_t forward() {
    judge.Forward();
    const int64_t before = reorder_count();
    net.Forward();
    return reorder_count() - before;
  }

  /// Both backward from random gradients of the outputs; likewise.
  int64_t backward() {
    for (int i = 0; i < judge.num_outputs(); ++i) {
      Blob<double>* const from = judge.output_blobs()[i];
      Blob<float>* const to = net.output_blobs()[i];
      for (int k = 0; k < from->count(); ++k) {
        to->mutable_cpu_diff()[k] = static_cast<float>(draw(-1, 1));
        from->mutable_cpu_diff()[k] = to->cpu_diff()[k];
      }
    }
    judge.Backward();
    const int64_t before = reorder_count();
    net.Backward();
    return reorder_count() - before;
  }

  /// Data and gradient of every blob and every parameter.
  void expect_equal(double tolerance = 1e-5) const {
    for (size_t i = 0; i < net.blobs().size(); ++i) {
      expect_near(*net.blobs()[i], *judge.blobs()[i], net.blob_names()[i], tolerance);
    }
    for (size_t i = 0; i < net.params().size(); ++i) {
      expect_near(*net.params()[i], *judge.params()[i], "param " + std::to_string(i), tolerance);
    }
  }

  /// Forward, backward twice, so that gradients of parameters add up, and compares.
  void run_and_compare(double tolerance = 1e-5) {
    forward();
    backward();
    backward();
    expect_equal(tolerance);
  }

  static void copy(const Blob<double>& from, Blob<float>* to) {
    float* const values = to->mutable_cpu_data();
    for (int i = 0; i < from.count(); ++i) values[i] = static_cast<float>(from.cpu_data()[i]);
  }

  const int seed;
  Net<double> judge;
  Net<float> net;

 private:
  double draw(double low, double high) {
    return static_cast<float>(std::uniform_real_distribution<double>(low, high)(random_));
  }
  void fill(Blob<double>* blob, double low, double high, int steps = 0) {
    double* const values = blob->mutable_cpu_data();
    for (int i = 0; i < blob->count(); ++i) {
      const double value = draw(low, high);
      values[i] = steps == 0 ? value : std::floor(value * steps / (high - low));
    }
  }
  static void expect_near(const Blob<float>& found, const Blob<double>& expected,
                          const std::string& name, double tolerance) {
    ASSERT_EQ(found.shape(), expected.shape());
    const auto compare = [&](const float* a, const double* b, const char* what) {
      double scale = 1;
      for (int i = 0; i < found.count(); ++i) scale = std::max(scale, std::abs(b[i]));
      for (int i = 0; i < found.count(); ++i) {
        ASSERT_NEAR(a[i], b[i], tolerance * scale) << what << " of " << name << ", element " << i;
      }
    };
    compare(found.cpu_data(), expected.cpu_data(), "data");
    compare(found.cpu_diff(), expected.cpu_diff(), "gradient");
  }

  struct Watcher : Net<double>::Callback {
    void run(int) override {}
  };

  Watcher watcher_;
  std::mt19937 random_;
};

/// For tests that expect oneDNN to compute certain convolutions: those that it has code for on
/// x86-64.
#define SKIP_UNLESS_X86() \
  if (!kIsX86) GTEST_SKIP() << "which convolutions oneDNN computes fast is known for x86-64"

/// For tests of the layout that passes from layer to layer.
#define SKIP_WITHOUT_BLOCKS() \
  if (!has_blocks()) GTEST_SKIP() << "oneDNN has no fast convolution for this processor"

/// Skipped if the engine was built without oneDNN.
class OneDnn : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_onednn()) GTEST_SKIP() << "no oneDNN";
    Caffe::set_mode(Caffe::CPU);
    Caffe::set_random_seed(1701);
  }

  static std::string input(int n, int c, int h, int w) {
    std::string text = "layer { name: 'input' type: 'Input' top: 'x' input_param { shape { ";
    for (const int length : {n, c, h, w}) text += "dim: " + std::to_string(length) + " ";
    return text + "} } }\n";
  }
  /// Names, type and parameters of a layer of one bottom and one top.
  static std::string layer(const std::string& type, const std::string& bottom,
                           const std::string& top, const std::string& rest = "") {
    const std::string name = bottom == top ? type + "_" + top : top;
    return "layer { name: '" + name + "' type: '" + type + "' bottom: '" + bottom + "' top: '" +
           top + "' " + rest + " }\n";
  }
  static std::string conv(const std::string& bottom, const std::string& top, int outputs,
                          const std::string& rest = "kernel_size: 3 pad: 1") {
    return layer("Convolution", bottom, top,
                 "convolution_param { num_output: " + std::to_string(outputs) + " " + rest + " }");
  }
};

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_LAYERS_ONEDNN_NET_PAIR_HPP_
