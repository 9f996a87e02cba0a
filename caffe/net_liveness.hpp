#ifndef CAFFE_NET_LIVENESS_HPP_
#define CAFFE_NET_LIVENESS_HPP_

// When a net reads a blob's values for the last time: then their memory can serve other blobs.
//
// What counts is the block of memory, which blobs may share (Split, Flatten, Reshape, in place).
//   Values are read last by the backward pass of the first layer that reads them there
//   (caffe/layers/backward_reads.hpp) or, if none does, by the forward pass of the last layer that
//   has them as bottom or top. A gradient is read last by the backward pass of the layer that makes
//   the blob.
//
// Never given back: what Net::is_kept says, in both halves; learnt values; tops of layers without
// bottoms, which may fill them once (DummyData) or get them from elsewhere (data layers); a
// gradient that no layer writes, such as a loss weight or what a program sets for an output; and
// the blobs of layers that are not the engine's own, or that hold a net (RNN, LSTM), because they
// may read their last values again.

#include <map>
#include <vector>

#include "caffe/net.hpp"

namespace caffe {

/// Bytes of a net's blobs, values and gradients, in rows without gaps.
struct BlobMemory {
  size_t all = 0;   // if each has its own
  size_t most = 0;  // that exist at the same time, if memory is given back
};

template <typename Dtype>
class Liveness {
 public:
  /// Whether a net may be run backward after KeepOnly: in phase TRAIN, or with force_backward.
  static bool runs_backward(const Net<Dtype>& net);

  /// Before a pass: finds the blocks. They may be others than in the last pass.
  void prepare(const Net<Dtype>& net);
  /// Give back what was read last by that layer.
  void after_forward(int layer) const { release(after_forward_, layer); }
  void after_backward(int layer) const { release(after_backward_, layer); }
  const BlobMemory& memory() const { return memory_; }

 private:
  struct Block {
    const Blob<Dtype>* blob;
    bool diff;
    const SyncedMemory* memory;
    long holders;
  };
  struct Use;
  typedef std::map<const SyncedMemory*, Use> Uses;
  typedef std::vector<std::vector<Block>> Blocks;
  typedef std::vector<Block> Seen;

  void release(const Blocks& blocks, int layer) const;
  Seen blocks_of(const Net<Dtype>& net) const;
  void plan(const Net<Dtype>& net);
  static BlobMemory simulate(const Uses& uses, int layers);

  Seen seen_;                              // by the last prepare()
  Blocks after_forward_, after_backward_;  // [layer]
  BlobMemory memory_;
};

/// Whether the layer's class is of the engine's library, and its methods are no Python.
template <typename Dtype>
bool is_engines_own(const Layer<Dtype>& layer);

/// Whether a blob has been given a shape, and with it blocks of memory.
template <typename Dtype>
bool has_memory(const Blob<Dtype>& blob) {
  return !blob.shape().empty() || blob.count() > 0;
}

/// Throw if layers start to end read values from before this pass that were given up.
template <typename Dtype>
void check_forward_has_values(const Net<Dtype>& net, int start, int end);
/// The same for a backward pass from layer start down to layer end.
template <typename Dtype>
void check_backward_has_values(const Net<Dtype>& net, int start, int end);

/// What Liveness finds for the net as it is now.
template <typename Dtype>
BlobMemory blob_memory(const Net<Dtype>& net);

}  // namespace caffe

#endif  // CAFFE_NET_LIVENESS_HPP_
