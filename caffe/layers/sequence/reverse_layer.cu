#include "caffe/layers/sequence/reverse_layer.hpp"

#include <cstdint>

#include "caffe/layers/axis.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct Reversed {
  int length, inner;
  const T* from;  // [outer x length x inner]
  T* to;          // as from
  CAFFE_HD void operator()(int row, int i) const {
    const int other = row + (length - 1 - 2 * (row % length));
    to[i] = from[static_cast<int64_t>(other) * inner + i % inner];
  }
};

}  // namespace

template <typename Dtype>
void ReverseLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
}

template <typename Dtype>
void ReverseLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  axis_ = axis_of(*this, *bottom[0], this->layer_param_.reverse_param().axis());
  top[0]->ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void ReverseLayer<Dtype>::reverse(const Blob<Dtype>& shape, const Dtype* from, Dtype* to) const {
  const int inner = shape.count(axis_ + 1);
  parallel_planes(shape.count(0, axis_ + 1), inner,
                  Reversed<Dtype>{shape.shape(axis_), inner, from, to});
}

template <typename Dtype>
void ReverseLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  reverse(*bottom[0], bottom[0]->active_data(), top[0]->mutable_active_data());
}

template <typename Dtype>
void ReverseLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                       const Blobs& bottom) {
  if (!propagate_down[0]) return;
  reverse(*bottom[0], top[0]->active_diff(), bottom[0]->mutable_active_diff());
}

INSTANTIATE_CLASS(ReverseLayer);
REGISTER_LAYER_CLASS(Reverse);

}  // namespace caffe
