#include "caffe/layers/detection/smooth_l1_loss_ohem_layer.hpp"

#include <cmath>

#include "caffe/layers/gpu_loss.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct PlaceLoss {
  int channels, inner;
  const T *a, *b, *w;  // [num, channels, inner]; w may be null
  T* slope;            // as a
  T* loss;             // [num, inner]
  template <typename Team>
  CAFFE_HD void operator()(int place, const Team& team) const {
    const int64_t first = static_cast<int64_t>(place / inner) * channels * inner + place % inner;
    T sum = T(0);
    for (int c = team.rank(); c < channels; c += team.size()) {
      const int64_t i = first + static_cast<int64_t>(c) * inner;
      const T weight = w == nullptr ? T(1) : w[i];
      const T d = weight * (a[i] - b[i]), size = std::fabs(d);
      const bool square = size < T(1);
      sum += square ? T(0.5) * d * d : size - T(0.5);
      slope[i] = weight * (square ? d : d < T(0) ? T(-1) : T(1));
    }
    sum = team.sum(sum);
    if (team.rank() == 0) loss[place] = sum;
  }
};

}  // namespace

template <typename Dtype>
void SmoothL1LossOHEMLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  for (const Blob<Dtype>* blob : bottom) {
    CAFFE_CHECK(blob->num_axes() >= 2 && blob->shape() == bottom[0]->shape(),
                this->name() << "takes predictions, targets and weights of one shape, N x C x H x "
                             << "W; they are " << bottom[0]->shape_string() << " and "
                             << blob->shape_string());
  }
  slope_.ReshapeLike(*bottom[0]);
  vector<int> shape = bottom[0]->shape();
  shape[1] = 1;
  place_loss_.Reshape(shape);
  if (top.size() > 1) top[1]->Reshape(shape);
}

template <typename Dtype>
Dtype SmoothL1LossOHEMLayer<Dtype>::divisor(const Blob<Dtype>& prediction) const {
  return normalizer_of<Dtype>(normalization_of(this->layer_param_.loss_param()),
                              prediction.shape(0), prediction.count(2), -1,
                              this->layer_param_.loss_param().pre_fixed_normalizer());
}

template <typename Dtype>
void SmoothL1LossOHEMLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int places = place_loss_.count(), channels = bottom[0]->shape(1);
  const int inner = bottom[0]->count(2);
  const PlaceLoss<Dtype> place = {channels,
                                  inner,
                                  bottom[0]->active_data(),
                                  bottom[1]->active_data(),
                                  bottom.size() > 2 ? bottom[2]->active_data() : nullptr,
                                  slope_.mutable_active_data(),
                                  place_loss_.mutable_active_data()};
  if (top.size() > 1) top[1]->ShareData(place_loss_);
  if (current_device() == Device::kGPU) {
    gpu_loss_of_items<Dtype>(places, channels, inner, place, place.loss,
                             {divisor(*bottom[0]), nullptr}, top[0]->mutable_gpu_data());
    return;
  }
  parallel_items(places, channels, inner, place);
  const Dtype sum = caffe_asum(places, place_loss_.active_data());  // none is negative
  top[0]->mutable_cpu_data()[0] = sum / divisor(*bottom[0]);
}

template <typename Dtype>
void SmoothL1LossOHEMLayer<Dtype>::Backward_any(const Blobs& top,
                                                const vector<bool>& propagate_down,
                                                const Blobs& bottom) {
  for (int b = 0; b < 2; ++b) {
    if (!propagate_down[b]) continue;
    const Dtype sign = b == 0 ? Dtype(1) : Dtype(-1);
    multiply_by_loss(sign, *top[0], divisor(*bottom[0]), bottom[b]->count(), slope_.active_data(),
                     bottom[b]->mutable_active_diff());
  }
  zero_gradients(propagate_down, 2, bottom);
}

INSTANTIATE_CLASS(SmoothL1LossOHEMLayer);
REGISTER_LAYER_CLASS(SmoothL1LossOHEM);

}  // namespace caffe
