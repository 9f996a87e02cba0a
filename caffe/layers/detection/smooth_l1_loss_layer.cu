#include "caffe/layers/detection/smooth_l1_loss_layer.hpp"

#include <numeric>

#include "caffe/layers/gpu_loss.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct SmoothL1 {
  T sigma2;
  const T *a, *b;
  const T *inside, *outside;  // null: 1
  T* loss;
  T* slope;  // the derivative of loss with respect to a
  CAFFE_HD void operator()(int i) const {
    const T in = inside == nullptr ? T(1) : inside[i];
    const T out = outside == nullptr ? T(1) : outside[i];
    const T d = in * (a[i] - b[i]), size = d < T(0) ? -d : d;
    const bool near = size * sigma2 < T(1);
    loss[i] = out * (near ? T(0.5) * sigma2 * d * d : size - T(0.5) / sigma2);
    slope[i] = out * in * (near ? sigma2 * d : (d < T(0) ? T(-1) : T(1)));
  }
};

}  // namespace

template <typename Dtype>
void SmoothL1LossLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::LayerSetUp(bottom, top);
  const float sigma = this->layer_param_.smooth_l1_loss_param().sigma();
  CAFFE_CHECK(sigma > 0, this->name() << "sigma is " << sigma << ", and must be greater than 0");
}

template <typename Dtype>
void SmoothL1LossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  const char* const names[] = {"predictions", "targets", "inside weights", "outside weights"};
  for (size_t b = 1; b < bottom.size(); ++b) {
    CAFFE_CHECK(bottom[b]->count() == bottom[0]->count(),
                this->name() << "the " << names[b] << ", bottom " << b
                             << ", must be as many as the predictions, bottom 0; they are "
                             << bottom[b]->shape_string() << " and " << bottom[0]->shape_string());
  }
  terms_.ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void SmoothL1LossLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int count = bottom[0]->count();
  const Dtype sigma = this->layer_param_.smooth_l1_loss_param().sigma();
  const SmoothL1<Dtype> item = {sigma * sigma,
                                bottom[0]->active_data(),
                                bottom[1]->active_data(),
                                bottom.size() > 2 ? bottom[2]->active_data() : nullptr,
                                bottom.size() > 3 ? bottom[3]->active_data() : nullptr,
                                terms_.mutable_active_data(),
                                terms_.mutable_active_diff()};
  const Dtype items = std::max(1, bottom[0]->shape(0));
  if (current_device() == Device::kGPU) {
    gpu_loss<Dtype>(count, item, item.loss, {items, nullptr}, top[0]->mutable_gpu_data());
    return;
  }
  parallel_for(count, item);
  const Dtype* const loss = terms_.cpu_data();
  top[0]->mutable_cpu_data()[0] =
      static_cast<Dtype>(std::accumulate(loss, loss + count, 0.) / items);
}

template <typename Dtype>
void SmoothL1LossLayer<Dtype>::Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                                            const Blobs& bottom) {
  zero_gradients(propagate_down, 2, bottom);
  const Dtype items = std::max(1, bottom[0]->shape(0));
  for (int i = 0; i < 2; ++i) {
    if (!propagate_down[i]) continue;
    const Dtype sign = i == 0 ? Dtype(1) : Dtype(-1);
    multiply_by_loss(sign, *top[0], items, bottom[i]->count(), terms_.active_diff(),
                     bottom[i]->mutable_active_diff());
  }
}

INSTANTIATE_CLASS(SmoothL1LossLayer);
REGISTER_LAYER_CLASS(SmoothL1Loss);

}  // namespace caffe
