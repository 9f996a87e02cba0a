#ifndef CAFFE_LAYERS_SEQUENCE_LABELS_HPP_
#define CAFFE_LAYERS_SEQUENCE_LABELS_HPP_

#include "caffe/layer.hpp"

namespace caffe {

/// The whole number that value i of `what` is, "labels" for example. Throws an Error that names the
/// layer unless it is one in [low, high].
template <typename Dtype>
int whole_number(const Layer<Dtype>& layer, const char* what, Dtype value, int i, int low,
                 int high) {
  const bool good = value >= Dtype(low) && value <= Dtype(high) &&
                    value == static_cast<Dtype>(static_cast<int>(value));
  CAFFE_CHECK(good, layer.name() << "value " << i << " of the " << what << " is " << value
                                 << "; it must be a whole number from " << low << " to " << high);
  return static_cast<int>(value);
}

/// Throws an Error that names the first value that is not a whole number in [low, high].
template <typename Dtype>
void check_whole(const Layer<Dtype>& layer, const char* what, const Blob<Dtype>& blob, int low,
                 int high) {
  const Dtype* const values = blob.cpu_data();
  for (int i = 0; i < blob.count(); ++i) whole_number(layer, what, values[i], i, low, high);
}

/// Whether the blob is rows x columns, apart from axes of length 1 behind them.
template <typename Dtype>
bool is_matrix(const Blob<Dtype>& blob, int rows, int columns) {
  return blob.num_axes() >= 2 && blob.shape(0) == rows && blob.shape(1) == columns &&
         blob.count(2) == 1;
}

template <typename Dtype>
void check_indicators(const Layer<Dtype>& layer, const Blob<Dtype>& blob, int steps, int items) {
  CAFFE_CHECK(is_matrix(blob, steps, items),
              layer.name() << "the sequence indicators must be steps x items, (" << steps << ", "
                           << items << "); they are " << blob.shape_string());
}

/// Labels (L, items).
template <typename Dtype>
void check_label_columns(const Layer<Dtype>& layer, const Blob<Dtype>& blob, int items) {
  CAFFE_CHECK(blob.num_axes() >= 2 && is_matrix(blob, blob.shape(0), items),
              layer.name() << "the labels must have a column for each of the " << items
                           << " items, (length, " << items << "); they are "
                           << blob.shape_string());
}

/// Labels (items, L).
template <typename Dtype>
void check_label_rows(const Layer<Dtype>& layer, const Blob<Dtype>& blob, int items) {
  CAFFE_CHECK(blob.num_axes() >= 1 && blob.shape(0) == items,
              layer.name() << "the labels must have a row for each of the " << items << " items, ("
                           << items << ", length); they are " << blob.shape_string());
}

/// The steps of item n, before the first indicator 0 behind step 0.
template <typename Dtype>
int indicated_length(const Blob<Dtype>& indicators, int n, int steps, int items) {
  int t = 1;
  while (t < steps && indicators.cpu_data()[t * items + n] != Dtype(0)) ++t;
  return t;
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEQUENCE_LABELS_HPP_
