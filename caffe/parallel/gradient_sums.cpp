#include "caffe/parallel/gradient_sums.hpp"

#include <utility>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/parallel/nccl_sums.hpp"
#include "caffe/util/device.hpp"

namespace caffe {

namespace {

/// Of a rank that is alone.
template <typename Dtype>
class OwnSums : public GradientSums<Dtype> {
 public:
  void start(size_t, Dtype*) override {}
  void wait() override {}
};

/// Of a rank on a GPU.
///
/// A sum keeps its GPU busy until all other ranks have come. CUDA loads a kernel at its first
/// launch, which may wait for all that the GPU does, under a lock that another rank needs to come.
/// So no kernel may be launched for the first time beside a sum. The first iteration launches all:
/// its sums are only noted until wait(). There they start together, and the host waits for them.
/// That all ranks have computed everything before is caution: the ranks of one process may have
/// locks in common.
template <typename Dtype>
class GpuSums : public GradientSums<Dtype> {
 public:
  explicit GpuSums(std::shared_ptr<Communicator> ranks)
      : ranks_(std::move(ranks)), sums_(make_nccl_sums<Dtype>(ranks_)) {}

  void start(size_t n, Dtype* values) override {
    if (has_waited_) {
      sums_->start(n, values);
    } else {
      noted_.emplace_back(n, values);
    }
  }
  void wait() override {
    if (!has_waited_) run_noted();
    has_waited_ = true;
    sums_->wait();
  }
  void check() override { sums_->check(); }
  void abort(const std::string& why) noexcept override { sums_->abort(why); }

 private:
  void run_noted() {
    device::wait();
    ranks_->barrier();
    for (const auto& values : noted_) sums_->start(values.first, values.second);
    noted_.clear();
    sums_->wait();
    device::wait();
    sums_->check();
  }

  const std::shared_ptr<Communicator> ranks_;
  const std::unique_ptr<GradientSums<Dtype>> sums_;
  bool has_waited_ = false;
  std::vector<std::pair<size_t, Dtype*>> noted_;

  DISABLE_COPY_AND_ASSIGN(GpuSums);
};

}  // namespace

template <typename Dtype>
std::unique_ptr<GradientSums<Dtype>> make_gradient_sums(std::shared_ptr<Communicator> ranks) {
  if (ranks->size() == 1) return std::make_unique<OwnSums<Dtype>>();
  if (Caffe::mode() == Caffe::GPU) return std::make_unique<GpuSums<Dtype>>(std::move(ranks));
  return std::make_unique<HostSums<Dtype>>(std::move(ranks));
}

template std::unique_ptr<GradientSums<float>> make_gradient_sums(std::shared_ptr<Communicator>);
template std::unique_ptr<GradientSums<double>> make_gradient_sums(std::shared_ptr<Communicator>);

}  // namespace caffe
