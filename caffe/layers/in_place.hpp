#ifndef CAFFE_LAYERS_IN_PLACE_HPP_
#define CAFFE_LAYERS_IN_PLACE_HPP_

#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

/// Throws if a top is one of the bottoms: for layers that still read a bottom when they write a
/// top, or whose tops have a different shape.
template <typename Dtype>
void refuse_in_place(const Layer<Dtype>& layer, const std::vector<Blob<Dtype>*>& bottom,
                     const std::vector<Blob<Dtype>*>& top) {
  for (size_t t = 0; t < top.size(); ++t) {
    for (size_t b = 0; b < bottom.size(); ++b) {
      const int index = static_cast<int>(t);
      CAFFE_CHECK(top[t] != bottom[b],
                  layer.name() << "cannot work in place (top "
                               << (index < layer.layer_param().top_size()
                                       ? "'" + layer.layer_param().top(index) + "'"
                                       : std::to_string(index))
                               << " is bottom " << b << "): give its top a different name");
    }
  }
}

/// For the Backward of a layer that may run forward in place but not backward, because x is
/// overwritten.
template <typename Dtype>
void refuse_backward_in_place(const Layer<Dtype>& layer, const std::vector<Blob<Dtype>*>& bottom,
                              const std::vector<Blob<Dtype>*>& top) {
  CAFFE_CHECK(
      top[0] != bottom[0],
      layer.name()
          << "works in place, which is possible only without a backward pass: its gradient needs "
          << "the overwritten input. Give its top a different name");
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_IN_PLACE_HPP_
