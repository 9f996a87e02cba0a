#include "caffe/layers/mobile/pixel_shuffle_layer.hpp"

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/mobile/length.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// The place in the bottom of a value of the top.
struct Source {
  int factor, height, width;  // of the top
  CAFFE_HD int operator()(int row, int i) const {
    const int y = row % height, plane = row / height, x = i - row * width;  // plane n C + c
    const int channel = (plane * factor + y % factor) * factor + x % factor;
    return (channel * (height / factor) + y / factor) * (width / factor) + x / factor;
  }
};

template <typename T>
struct ShuffleForward {
  Source source;
  const T* x;
  T* y;
  CAFFE_HD void operator()(int row, int i) const { y[i] = x[source(row, i)]; }
};

template <typename T>
struct ShuffleBackward {
  Source source;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int row, int i) const { dx[source(row, i)] = dy[i]; }
};

}  // namespace

template <typename Dtype>
void PixelShuffleLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  const LayerParameter& param = this->layer_param_;
  CAFFE_CHECK(!param.has_pixelshuffle_param() || !param.has_pixel_shuffle_param(),
              this->name() << "give pixelshuffle_param or pixel_shuffle_param, not both");
  CAFFE_CHECK(!param.has_pixelshuffle_param() || param.pixelshuffle_param().has_upscale_factor(),
              this->name() << "pixelshuffle_param needs upscale_factor");
  factor_ = param.has_pixelshuffle_param() ? param.pixelshuffle_param().upscale_factor()
                                           : param.pixel_shuffle_param().upscale_factor();
  CAFFE_CHECK(factor_ >= 1 && factor_ <= 46340,
              this->name() << "upscale_factor is " << factor_ << "; it must be from 1 to 46340");
}

template <typename Dtype>
void PixelShuffleLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const Blob<Dtype>& x = *bottom[0];
  CAFFE_CHECK(x.num_axes() == 4, this->name() << "the bottom needs four axes, N x C x H x W; its "
                                              << "shape is " << x.shape_string());
  const int square = factor_ * factor_;
  CAFFE_CHECK(x.shape(1) % square == 0,
              this->name() << "upscale_factor " << factor_ << " needs a multiple of " << square
                           << " channels; the bottom's shape is " << x.shape_string());
  top[0]->Reshape({x.shape(0), x.shape(1) / square, longer(this->name(), x.shape(2), factor_),
                   longer(this->name(), x.shape(3), factor_)});
}

template <typename Dtype>
void PixelShuffleLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Source source = {factor_, top[0]->shape(2), top[0]->shape(3)};
  parallel_planes(
      top[0]->count(0, 3), source.width,
      ShuffleForward<Dtype>{source, bottom[0]->active_data(), top[0]->mutable_active_data()});
}

template <typename Dtype>
void PixelShuffleLayer<Dtype>::Backward_any(const Blobs& top,
                                            const std::vector<bool>& propagate_down,
                                            const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Source source = {factor_, top[0]->shape(2), top[0]->shape(3)};
  parallel_planes(
      top[0]->count(0, 3), source.width,
      ShuffleBackward<Dtype>{source, top[0]->active_diff(), bottom[0]->mutable_active_diff()});
}

INSTANTIATE_CLASS(PixelShuffleLayer);
REGISTER_LAYER_CLASS(PixelShuffle);

}  // namespace caffe
