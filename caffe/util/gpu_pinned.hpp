#ifndef CAFFE_UTIL_GPU_PINNED_HPP_
#define CAFFE_UTIL_GPU_PINNED_HPP_

namespace caffe {

/// A rank on a GPU (caffe/parallel/nccl_rank.hpp) that is a thread of this process, while it
/// exists.
///
/// CUDA may wait for all GPUs of a process when pinned memory is freed, or memory is unpinned: also
/// for one that waits, in a sum, for what the calling thread has yet to do. So while there are two
/// ranks or more, device::release_pinned() keeps the memory for the next device::allocate_pinned(),
/// and device::pin() pins nothing.
class RankOfProcess {
 public:
  RankOfProcess();
  ~RankOfProcess();
  RankOfProcess(const RankOfProcess&) = delete;
  RankOfProcess& operator=(const RankOfProcess&) = delete;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_GPU_PINNED_HPP_
