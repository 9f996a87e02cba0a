#ifndef CAFFE_LAYERS_ZERO_GRADIENTS_HPP_
#define CAFFE_LAYERS_ZERO_GRADIENTS_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/util/active.hpp"

namespace caffe {

/// Sets the wanted gradients of the bottoms from `first` on to 0: labels, weights and lengths that
/// training nets of other forks take from a layer in Python behind learnt layers. The net asks for
/// their gradients then, and other forks do not stop.
template <typename Dtype>
void zero_gradients(const std::vector<bool>& wanted, size_t first,
                    const std::vector<Blob<Dtype>*>& bottom) {
  for (size_t b = first; b < bottom.size(); ++b) {
    if (wanted[b]) active_set(bottom[b]->count(), Dtype(0), bottom[b]->mutable_active_diff());
  }
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_ZERO_GRADIENTS_HPP_
