#include "caffe/layers/mobile/channel_shuffle_layer.hpp"

#include <cstdint>

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/mobile/transpose_blocks.hpp"

namespace caffe {

template <typename Dtype>
void ChannelShuffleLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const ChannelShuffleParameter& p = this->layer_param_.channel_shuffle_param();
  CAFFE_CHECK(bottom[0]->num_axes() >= 2, this->name()
                                              << "the bottom needs a channel axis; its shape is "
                                              << bottom[0]->shape_string());
  CAFFE_CHECK(
      p.shuffle_pattern() == 0 || p.shuffle_pattern() == 1,
      this->name() << "shuffle_pattern is " << p.shuffle_pattern() << "; there are 0 and 1");
  const int channels = bottom[0]->shape(1), pixels = bottom[0]->count(2);
  top[0]->ReshapeLike(*bottom[0]);
  if (p.shuffle_pattern() == 0) {
    rows_ = channels;
    columns_ = pixels;
    length_ = 1;
    return;
  }
  const int64_t row = static_cast<int64_t>(p.group()) * p.shuffle_channel_num();
  CAFFE_CHECK(p.group() >= 1 && p.shuffle_channel_num() >= 1 && channels % row == 0,
              this->name() << "group " << p.group() << " times shuffle_channel_num "
                           << p.shuffle_channel_num() << " does not divide the " << channels
                           << " channels");
  rows_ = static_cast<int>(p.group());
  columns_ = static_cast<int>(channels / row);
  length_ = channels > 0 ? p.shuffle_channel_num() * pixels : 0;
}

template <typename Dtype>
void ChannelShuffleLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  transpose_blocks(bottom[0]->shape(0), rows_, columns_, length_, bottom[0]->active_data(),
                   top[0]->mutable_active_data());
}

template <typename Dtype>
void ChannelShuffleLayer<Dtype>::Backward_any(const Blobs& top,
                                              const std::vector<bool>& propagate_down,
                                              const Blobs& bottom) {
  if (!propagate_down[0]) return;
  transpose_blocks(top[0]->shape(0), columns_, rows_, length_, top[0]->active_diff(),
                   bottom[0]->mutable_active_diff());
}

INSTANTIATE_CLASS(ChannelShuffleLayer);
REGISTER_LAYER_CLASS(ChannelShuffle);

}  // namespace caffe
