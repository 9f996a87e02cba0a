#ifndef CAFFE_LAYERS_BACKWARD_READS_HPP_
#define CAFFE_LAYERS_BACKWARD_READS_HPP_

// Which values of its bottoms and tops a layer's Backward reads: a net that shares memory
// (caffe/net_liveness.hpp) gives up the others after the forward pass. The sum in a residual block
// reads none; a BatchNorm in place keeps what it needs itself.
//
// One table (backward_reads.cpp), by type and, for some types, by what the layer's parameters say
// and whether it works in place. It holds for every class of the engine that has the type, whatever
// library computes it. A type without a row reads everything. A test runs each row
// (tests/cpp/engine/layers/test_backward_reads.cpp) with the other values given up.
//
// A layer with a row must not even ask for the layout of what it does not read: see
// caffe/layers/gradient_order.hpp and, for oneDNN's layouts, keep that of the forward pass. A blob
// keeps its shape.

#include <string>
#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

class BackwardReads {
 public:
  /// Of a layer that has been set up for these blobs.
  template <typename Dtype>
  BackwardReads(const Layer<Dtype>& layer, const std::vector<Blob<Dtype>*>& bottom,
                const std::vector<Blob<Dtype>*>& top);

  bool bottom(size_t index) const { return index == 0 ? first_bottom_ : other_bottoms_; }
  bool top() const { return tops_; }

  /// The types that have a row.
  static std::vector<std::string> types();

 private:
  bool first_bottom_ = true, other_bottoms_ = true, tops_ = true;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_BACKWARD_READS_HPP_
