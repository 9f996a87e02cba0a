#ifndef TESTS_CPP_ENGINE_LAYERS_DETECTION_REGIONS_HPP_
#define TESTS_CPP_ENGINE_LAYERS_DETECTION_REGIONS_HPP_

// What the tests of layers with regions share.

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class RegionsTest : public LayerTest<TypeParam> {
 public:
  using typename LayerTest<TypeParam>::Dtype;

 protected:
  /// Adds a bottom R x 5: image, x1, y1, x2, y2.
  void add_regions(const std::vector<std::vector<double>>& regions) {
    std::vector<double> values;
    for (const auto& region : regions) values.insert(values.end(), region.begin(), region.end());
    this->add_bottom({static_cast<int>(regions.size()), 5}, values);
  }
  void add_random_regions(int count, int images, double width, double height) {
    this->add_bottom({count, 5});
    fill_regions(images, width, height);
  }
  /// Regions about an image of that size, some partly off it, some ending before they begin. Their
  /// corners have quarters.
  void fill_regions(int images, double width, double height) {
    std::mt19937 random(9);
    const auto in = [&](double low, double high) {
      return std::floor(std::uniform_real_distribution<double>(low, high)(random) * 4) / 4;
    };
    auto* roi = this->bottom[1]->mutable_cpu_data();
    for (int r = 0; r < this->bottom[1]->shape(0); ++r, roi += 5) {
      roi[0] = static_cast<Dtype>(r % images);
      roi[1] = static_cast<Dtype>(in(-width / 4, width));
      roi[2] = static_cast<Dtype>(in(-height / 4, height));
      roi[3] = static_cast<Dtype>(roi[1] + in(-width / 8, width));
      roi[4] = static_cast<Dtype>(roi[2] + in(-height / 8, height));
    }
  }
  /// Values in a random order that differ by 0.1 or more: small steps leave the largest where it
  /// is.
  static std::vector<double> apart(int count) {
    std::vector<double> values(count);
    std::iota(values.begin(), values.end(), -count / 2);
    std::shuffle(values.begin(), values.end(), std::mt19937(4));
    for (double& v : values) v *= 0.1;
    return values;
  }

  /// The values of a plane for which inside(row, column).
  template <typename Inside>
  static std::vector<double> covered(const Blob<Dtype>& maps, int image, int channel,
                                     const Inside& inside) {
    const int height = maps.shape(2), width = maps.shape(3);
    const Dtype* const plane = maps.cpu_data() + (image * maps.shape(1) + channel) * height * width;
    std::vector<double> found;
    for (int h = 0; h < height; ++h) {
      for (int w = 0; w < width; ++w) {
        if (inside(h, w)) found.push_back(plane[h * width + w]);
      }
    }
    return found;
  }
  /// The largest of them; 0 if there is none.
  template <typename Inside>
  static double largest(const Blob<Dtype>& maps, int image, int channel, const Inside& inside) {
    const std::vector<double> found = covered(maps, image, channel, inside);
    return found.empty() ? 0 : *std::max_element(found.begin(), found.end());
  }
  /// Their mean; 0 if there is none.
  template <typename Inside>
  static double mean(const Blob<Dtype>& maps, int image, int channel, const Inside& inside) {
    const std::vector<double> found = covered(maps, image, channel, inside);
    return found.empty() ? 0 : std::accumulate(found.begin(), found.end(), 0.) / found.size();
  }

  /// Backward with 1 as the gradient of every top, from bottom gradients that are not numbers.
  void backward(Layer<Dtype>& layer, const std::vector<bool>& down) {
    for (auto* blob : this->top) std::fill_n(blob->mutable_cpu_diff(), blob->count(), Dtype(1));
    for (auto* blob : this->bottom) {
      std::fill_n(blob->mutable_cpu_diff(), blob->count(), static_cast<Dtype>(NAN));
    }
    layer.Backward(this->top, down, this->bottom);
  }
};

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_LAYERS_DETECTION_REGIONS_HPP_
