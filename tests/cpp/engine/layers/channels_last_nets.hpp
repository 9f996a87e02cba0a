#ifndef TESTS_CPP_ENGINE_LAYERS_CHANNELS_LAST_NETS_HPP_
#define TESTS_CPP_ENGINE_LAYERS_CHANNELS_LAST_NETS_HPP_

// Small nets for tests of the order of values on a GPU. In their text CONVOLUTION stands for the
// type of their convolutions.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include "caffe/net.hpp"
#include "caffe/util/device.hpp"
#include "fixtures.hpp"
#include "google/protobuf/text_format.h"

namespace caffe {

class ChannelsLastNet : public GpuTest {
 protected:
  static std::string layer(const std::string& type, const std::string& bottom,
                           const std::string& top, const std::string& rest = "") {
    return "layer { type: '" + type + "' name: '" + top + (bottom == top ? "_" + type : "") +
           "' bottom: '" + bottom + "' top: '" + top + "' " + rest + " }\n";
  }
  static std::string conv(const std::string& bottom, const std::string& top, int channels,
                          const std::string& rest) {
    return layer("CONVOLUTION", bottom, top,
                 "convolution_param { num_output: " + std::to_string(channels) +
                     " weight_filler { type: 'msra' } bias_filler { type: 'uniform' } " + rest +
                     " }");
  }
  static std::string pool(const std::string& bottom, const std::string& top) {
    return layer("Pooling", bottom, top, "pooling_param { kernel_size: 3 stride: 2 }");
  }
  static std::string lrn(const std::string& bottom, const std::string& top) {
    return layer("LRN", bottom, top, "lrn_param { local_size: 5 alpha: 0.1 beta: 0.75 }");
  }
  static std::string norm(const std::string& blob) {
    return layer("BatchNorm", blob, blob) +
           layer("Scale", blob, blob, "scale_param { bias_term: true }");
  }
  static std::string dense(const std::string& bottom, const std::string& top, int outputs) {
    return layer("InnerProduct", bottom, top,
                 "inner_product_param { num_output: " + std::to_string(outputs) +
                     " weight_filler { type: 'xavier' } }");
  }
  static std::string data(int images, int size) {
    return "layer { type: 'Input' name: 'data' top: 'data' top: 'label' input_param { shape { "
           "dim: " +
           std::to_string(images) + " dim: 3 dim: " + std::to_string(size) +
           " dim: " + std::to_string(size) + " } shape { dim: " + std::to_string(images) +
           " } } }\n";
  }
  static std::string loss(const std::string& bottom) {
    return "layer { type: 'SoftmaxWithLoss' name: 'loss' bottom: '" + bottom +
           "' bottom: 'label' top: 'loss' }\n";
  }
  /// AlexNet's layers, with fewer values.
  static std::string alexnet(bool enhance) {
    return data(3, 67) + conv("data", "conv1", 16, "kernel_size: 11 stride: 4") +
           layer("ReLU", "conv1", "conv1") +
           (enhance ? layer("Enhancement", "conv1", "conv1") : "") + lrn("conv1", "norm1") +
           pool("norm1", "pool1") + conv("pool1", "conv2", 16, "kernel_size: 5 pad: 2 group: 2") +
           layer("ReLU", "conv2", "conv2") + lrn("conv2", "norm2") + pool("norm2", "pool2") +
           conv("pool2", "conv3", 20, "kernel_size: 3 pad: 1") + layer("ReLU", "conv3", "conv3") +
           conv("conv3", "conv4", 20, "kernel_size: 3 pad: 1 group: 2") +
           layer("ReLU", "conv4", "conv4") + conv("conv4", "conv5", 12, "kernel_size: 3 pad: 1") +
           layer("ReLU", "conv5", "conv5") +
           layer("Pooling", "conv5", "pool5", "pooling_param { kernel_size: 2 }") +
           dense("pool5", "fc6", 24) + layer("ReLU", "fc6", "fc6") +
           layer("Dropout", "fc6", "fc6") + dense("fc6", "fc8", 5) + loss("fc8");
  }
  static std::string resnet() {
    return data(4, 33) +
           conv("data", "conv1", 16, "kernel_size: 7 stride: 2 pad: 3 bias_term: false") +
           norm("conv1") + layer("ReLU", "conv1", "conv1") + pool("conv1", "pool1") +
           block("pool1", "a", 24) + block("a", "b", 24) +
           layer("Pooling", "b", "pool5", "pooling_param { pool: AVE global_pooling: true }") +
           dense("pool5", "fc", 5) + loss("fc");
  }
  static std::string block(const std::string& bottom, const std::string& top, int channels) {
    const std::string one = top + "_1", two = top + "_2", side = top + "_0";
    return conv(bottom, side, channels, "kernel_size: 1 bias_term: false") + norm(side) +
           conv(bottom, one, 8, "kernel_size: 1 bias_term: false") + norm(one) +
           layer("ReLU", one, one) + conv(one, two, channels, "kernel_size: 3 pad: 1") + norm(two) +
           "layer { type: 'Eltwise' name: '" + top + "' bottom: '" + side + "' bottom: '" + two +
           "' top: '" + top + "' }\n" + layer("ReLU", top, top);
  }
  /// Two branches that are joined.
  static std::string inception() {
    return data(2, 17) + conv("data", "a", 8, "kernel_size: 3") + layer("PReLU", "a", "a") +
           conv("a", "b", 5, "kernel_size: 1") + conv("a", "c", 9, "kernel_size: 3 pad: 1") +
           "layer { type: 'Concat' name: 'd' bottom: 'b' bottom: 'c' top: 'd' }\n" +
           layer("Dropout", "d", "d") + dense("d", "fc", 5) + loss("fc");
  }

  static NetParameter parse(std::string text, const std::string& convolution) {
    const std::string place = "CONVOLUTION";
    for (size_t at; (at = text.find(place)) != std::string::npos;) {
      text.replace(at, place.size(), convolution);
    }
    NetParameter param;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param)) << text;
    param.mutable_state()->set_phase(TRAIN);
    return param;
  }

  template <typename T>
  static void fill(Net<T>* net, int seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> uniform(-1, 1);
    Blob<T>& images = *net->blob_by_name("data");
    Blob<T>& labels = *net->blob_by_name("label");
    for (int i = 0; i < images.count(); ++i) images.mutable_cpu_data()[i] = T(uniform(random));
    for (int i = 0; i < labels.count(); ++i) labels.mutable_cpu_data()[i] = T(i % 5);
  }

  template <typename T>
  static void expect_near(const T* found, const T* expected, int count, const std::string& what) {
    double scale = 1e-3;
    for (int i = 0; i < count; ++i) scale = std::max(scale, std::abs(double(expected[i])));
    for (int i = 0; i < count; ++i) {
      ASSERT_NEAR(found[i], expected[i], 1e-5 * scale) << what << ", element " << i;
    }
  }
};

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_LAYERS_CHANNELS_LAST_NETS_HPP_
