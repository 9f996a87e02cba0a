#ifndef CAFFE_LAYERS_DETECTION_PREDICTIONS_HPP_
#define CAFFE_LAYERS_DETECTION_PREDICTIONS_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/util/error.hpp"

namespace caffe {

/// Throws an Error that names the layer unless bottoms 0 and 1 have, for each of `items` images,
/// `priors` x `loc_classes` x 4 offsets and `priors` x `classes` scores.
template <typename Dtype>
void check_predictions(const Layer<Dtype>& layer, const std::vector<Blob<Dtype>*>& bottom,
                       int items, int priors, int loc_classes, int classes) {
  const int64_t boxes = int64_t(items) * priors;
  CAFFE_CHECK(bottom[0]->count() == boxes * loc_classes * 4,
              layer.name() << "the offsets, bottom 0, must be " << priors << " priors x "
                           << loc_classes << " x 4 for each image; their shape is "
                           << bottom[0]->shape_string());
  CAFFE_CHECK(bottom[1]->count() == boxes * classes,
              layer.name() << "the scores, bottom 1, must be " << priors << " priors x " << classes
                           << " classes for each image; their shape is "
                           << bottom[1]->shape_string());
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_PREDICTIONS_HPP_
