#ifndef CAFFE_UTIL_GIVEN_UP_HPP_
#define CAFFE_UTIL_GIVEN_UP_HPP_

// A block of memory whose values nobody will read any more, such as a gradient after its last use
// (caffe/net_liveness.hpp), can give them up, with all its memory. To read it is an error then,
// until it is written again; whoever writes it gets memory that is not cleared.
//
// For the block, these values are a foreign copy (caffe/syncedmem.hpp) that cannot be converted:
// its head is HEAD_AT_FOREIGN.

#include <memory>

#include "caffe/syncedmem.hpp"

namespace caffe {

/// The foreign copy of values that were given up; always the same object.
const std::shared_ptr<ForeignCopy>& no_values();

/// Gives up the block's values. Does nothing if the block has no memory, if its memory was given to
/// it (set_cpu_data ...), or if someone else holds it, such as an array in Python.
inline void give_up(SyncedMemory* block) {
  block->foreign_written(no_values());
}

/// Whether the block has no values to read because it gave them up.
inline bool is_given_up(const SyncedMemory& block) {
  return block.head() == SyncedMemory::HEAD_AT_FOREIGN && block.foreign() == no_values();
}

}  // namespace caffe

#endif  // CAFFE_UTIL_GIVEN_UP_HPP_
