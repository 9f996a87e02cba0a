// The class NCCL of caffe/parallel.hpp.

#include "caffe/parallel.hpp"
#include "caffe/parallel/data_parallel.hpp"
#include "caffe/parallel/gpu_ranks.hpp"
#include "caffe/parallel/gradient_buckets.hpp"
#include "caffe/parallel/nccl_sums.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
NCCL<Dtype>::NCCL(shared_ptr<Solver<Dtype>> solver)
    : trained_(std::move(solver)), iter_size_(trained_->param().iter_size()) {}

template <typename Dtype>
NCCL<Dtype>::NCCL(shared_ptr<Solver<Dtype>> solver, const string& uid)
    : net_(solver->net().get()),
      iter_size_(solver->param().iter_size()),
      size_(Caffe::solver_count()),
      after_(net_->layers().size()),
      started_(net_->learnable_params().size(), false) {
  CAFFE_CHECK(Caffe::mode() == Caffe::GPU,
              "NCCL adds up gradients on GPUs, and this thread is in CPU mode: select the GPU and "
              "GPU mode first (caffe.set_device, caffe.set_mode_gpu)");
  CAFFE_CHECK(Caffe::solver_rank() >= 0 && Caffe::solver_rank() < size_,
              "NCCL: this is rank " << Caffe::solver_rank() << " of " << size_
                                    << ": set solver_count and solver_rank first");
  constexpr size_t kOneEach = 1;  // byte
  for (const GradientBucket& bucket : gradient_buckets(*net_, kOneEach)) {
    for (const int param : bucket.params) {
      params_.push_back(param);
      after_[bucket.layer].push_back(param);
    }
  }
  sums_ = connect_gpus<Dtype>(uid, Caffe::solver_rank(), size_);
}

template <typename Dtype>
NCCL<Dtype>::~NCCL() = default;

template <typename Dtype>
string NCCL<Dtype>::new_uid() {
  return new_nccl_id();
}

template <typename Dtype>
void NCCL<Dtype>::Broadcast() {
  CAFFE_CHECK(sums_ != nullptr, "NCCL::Broadcast: this rank is not connected: give a uid");
  Parts weights;
  for (Blob<Dtype>* const param : net_->learnable_params()) {
    weights.emplace_back(static_cast<size_t>(param->count()), param->mutable_gpu_data());
  }
  sums_->broadcast(0, weights);
  sums_->wait();
  device::wait();
  sums_->check();
}

template <typename Dtype>
void NCCL<Dtype>::on_start() {
  started_.assign(started_.size(), false);
}

/// Those that were not started in this iteration.
template <typename Dtype>
void NCCL<Dtype>::start(const vector<int>& params) {
  Parts gradients;
  for (const int param : params) {
    if (started_[param]) continue;
    started_[param] = true;
    Blob<Dtype>* const blob = net_->learnable_params()[param];
    gradients.emplace_back(static_cast<size_t>(blob->count()), blob->mutable_gpu_diff());
  }
  if (!gradients.empty()) sums_->start_together(gradients);
}

/// With several passes in an iteration, gradients are complete after the last one only. In the
/// first iteration kernels are launched for the first time, and no sum may run beside that:
/// gradient_sums.cpp says why.
template <typename Dtype>
void NCCL<Dtype>::run(int layer) {
  if (iter_size_ > 1 || sums_ == nullptr || is_first_) return;
  start(after_[layer]);
}

template <typename Dtype>
void NCCL<Dtype>::on_gradients_ready() {
  CAFFE_CHECK(sums_ != nullptr, "NCCL: this rank is not connected: give a uid");
  start(params_);
  sums_->wait();
  if (is_first_) device::wait();
  is_first_ = false;
  for (const int param : params_) {
    Blob<Dtype>* const blob = net_->learnable_params()[param];
    caffe_gpu_scal(blob->count(), Dtype(1) / static_cast<Dtype>(size_), blob->mutable_gpu_diff());
  }
  device::wait();  // the update must not use sums that never came
  sums_->check();
}

namespace {

/// Lets a solver go from the other ranks, also after an error.
template <typename Dtype>
class AloneAfterwards {
 public:
  explicit AloneAfterwards(Solver<Dtype>* solver) : solver_(solver) {}
  ~AloneAfterwards() { solver_->TrainTogether(nullptr); }

 private:
  Solver<Dtype>* const solver_;
  DISABLE_COPY_AND_ASSIGN(AloneAfterwards);
};

}  // namespace

template <typename Dtype>
void NCCL<Dtype>::Run(const vector<int>& gpus, const char* restore) {
  CAFFE_CHECK(trained_ != nullptr, "NCCL::Run: this rank trains with others already");
  run_on_gpus(gpus, [&](const shared_ptr<Communicator>& ranks) {
    SolverParameter param = trained_->param(), seeded = param;
    become_rank(ranks.get(), &seeded);  // rank 0's solver exists: its seed, or none, is everyone's
    param.set_device_id(gpus[ranks->rank()]);
    shared_ptr<Solver<Dtype>> solver = trained_;
    if (ranks->rank() > 0) solver.reset(SolverRegistry<Dtype>::CreateSolver(param));
    const AloneAfterwards<Dtype> afterwards(solver.get());
    solver->TrainTogether(ranks);
    solver->Solve(restore);
  });
}

INSTANTIATE_CLASS(NCCL);

}  // namespace caffe
