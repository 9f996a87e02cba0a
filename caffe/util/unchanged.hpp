#ifndef CAFFE_UTIL_UNCHANGED_HPP_
#define CAFFE_UTIL_UNCHANGED_HPP_

#include <memory>
#include <vector>

#include "caffe/syncedmem.hpp"

namespace caffe {

/// Tells whether blocks of memory have the values that they had at an earlier time, for whoever
/// keeps something that was computed from them.
///
/// It sees every change by a method of a block (mutable_*, set_*), other blocks in their place, and
/// that somebody holds the CPU's memory (share_cpu_data) or gave it (set_cpu_data), who may write
/// at any time. It does not see who writes through a pointer that a mutable_* call returned before
/// note().
///
/// Nets in several threads may share blocks that all of them only read.
class Unchanged {
 public:
  typedef std::vector<SyncedMemory*> Blocks;

  /// The values that the blocks have now are those that holds() compares with. The caller has
  /// called cpu_data() of each before it computed from them.
  void note(const Blocks& blocks);
  /// Whether these are the blocks of the last note(), in this order, with the same values.
  bool holds(const Blocks& blocks) const;

 private:
  std::vector<std::shared_ptr<ForeignCopy>> marks_;  // one for each block
};

}  // namespace caffe

#endif  // CAFFE_UTIL_UNCHANGED_HPP_
