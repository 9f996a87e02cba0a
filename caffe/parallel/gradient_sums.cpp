#include "caffe/parallel/gradient_sums.hpp"

#include "caffe/common.hpp"
#include "caffe/parallel/nccl_sums.hpp"

namespace caffe {

namespace {

/// Of a rank that is alone.
template <typename Dtype>
class OwnSums : public GradientSums<Dtype> {
 public:
  void start(size_t, Dtype*) override {}
  void wait() override {}
};

}  // namespace

template <typename Dtype>
std::unique_ptr<GradientSums<Dtype>> make_gradient_sums(std::shared_ptr<Communicator> ranks) {
  if (ranks->size() == 1) return std::make_unique<OwnSums<Dtype>>();
  if (Caffe::mode() == Caffe::GPU) return make_nccl_sums<Dtype>(std::move(ranks));
  return std::make_unique<HostSums<Dtype>>(std::move(ranks));
}

template std::unique_ptr<GradientSums<float>> make_gradient_sums(std::shared_ptr<Communicator>);
template std::unique_ptr<GradientSums<double>> make_gradient_sums(std::shared_ptr<Communicator>);

}  // namespace caffe
