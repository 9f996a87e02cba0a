#ifndef CAFFE_UTIL_ROW_INDEX_HPP_
#define CAFFE_UTIL_ROW_INDEX_HPP_

#include <vector>

#include "caffe/blob.hpp"

namespace caffe {

/// Gathers rows of an array by index: y[i] = x[index[i]]; an index may occur any number of times.
/// Computes on the device that the thread's mode selects.
class RowIndex {
 public:
  void set(const std::vector<int>& index);
  int size() const { return index_.count(); }

  /// y[i] = x[index[i]] for rows of `length` values.
  template <typename Dtype>
  void take(int length, const Dtype* x, Dtype* y) const;

  /// x[index[i]] += y[i] for every i, in order, for any number of threads.
  template <typename Dtype>
  void add_back(int length, const Dtype* y, Dtype* x);

 private:
  void group();

  Blob<int> index_;
  // All i of equal index[i] form a group: group g has index rows_[g] and the positions
  // order_[begin_[g]] ... order_[begin_[g + 1] - 1], ascending.
  bool grouped_ = false;
  Blob<int> rows_, begin_, order_;
};

/// The values of a blob as indices. Throws an Error that names the layer if a value is not an
/// integer in [0, limit).
template <typename Dtype, typename LayerType>
std::vector<int> indices_of(const LayerType& layer, const Blob<Dtype>& blob, int limit) {
  std::vector<int> indices(blob.count());
  const Dtype* const values = blob.cpu_data();
  for (int i = 0; i < blob.count(); ++i) {
    const bool whole = values[i] >= Dtype(0) && values[i] < Dtype(limit) &&
                       values[i] == static_cast<Dtype>(static_cast<int>(values[i]));
    CAFFE_CHECK(whole, layer.name() << "index " << values[i] << ", at position " << i
                                    << " of a blob of shape " << blob.shape_string()
                                    << ", is not an integer from 0 to " << limit - 1);
    indices[i] = static_cast<int>(values[i]);
  }
  return indices;
}

}  // namespace caffe

#endif  // CAFFE_UTIL_ROW_INDEX_HPP_
