#ifndef TESTS_CPP_ENGINE_LAYERS_LAYER_TEST_HPP_
#define TESTS_CPP_ENGINE_LAYERS_LAYER_TEST_HPP_

// The base of every layer's test: a fixture for each number type and device, and the check of
// gradients against central differences.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layer_factory.hpp"
#include "fixtures.hpp"
#include "google/protobuf/text_format.h"
#include "tests/cpp/devices.hpp"

namespace caffe {

using ::DtypesAndDevices;
using ::DtypesDevicesAndEngines;
using ::On;

/// How gradients are compared. A difference of more than `tolerance` times the larger of both
/// values, or of 1, fails. Values within `kink_range` of +-`kink` (for example the kink of ReLU)
/// are skipped.
struct GradientOptions {
  double step = 0;       // 0: 1e-2 for float, 1e-5 for double
  double tolerance = 0;  // 0: 2e-3 for float, 1e-6 for double
  double kink = 0;
  double kink_range = -1;
  std::vector<int> bottoms = {0};  // those with a gradient to compare
  bool params = true;              // also compare the gradients of the parameters
};

/// A layer, its bottoms and its tops. TypeParam is On<Dtype, mode>.
template <typename TypeParam>
class LayerTest : public DeviceTest<TypeParam> {
 public:
  typedef typename TypeParam::Dtype Dtype;
  typedef std::vector<Blob<Dtype>*> Blobs;

 protected:
  void SetUp() override {
    DeviceTest<TypeParam>::SetUp();
    if (!this->IsSkipped()) Caffe::set_random_seed(1701);
  }

  /// Adds a bottom of that shape with values uniform in [low, high).
  Blob<Dtype>* add_bottom(const std::vector<int>& shape, double low = -1, double high = 1) {
    bottom_blobs_.push_back(std::make_shared<Blob<Dtype>>(shape));
    bottom.push_back(bottom_blobs_.back().get());
    fill_random(bottom.back(), 100 + static_cast<int>(bottom.size()), low, high);
    return bottom.back();
  }
  /// Adds a bottom with these values.
  Blob<Dtype>* add_bottom(const std::vector<int>& shape, const std::vector<double>& values) {
    Blob<Dtype>* blob = add_bottom(shape);
    EXPECT_EQ(static_cast<size_t>(blob->count()), values.size());
    std::copy(values.begin(), values.end(), blob->mutable_cpu_data());
    return blob;
  }
  Blob<Dtype>* add_top() {
    top_blobs_.push_back(std::make_shared<Blob<Dtype>>());
    top.push_back(top_blobs_.back().get());
    return top.back();
  }

  /// The layer that `text` describes, created as by a net; `text` is the content of layer { },
  /// without bottoms and tops.
  std::shared_ptr<Layer<Dtype>> make(const std::string& text, Phase phase = TRAIN) {
    LayerParameter param;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param)) << text;
    if (!param.has_name()) param.set_name("under_test");
    param.set_phase(phase);
    return LayerRegistry<Dtype>::CreateLayer(param);
  }
  /// Sets up and runs forward.
  std::shared_ptr<Layer<Dtype>> forward(const std::string& text, Phase phase = TRAIN) {
    if (top.empty()) add_top();
    std::shared_ptr<Layer<Dtype>> layer = make(text, phase);
    layer->SetUp(bottom, top);
    layer->Forward(bottom, top);
    return layer;
  }
  static std::vector<double> data(const Blob<Dtype>& blob) {
    return std::vector<double>(blob.cpu_data(), blob.cpu_data() + blob.count());
  }
  static std::vector<double> diff(const Blob<Dtype>& blob) {
    return std::vector<double>(blob.cpu_diff(), blob.cpu_diff() + blob.count());
  }
  static void expect_near(const std::vector<double>& values, const std::vector<double>& expected,
                          double tolerance = sizeof(Dtype) == 4 ? 1e-5 : 1e-12) {
    ASSERT_EQ(values.size(), expected.size());
    for (size_t i = 0; i < values.size(); ++i) {
      const double scale = std::max(1., std::abs(expected[i]));
      ASSERT_NEAR(values[i], expected[i], tolerance * scale) << "element " << i;
    }
  }
  static void fill_random(Blob<Dtype>* blob, int seed, double low = -1, double high = 1) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> uniform(low, high);
    for (int i = 0; i < blob->count(); ++i) {
      blob->mutable_cpu_data()[i] = static_cast<Dtype>(uniform(random));
    }
  }

  /// Compares the layer's gradients with central differences of L = sum over tops t and elements i
  /// of w_t[i] t[i], w random; with `loss_layer`, of L = the layer's own loss. Also works in place
  /// (give the bottom as top) and with random layers: each forward starts from the same seed. A
  /// failure names blob and element.
  void check_gradient(const std::string& text, const GradientOptions& options = {},
                      bool loss_layer = false, Phase phase = TRAIN) {
    if (top.empty()) add_top();
    std::shared_ptr<Layer<Dtype>> layer = make(text, phase);
    std::vector<std::vector<Dtype>> inputs;
    for (const Blob<Dtype>* blob : bottom) {
      inputs.emplace_back(blob->cpu_data(), blob->cpu_data() + blob->count());
    }
    layer->SetUp(bottom, top);
    std::vector<std::vector<double>> weights(top.size());
    const auto objective = [&] {
      for (size_t b = 0; b < bottom.size(); ++b) {
        std::copy(inputs[b].begin(), inputs[b].end(), bottom[b]->mutable_cpu_data());
      }
      Caffe::set_random_seed(1701);
      const double loss = layer->Forward(bottom, top);
      if (loss_layer) return loss;
      double sum = 0;
      for (size_t t = 0; t < top.size(); ++t) {
        const Dtype* const values = top[t]->cpu_data();
        for (int i = 0; i < top[t]->count(); ++i) sum += weights[t][i] * values[i];
      }
      return sum;
    };
    std::mt19937 random(77);
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (size_t t = 0; t < top.size(); ++t) {
      weights[t].resize(top[t]->count());
      for (double& w : weights[t]) w = static_cast<Dtype>(uniform(random));
    }
    objective();
    if (!loss_layer) {
      for (size_t t = 0; t < top.size(); ++t) {
        std::copy(weights[t].begin(), weights[t].end(), top[t]->mutable_cpu_diff());
      }
    }
    std::vector<bool> down(bottom.size(), false);
    for (const int b : options.bottoms) down[b] = true;
    for (size_t p = 0; p < layer->blobs().size(); ++p) {
      layer->set_param_propagate_down(static_cast<int>(p), options.params);
      Blob<Dtype>* const blob = layer->blobs()[p].get();
      std::fill_n(blob->mutable_cpu_diff(), blob->count(), Dtype(0));
    }
    layer->Backward(top, down, bottom);

    for (const int b : options.bottoms) {
      const std::vector<double> analytic = diff(*bottom[b]);
      compare("bottom[" + std::to_string(b) + "]", analytic, inputs[b].data(), options, objective);
      if (this->HasFatalFailure()) return;
    }
    if (!options.params) return;
    for (size_t p = 0; p < layer->blobs().size(); ++p) {
      const std::vector<double> analytic = diff(*layer->blobs()[p]);
      Dtype* const values = layer->blobs()[p]->mutable_cpu_data();
      const auto again = [&] {
        layer->blobs()[p]->mutable_cpu_data();  // its GPU copy is out of date
        return objective();
      };
      compare("param " + std::to_string(p), analytic, values, options, again);
      layer->blobs()[p]->mutable_cpu_data();  // the GPU's copy has the last changed value
      if (this->HasFatalFailure()) return;
    }
  }

  Blobs bottom, top;

 private:
  template <typename F>
  static void compare(const std::string& what, const std::vector<double>& analytic, Dtype* values,
                      const GradientOptions& options, const F& objective) {
    const bool is_float = sizeof(Dtype) == 4;
    const double step = options.step > 0 ? options.step : is_float ? 1e-2 : 1e-5;
    const double tolerance = options.tolerance > 0 ? options.tolerance : is_float ? 2e-3 : 1e-6;
    for (size_t i = 0; i < analytic.size(); ++i) {
      const Dtype value = values[i];
      if (std::abs(std::abs(double(value)) - options.kink) <= options.kink_range) continue;
      const Dtype above = static_cast<Dtype>(value + step);
      const Dtype below = static_cast<Dtype>(value - step);
      values[i] = above;
      const double high = objective();
      values[i] = below;
      const double low = objective();
      values[i] = value;
      const double numeric = (high - low) / (double(above) - double(below));
      const double scale = std::max({1., std::abs(numeric), std::abs(analytic[i])});
      ASSERT_NEAR(analytic[i], numeric, tolerance * scale)
          << "gradient of " << what << ", element " << i << " (value " << value << ")";
    }
  }

  std::vector<std::shared_ptr<Blob<Dtype>>> bottom_blobs_, top_blobs_;
};

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_LAYERS_LAYER_TEST_HPP_
