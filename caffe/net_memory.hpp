#ifndef CAFFE_NET_MEMORY_HPP_
#define CAFFE_NET_MEMORY_HPP_

#include <limits>
#include <string>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/net_error.hpp"
#include "caffe/util/gpu_trace.hpp"

namespace caffe {

/// The GPU memory in bytes that a layer needs: of its own tops and learnt blobs, each block counted
/// where the net uses it first, so that blobs in place and shared weights count once.
struct LayerMemory {
  string layer;  // "conv1 (Convolution)"
  size_t data = 0;
  size_t diff = 0;    // of the tops, if the layer runs backward
  size_t params = 0;  // the learnt blobs, with their gradients if the layer learns
  size_t own = 0;     // copies that the layer keeps (NeedsGpuMemory)
  size_t workspace = 0;

  size_t total() const { return data + diff + params + own; }
};

template <typename Dtype>
vector<LayerMemory> gpu_memory(const Net<Dtype>& net);

/// What gpu_memory() says, a line for each layer and one for the sum, in MB. Of more than `rows`
/// layers, the smallest are left out and counted. A solver's history and small buffers of layers
/// are not in it.
template <typename Dtype>
string gpu_memory_table(const Net<Dtype>& net, size_t rows = std::numeric_limits<size_t>::max());

/// One line: the most memory on the CPU that this process had, and what the net's blobs need, in
/// MB.
template <typename Dtype>
string memory_line(const Net<Dtype>& net);

/// in_layer for a layer of a net; if the GPU has too little memory, logs what the net needs.
template <typename Dtype, typename Call>
auto in_layer_of(const Net<Dtype>& net, size_t layer, const Call& call) -> decltype(call()) {
  if (GpuTrace::current() != nullptr) GpuTrace::current()->in_layer(net.layer_names()[layer]);
  try {
    return in_layer(*net.layers()[layer], call);
  } catch (const OutOfMemory&) {
    LOG(ERROR) << gpu_memory_table(net, 25);
    throw;
  }
}

/// Returns call(), what a solver does with a net's parameters. If the GPU has too little memory,
/// logs what the net needs, and the error says what it was for.
template <typename Dtype, typename Call>
auto for_parameters_of(const Net<Dtype>& net, const Call& call) -> decltype(call()) {
  try {
    return call();
  } catch (const OutOfMemory& error) {
    LOG(ERROR) << gpu_memory_table(net, 25);
    throw OutOfMemory(string("parameters, their gradients and the solver's history: ") +
                      error.what());
  }
}

}  // namespace caffe

#endif  // CAFFE_NET_MEMORY_HPP_
