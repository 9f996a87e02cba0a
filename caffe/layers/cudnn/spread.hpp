#ifndef CAFFE_LAYERS_CUDNN_SPREAD_HPP_
#define CAFFE_LAYERS_CUDNN_SPREAD_HPP_

#include <cstdint>
#include <vector>

namespace caffe {
namespace cudnn {

/// Writes `from` to every stride-th position of `to` and 0 to the others. Lengths are N, C and two
/// or three spatial axes, row by row; to's position i of an axis is from's position i / stride.
template <typename Dtype>
void spread(const std::vector<int64_t>& to_lengths, const std::vector<int64_t>& stride,
            const std::vector<int64_t>& from_lengths, const Dtype* from, Dtype* to);

}  // namespace cudnn
}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_SPREAD_HPP_
