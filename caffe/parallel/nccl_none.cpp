// The functions of nccl_sums.hpp in a build without NCCL.

#include "caffe/common.hpp"
#include "caffe/parallel/nccl_sums.hpp"

namespace caffe {

namespace {

[[noreturn]] void no_nccl() {
  CAFFE_FAIL(
      "this Caffe was built without NCCL, which adds up the gradients of several GPUs: train on "
      "one GPU, or install NCCL (libnccl-dev) and build Caffe again with -DUSE_CUDA=ON");
}

}  // namespace

bool has_nccl() {
  return false;
}

string new_nccl_id() {
  no_nccl();
}

template <typename Dtype>
std::unique_ptr<NcclSums<Dtype>> connect_gpus(const string&, int, int) {
  no_nccl();
}

template <typename Dtype>
std::unique_ptr<GradientSums<Dtype>> make_nccl_sums(std::shared_ptr<Communicator>) {
  no_nccl();
}

template std::unique_ptr<NcclSums<float>> connect_gpus(const string&, int, int);
template std::unique_ptr<NcclSums<double>> connect_gpus(const string&, int, int);
template std::unique_ptr<GradientSums<float>> make_nccl_sums(std::shared_ptr<Communicator>);
template std::unique_ptr<GradientSums<double>> make_nccl_sums(std::shared_ptr<Communicator>);

}  // namespace caffe
