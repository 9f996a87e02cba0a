#ifndef TESTS_CPP_CAFFE_LAYERS_GRADIENT_CHECKER_HPP_
#define TESTS_CPP_CAFFE_LAYERS_GRADIENT_CHECKER_HPP_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/cpp/caffe_layers/layer_helpers.hpp"

/// Compares a layer's gradients with central differences of L = sum over tops t, elements i of
/// w_t[i] * t[i], w random. Also works in place: bottoms are filled again before every forward.
///   checked  the bottoms whose gradient is compared; the others get propagate_down = false
/// A failure names the blob and the element. The tolerance is relative, with a floor of 1.
template <typename T>
void check_gradients(caffe::Layer<T>* layer, const Blobs<T>& bottoms, const Blobs<T>& tops,
                     const std::vector<int>& checked) {
  const double step = sizeof(T) == 4 ? 1e-2 : 1e-5, tolerance = sizeof(T) == 4 ? 2e-3 : 1e-7;
  std::vector<std::vector<T>> inputs, weights;
  for (auto* bottom : bottoms) inputs.push_back(values(*bottom));
  layer->SetUp(bottoms, tops);
  for (auto* top : tops) weights.push_back(random_values<T>(top->count(), 77));

  const auto objective = [&] {
    for (size_t b = 0; b < bottoms.size(); ++b) fill(bottoms[b], inputs[b]);
    layer->Forward(bottoms, tops);
    double sum = 0;
    for (size_t t = 0; t < tops.size(); ++t) {
      for (int i = 0; i < tops[t]->count(); ++i)
        sum += double(weights[t][i]) * tops[t]->cpu_data()[i];
    }
    return sum;
  };

  objective();
  for (size_t t = 0; t < tops.size(); ++t)
    std::copy_n(weights[t].data(), tops[t]->count(), tops[t]->mutable_cpu_diff());
  std::vector<bool> down(bottoms.size(), false);
  for (int b : checked) down[b] = true;
  layer->Backward(tops, down, bottoms);
  for (int b : checked) {
    const std::vector<T> analytic(bottoms[b]->cpu_diff(),
                                  bottoms[b]->cpu_diff() + bottoms[b]->count());
    for (int i = 0; i < bottoms[b]->count(); ++i) {
      const T value = inputs[b][i];
      inputs[b][i] = value + T(step);
      double numeric = objective();
      const double width = double(inputs[b][i]) - double(T(value - T(step)));
      inputs[b][i] = value - T(step);
      numeric = (numeric - objective()) / width;
      inputs[b][i] = value;
      const double scale = std::max({1., std::abs(numeric), std::abs(double(analytic[i]))});
      ASSERT_NEAR(analytic[i], numeric, tolerance * scale)
          << "gradient of bottom[" << b << "], element " << i << " of "
          << bottoms[b]->shape_string();
    }
  }
}

#endif  // TESTS_CPP_CAFFE_LAYERS_GRADIENT_CHECKER_HPP_
