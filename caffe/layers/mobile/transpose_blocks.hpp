#ifndef CAFFE_LAYERS_MOBILE_TRANSPOSE_BLOCKS_HPP_
#define CAFFE_LAYERS_MOBILE_TRANSPOSE_BLOCKS_HPP_

namespace caffe {

/// to[n, c, r] = from[n, r, c]: transposes, for each of n, `rows` x `columns` blocks of `length`
/// values, on the device that the thread's mode selects. The arrays must not overlap.
template <typename Dtype>
void transpose_blocks(int n, int rows, int columns, int length, const Dtype* from, Dtype* to);

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_TRANSPOSE_BLOCKS_HPP_
