#ifndef CAFFE_PARALLEL_GPU_RANKS_HPP_
#define CAFFE_PARALLEL_GPU_RANKS_HPP_

// Ranks as threads of this process, one for each of several GPUs.

#include <functional>
#include <memory>
#include <vector>

#include "caffe/parallel/communicator.hpp"

namespace caffe {

/// Calls run(ranks) once for each GPU, at the same time: for rank 0 in the calling thread, which
/// takes the process's signals, for the others in threads of their own. Each thread is in GPU mode
/// on its GPU and has its part of the cores; run() makes it a rank (become_rank) and trains.
/// Returns when all have ended; the calling thread keeps rank 0's mode and GPU, and has its other
/// settings again. If one throws, all end, and an Error with its text and rank is
/// thrown. Throws at once if a GPU is named twice or is not there, or if this build has no NCCL.
void run_on_gpus(const std::vector<int>& gpus,
                 const std::function<void(std::shared_ptr<Communicator> ranks)>& run);

}  // namespace caffe

#endif  // CAFFE_PARALLEL_GPU_RANKS_HPP_
