#ifndef CAFFE_UTIL_REORDER_COUNT_HPP_
#define CAFFE_UTIL_REORDER_COUNT_HPP_

#include <cstdint>

namespace caffe {

/// How often this process has converted a blob's data or gradient between the plain layout and a
/// library's own (caffe/syncedmem.hpp). Each conversion costs one pass over memory; a chain of
/// layers of one library needs none. Conversions of weights, which such layers do internally, are
/// not counted.
int64_t reorder_count();
void count_reorder();

}  // namespace caffe

#endif  // CAFFE_UTIL_REORDER_COUNT_HPP_
