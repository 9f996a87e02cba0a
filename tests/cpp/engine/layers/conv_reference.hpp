#ifndef TESTS_CPP_ENGINE_LAYERS_CONV_REFERENCE_HPP_
#define TESTS_CPP_ENGINE_LAYERS_CONV_REFERENCE_HPP_

#include <functional>
#include <numeric>
#include <vector>

namespace caffe {

/// A convolution by its definition: in double, one product after another.
struct ConvReference {
  typedef std::vector<int> Ints;
  Ints image, output;  // spatial lengths of the convolution's input and output
  Ints kernel, stride, pad, dilation;
  int in_channels, out_channels, group;

  static int product(const Ints& v) {
    return std::accumulate(v.begin(), v.end(), 1, std::multiplies<int>());
  }
  static Ints index_of(int flat, const Ints& shape) {
    Ints index(shape.size());
    for (int a = static_cast<int>(shape.size()) - 1; a >= 0; --a) {
      index[a] = flat % shape[a];
      flat /= shape[a];
    }
    return index;
  }
  /// The position in the image of kernel element k at output o; -1: outside.
  int image_place(int o, int k) const {
    const Ints at = index_of(o, output), tap = index_of(k, kernel);
    int flat = 0;
    for (size_t a = 0; a < image.size(); ++a) {
      const int i = at[a] * stride[a] - pad[a] + tap[a] * dilation[a];
      if (i < 0 || i >= image[a]) return -1;
      flat = flat * image[a] + i;
    }
    return flat;
  }
  /// f(index in the input, in the weights, in the output) for every product that exists.
  template <typename F>
  void each_product(const F& f) const {
    const int kernels = product(kernel), outputs = product(output), images = product(image);
    const int in_group = in_channels / group, out_group = out_channels / group;
    for (int m = 0; m < out_channels; ++m) {
      for (int c = 0; c < in_group; ++c) {
        for (int k = 0; k < kernels; ++k) {
          for (int o = 0; o < outputs; ++o) {
            const int i = image_place(o, k);
            if (i < 0) continue;
            f((m / out_group * in_group + c) * images + i, (m * in_group + c) * kernels + k,
              m * outputs + o);
          }
        }
      }
    }
  }
};

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_LAYERS_CONV_REFERENCE_HPP_
