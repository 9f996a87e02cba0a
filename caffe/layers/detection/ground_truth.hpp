#ifndef CAFFE_LAYERS_DETECTION_GROUND_TRUTH_HPP_
#define CAFFE_LAYERS_DETECTION_GROUND_TRUTH_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/detection/boxes.hpp"

namespace caffe {

/// An object of an image.
template <typename T>
struct Truth {
  Box<T> box;
  int label;
  bool difficult;
};

/// The objects of each of `items` images, from the labels of AnnotatedData: (1, 1, G, 8), rows of
/// item_id, label, instance_id, xmin, ymin, xmax, ymax, difficult. Rows with item_id -1 are none.
/// Throws an Error that names the layer for a blob of another shape, an item_id that is no image of
/// the batch, a label that is the background's, negative or no whole number.
template <typename T>
std::vector<std::vector<Truth<T>>> read_truths(const Layer<T>& layer, const Blob<T>& labels,
                                               int items, int background);

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_GROUND_TRUTH_HPP_
