#include "caffe/layers/mvn_layer.hpp"

#include <cmath>

#include "caffe/util/channel_norm.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// factor = 1 / (d + eps) and slope = (d + eps) / d for a plane with standard deviation d; a flat
/// plane has slope 0. Without `divide` they are 1 and 0.
template <typename T>
struct DeviationFactors {
  bool divide;
  T eps;
  const T* variance;
  T* factor;
  T* slope;
  CAFFE_HD void operator()(int plane) const {
    const T deviation = std::sqrt(variance[plane]);
    factor[plane] = divide ? T(1) / (deviation + eps) : T(1);
    slope[plane] = divide && deviation > T(0) ? (deviation + eps) / deviation : T(0);
  }
};

}  // namespace

template <typename Dtype>
ChannelShape MVNLayer<Dtype>::shape(const Blob<Dtype>& x) const {
  const int axes = this->layer_param_.mvn_param().across_channels() ? 1 : 2;
  return {1, x.count(0, axes), x.count(axes)};
}

template <typename Dtype>
void MVNLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  CAFFE_CHECK(bottom[0]->num_axes() >= 2, this->name()
                                              << "the bottom needs a channel axis; its shape is "
                                              << bottom[0]->shape_string());
  const int planes = shape(*bottom[0]).channels;
  for (Blob<Dtype>* blob : {&mean_, &variance_, &factor_, &slope_}) {
    blob->Reshape(std::vector<int>{planes});
  }
  if (bottom[0] != top[0]) top[0]->ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void MVNLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  if (bottom[0]->count() == 0) return;
  const MVNParameter& param = this->layer_param_.mvn_param();
  const ChannelShape cut = shape(*bottom[0]);
  channel_moments(cut, bottom[0]->active_data(), mean_.mutable_active_data(),
                  variance_.mutable_active_data(), &sums_);
  parallel_for(cut.channels, DeviationFactors<Dtype>{
                                 param.normalize_variance(), param.eps(), variance_.active_data(),
                                 factor_.mutable_active_data(), slope_.mutable_active_data()});
  normalise(cut, mean_.active_data(), factor_.active_data(), bottom[0]->active_data(),
            top[0]->mutable_active_data());
}

template <typename Dtype>
void MVNLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                   const Blobs& bottom) {
  if (!propagate_down[0] || bottom[0]->count() == 0) return;
  const NormalisedValues<Dtype> y = {bottom[0] == top[0] ? top[0]->active_data() : nullptr,
                                     bottom[0]->active_data(), mean_.active_data(),
                                     factor_.active_data()};
  normalise_backward(shape(*bottom[0]), y, slope_.active_data(), top[0]->active_diff(),
                     bottom[0]->mutable_active_diff(), &means_, &sums_);
}

INSTANTIATE_CLASS(MVNLayer);
REGISTER_LAYER_CLASS(MVN);

}  // namespace caffe
