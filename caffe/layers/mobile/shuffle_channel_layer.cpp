#include "caffe/layers/mobile/shuffle_channel_layer.hpp"

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/mobile/transpose_blocks.hpp"

namespace caffe {

template <typename Dtype>
void ShuffleChannelLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(bottom[0]->num_axes() >= 2, this->name()
                                              << "the bottom needs a channel axis; its shape is "
                                              << bottom[0]->shape_string());
  const uint32_t group = this->layer_param_.shuffle_channel_param().group();
  const uint32_t channels = static_cast<uint32_t>(bottom[0]->shape(1));
  CAFFE_CHECK(group >= 1 && channels % group == 0, this->name() << "group is " << group
                                                                << ", which does not divide the "
                                                                << channels << " channels");
  group_ = static_cast<int>(group);
  top[0]->ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void ShuffleChannelLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  transpose_blocks(bottom[0]->shape(0), group_, bottom[0]->shape(1) / group_, bottom[0]->count(2),
                   bottom[0]->active_data(), top[0]->mutable_active_data());
}

template <typename Dtype>
void ShuffleChannelLayer<Dtype>::Backward_any(const Blobs& top,
                                              const std::vector<bool>& propagate_down,
                                              const Blobs& bottom) {
  if (!propagate_down[0]) return;
  transpose_blocks(top[0]->shape(0), top[0]->shape(1) / group_, group_, top[0]->count(2),
                   top[0]->active_diff(), bottom[0]->mutable_active_diff());
}

INSTANTIATE_CLASS(ShuffleChannelLayer);
REGISTER_LAYER_CLASS(ShuffleChannel);

}  // namespace caffe
