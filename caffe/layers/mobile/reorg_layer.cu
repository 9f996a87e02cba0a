#include "caffe/layers/mobile/reorg_layer.hpp"

#include <string>

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/mobile/length.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// p of the layer's comment.
struct Permutation {
  int channels, height, width, stride;
  /// The place of value i of row (n C + c) H + h.
  CAFFE_HD int operator()(int row, int i) const {
    const int h = row % height, c = row / height % channels, w = i - row * width;
    const int fewer = channels / (stride * stride), part = c / fewer;
    const int plane = row / height / channels * fewer + c % fewer;
    const int line = plane * height * stride + h * stride + part / stride;
    return line * width * stride + w * stride + part % stride;
  }
};

template <typename T>
struct GatherBlocks {
  Permutation p;
  const T* from;
  T* to;
  CAFFE_HD void operator()(int row, int i) const { to[i] = from[p(row, i)]; }
};

template <typename T>
struct ScatterBlocks {
  Permutation p;
  const T* from;
  T* to;
  CAFFE_HD void operator()(int row, int i) const { to[p(row, i)] = from[i]; }
};

}  // namespace

template <typename Dtype>
void ReorgLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  const ReorgParameter& param = this->layer_param_.reorg_param();
  // Its square is an int.
  CAFFE_CHECK(param.stride() >= 1 && param.stride() <= 46340,
              this->name() << (param.has_stride() ? "stride is " + std::to_string(param.stride())
                                                  : "stride is missing")
                           << "; it must be from 1 to 46340");
  stride_ = static_cast<int>(param.stride());
  reverse_ = param.reverse();
}

template <typename Dtype>
void ReorgLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const Blob<Dtype>& x = *bottom[0];
  CAFFE_CHECK(x.num_axes() == 4, this->name() << "the bottom needs four axes, N x C x H x W; its "
                                              << "shape is " << x.shape_string());
  const int square = stride_ * stride_;
  CAFFE_CHECK(x.shape(1) % square == 0,
              this->name() << "stride " << stride_ << " needs a multiple of " << square
                           << " channels; the bottom's shape is " << x.shape_string());
  CAFFE_CHECK(reverse_ || (x.shape(2) % stride_ == 0 && x.shape(3) % stride_ == 0),
              this->name() << "stride " << stride_ << " does not divide height and width of the "
                           << "bottom, " << x.shape_string());
  const std::string name = this->name();
  if (reverse_) {
    top[0]->Reshape({x.shape(0), x.shape(1) / square, longer(name, x.shape(2), stride_),
                     longer(name, x.shape(3), stride_)});
  } else {
    top[0]->Reshape(
        {x.shape(0), longer(name, x.shape(1), square), x.shape(2) / stride_, x.shape(3) / stride_});
  }
}

template <typename Dtype>
void ReorgLayer<Dtype>::move(bool gather, const Blob<Dtype>& bottom, const Dtype* from,
                             Dtype* to) const {
  const Permutation p = {bottom.shape(1), bottom.shape(2), bottom.shape(3), stride_};
  if (gather) {
    parallel_planes(bottom.count(0, 3), p.width, GatherBlocks<Dtype>{p, from, to});
  } else {
    parallel_planes(bottom.count(0, 3), p.width, ScatterBlocks<Dtype>{p, from, to});
  }
}

template <typename Dtype>
void ReorgLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  move(!reverse_, *bottom[0], bottom[0]->active_data(), top[0]->mutable_active_data());
}

template <typename Dtype>
void ReorgLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                     const Blobs& bottom) {
  if (!propagate_down[0]) return;
  move(reverse_, *bottom[0], top[0]->active_diff(), bottom[0]->mutable_active_diff());
}

INSTANTIATE_CLASS(ReorgLayer);
REGISTER_LAYER_CLASS(Reorg);

}  // namespace caffe
