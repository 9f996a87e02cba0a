#ifndef TESTS_CPP_CAFFE_LAYERS_LAYER_HELPERS_HPP_
#define TESTS_CPP_CAFFE_LAYERS_LAYER_HELPERS_HPP_

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layer_factory.hpp"
#include "tests/cpp/devices.hpp"

template <typename T>
using Blobs = std::vector<caffe::Blob<T>*>;

/// Creates a layer as a net does: by type, through the registry. The pointer type is the host's:
/// Boost's in BVLC Caffe, the standard library's in the engine.
template <typename T>
auto make_layer(const std::string& type, const std::string& param_str = "") {
  caffe::LayerParameter param;
  param.set_name("layer under test");
  param.set_type(type);
  for (const char* blob : {"bottom0", "bottom1"}) param.add_bottom(blob);
  param.add_top("top0");
  if (!param_str.empty()) param.mutable_python_param()->set_param_str(param_str);
  return caffe::LayerRegistry<T>::CreateLayer(param);
}

template <typename T>
std::vector<T> random_values(int count, int seed, double low = -1, double high = 1) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  std::vector<T> all(count);
  for (T& v : all) v = static_cast<T>(uniform(random));
  return all;
}

template <typename T>
std::vector<T> values(const caffe::Blob<T>& blob) {
  return std::vector<T>(blob.cpu_data(), blob.cpu_data() + blob.count());
}

template <typename T>
void fill(caffe::Blob<T>* blob, const std::vector<T>& from) {
  std::copy(from.begin(), from.end(), blob->mutable_cpu_data());
}

/// The message that `statement` throws; "" if it throws nothing.
template <typename F>
std::string message_of(const F& statement) {
  try {
    statement();
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

#endif  // TESTS_CPP_CAFFE_LAYERS_LAYER_HELPERS_HPP_
