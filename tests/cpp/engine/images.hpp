#ifndef TESTS_CPP_ENGINE_IMAGES_HPP_
#define TESTS_CPP_ENGINE_IMAGES_HPP_

#include <opencv2/core.hpp>
#include <random>

namespace caffe {

/// Colours that change smoothly over the image, with some noise; the same for the same arguments.
inline cv::Mat picture(int channels, int height, int width, int seed = 1) {
  std::mt19937 random(seed);
  cv::Mat image(height, width, CV_8UC(channels));
  for (int h = 0; h < height; ++h) {
    for (int w = 0; w < width * channels; ++w) {
      image.ptr(h)[w] = static_cast<unsigned char>(40 * seed + 2 * h + 3 * w + random() % 16);
    }
  }
  return image;
}

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_IMAGES_HPP_
