#ifndef CAFFE_UTIL_REORDER_COUNT_HPP_
#define CAFFE_UTIL_REORDER_COUNT_HPP_

#include <cstdint>

namespace caffe {

/// How often this process has converted a blob's data or gradient between the plain layout and a
/// library's own (caffe/syncedmem.hpp). Each costs one pass over memory; a chain of layers of one
/// library needs none. Weights, which such layers convert for themselves, do not count.
int64_t reorder_count();
void count_reorder();

}  // namespace caffe

#endif  // CAFFE_UTIL_REORDER_COUNT_HPP_
