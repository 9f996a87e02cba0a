#ifndef CAFFE_LAYERS_CPU_WIDTH_HPP_
#define CAFFE_LAYERS_CPU_WIDTH_HPP_

namespace caffe {

/// Neighbouring values of a row that a layer computes together on the CPU, where a GPU's thread
/// computes one: wide enough for vectors, and their sums stay in the first-level cache.
constexpr int kCpuWidth = 64;

}  // namespace caffe

#endif  // CAFFE_LAYERS_CPU_WIDTH_HPP_
