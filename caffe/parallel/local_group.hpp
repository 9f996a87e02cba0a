#ifndef CAFFE_PARALLEL_LOCAL_GROUP_HPP_
#define CAFFE_PARALLEL_LOCAL_GROUP_HPP_

// Threads of one process as ranks, each of which may have a GPU of its own.
//
//   const auto ranks = LocalGroup::make(2);  // then thread r uses ranks[r]
//
// A sum is computed by the rank that starts it last, in the order of the ranks, and is complete
// when that call returns; the other ranks meanwhile do something else. Calls that differ (another
// order, another size) are an Error on all ranks. A rank whose Communicator is destroyed has left:
// calls that need it are an Error then.

#include <memory>
#include <vector>

#include "caffe/parallel/communicator.hpp"

namespace caffe {

class LocalGroup {
 public:
  /// One Communicator for each of n >= 1 ranks.
  static std::vector<std::shared_ptr<Communicator>> make(int n);
};

}  // namespace caffe

#endif  // CAFFE_PARALLEL_LOCAL_GROUP_HPP_
