#ifndef CAFFE_PARALLEL_HPP_
#define CAFFE_PARALLEL_HPP_

// Training on several GPUs as programs and scripts for BVLC Caffe ask for it. `caffe train -gpu
// 0,1` and Solver::TrainTogether (caffe/parallel) are the engine's own way, which hides more of the
// sums behind the backward pass; docs/ranks.md compares them.
//
// A program: NCCL<float>(solver).Run(gpus, nullptr) trains on all of these GPUs, with a thread for
// each.
//
// A script with a process or a thread for each GPU, as BVLC Caffe's python/train.py: one makes
// new_uid() and hands it to all; each selects its GPU, sets solver_count and solver_rank, makes its
// solver, NCCL(solver, uid), calls Broadcast() and registers the NCCL with the solver as a
// callback, after which gradients are the mean of all ranks'. Registered with the net as well,
// after_backward, a layer's sums start behind its backward pass, from the second iteration on.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/internal_thread.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/solver.hpp"
#include "caffe/syncedmem.hpp"
#include "caffe/util/blocking_queue.hpp"
#include "caffe/util/nccl.hpp"

namespace caffe {

template <typename Dtype>
class NcclSums;

template <typename Dtype>
class NCCL : public Solver<Dtype>::Callback, public Net<Dtype>::Callback {
 public:
  /// For Run().
  explicit NCCL(shared_ptr<Solver<Dtype>> solver);
  /// One rank of solver_count(), on the calling thread's GPU; returns when all are there. Throws in
  /// CPU mode, in a build without NCCL, and if the GPUs cannot be connected. The solver must exist
  /// while a callback can come.
  NCCL(shared_ptr<Solver<Dtype>> solver, const string& uid);
  ~NCCL() override;

  /// The 128 bytes that connect a group. Throws in a build without NCCL.
  static string new_uid();
  /// Rank 0's weights to all ranks.
  void Broadcast();
  /// Trains up to max_iter on these GPUs, from a solverstate if one is given; the solver is rank
  /// 0's, the others make theirs of its settings. Set solver_count to the number of GPUs before the
  /// solver is made, as BVLC Caffe's command does: its data layers then read rank 0's records.
  void Run(const vector<int>& gpus, const char* restore);

 protected:
  void on_start() override;
  void run(int layer) override;
  void on_gradients_ready() override;

 private:
  typedef vector<std::pair<size_t, Dtype*>> Parts;
  void start(const vector<int>& params);

  const shared_ptr<Solver<Dtype>> trained_;  // by Run()
  Net<Dtype>* net_ = nullptr;
  const int iter_size_;
  int size_ = 1;
  bool is_first_ = true;  // the iteration
  std::unique_ptr<NcclSums<Dtype>> sums_;
  vector<int> params_;         // with a gradient: indices in learnable_params()
  vector<vector<int>> after_;  // [layer]: those that are complete when it has run backward
  vector<bool> started_;       // [learnable_params()], in this iteration

  DISABLE_COPY_AND_ASSIGN(NCCL);
};

}  // namespace caffe

#endif  // CAFFE_PARALLEL_HPP_
