#ifndef CAFFE_LAYERS_SEGMENTATION_PUT_BACK_HPP_
#define CAFFE_LAYERS_SEGMENTATION_PUT_BACK_HPP_

#include <string>

#include "caffe/blob.hpp"

namespace caffe {

/// Puts the values of each plane at given places of a plane of the top, all others of which are 0.
/// If several values go to one place, the last one counts, and it alone gets the gradient.
template <typename Dtype>
class PutBack {
 public:
  /// x is N x C x h x w and `top`, already of its shape, N x C x H x W. `places`, of x's shape, has
  /// the place y W + x for each value, or -1 for none. Another number throws an Error that begins
  /// with `layer`; on a GPU, in a solver's iteration, at its end.
  void forward(const std::string& layer, const Blob<Dtype>& x, const Blob<Dtype>& places,
               Blob<Dtype>* top);
  /// The gradient of x from the one of `top`, after forward().
  void backward(const Blob<Dtype>& places, const Blob<Dtype>& top, Blob<Dtype>* x) const;
  /// Memory kept between the passes.
  size_t bytes() const { return sizeof(int) * static_cast<size_t>(owners_.count()); }

 private:
  Blob<int> owners_;  // as the top: -1 - i if value i of its plane of x is there, else 0
  Blob<int> wrong_;   // [planes], on the CPU: the first value with a bad place
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEGMENTATION_PUT_BACK_HPP_
