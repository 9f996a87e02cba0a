#include "caffe/layers/euclidean_loss_layer.hpp"

#include "caffe/layers/gpu_loss.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct Difference {
  const T *a, *b;
  T* y;
  CAFFE_HD void operator()(int i) const { y[i] = a[i] - b[i]; }
};

template <typename T>
struct SquareTerms {
  using Value = T;
  Difference<T> difference;
  template <typename W>
  CAFFE_HD Product<W> first(int, int i) const {
    difference(i);
    return {difference.y[i], difference.y[i]};
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

}  // namespace

template <typename Dtype>
void EuclideanLossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  CAFFE_CHECK(bottom[0]->count() == bottom[1]->count(),
              this->name() << "both bottoms must have the same size; they are "
                           << bottom[0]->shape_string() << " and " << bottom[1]->shape_string());
  diff_.ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void EuclideanLossLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int count = bottom[0]->count();
  const Difference<Dtype> difference = {bottom[0]->active_data(), bottom[1]->active_data(),
                                        diff_.mutable_active_data()};
  if (current_device() == Device::kGPU) {
    gpu_total(count, SquareTerms<Dtype>{difference},
              StoreLoss<Dtype>{
                  {Dtype(bottom[0]->shape(0)), nullptr}, Dtype(2), top[0]->mutable_gpu_data()});
    return;
  }
  parallel_for(count, difference);
  const Dtype sum = caffe_dot(count, diff_.active_data(), diff_.active_data());
  top[0]->mutable_cpu_data()[0] = sum / bottom[0]->shape(0) / Dtype(2);
}

template <typename Dtype>
void EuclideanLossLayer<Dtype>::Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                                             const Blobs& bottom) {
  for (int i = 0; i < 2; ++i) {
    if (!propagate_down[i]) continue;
    const Dtype sign = i == 0 ? Dtype(1) : Dtype(-1);
    multiply_by_loss(sign, *top[0], Dtype(bottom[i]->shape(0)), bottom[i]->count(),
                     diff_.active_data(), bottom[i]->mutable_active_diff());
  }
}

INSTANTIATE_CLASS(EuclideanLossLayer);
REGISTER_LAYER_CLASS(EuclideanLoss);

}  // namespace caffe
