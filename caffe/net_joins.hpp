#ifndef CAFFE_NET_JOINS_HPP_
#define CAFFE_NET_JOINS_HPP_

// Which layers of a net that tests may write their tops where a layer behind them joins these
// (caffe/layers/joins_bottoms.hpp).
//
// The tops and the joined blob then have the same memory. Every blob can still be read after a
// pass, because a room is open only if the pass runs all layers that write into it and the one that
// joins, if nobody looks at the pass, and if no layer changes the joined blob in place later.

#include <vector>

#include "caffe/layers/joins_bottoms.hpp"
#include "caffe/syncedmem.hpp"

namespace caffe {

template <typename Dtype>
class Net;

template <typename Dtype>
class NetJoins {
 public:
  /// Finds the layers of a net that is complete.
  void find(const Net<Dtype>& net);
  /// A forward pass over these layers begins. `is_watched`: somebody looks at it.
  void begin_forward(const Net<Dtype>& net, int start, int end, bool is_watched);

 private:
  struct Join {
    int layer, first_writer;
    JoinedRoom* room;
    const SyncedMemory* block;  // of the joined blob, when the last pass began
  };
  bool is_changed(const Net<Dtype>& net, const Join& join) const;

  std::vector<Join> joins_;
  std::vector<int> in_place_;  // layers that change a blob
};

}  // namespace caffe

#endif  // CAFFE_NET_JOINS_HPP_
