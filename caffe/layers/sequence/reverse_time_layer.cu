#include "caffe/layers/sequence/reverse_time_layer.hpp"

#include <cstdint>

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/sequence/labels.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct ReversedTime {
  int items, inner;
  bool copy_remaining;
  const T* lengths;  // [items]
  const T* from;     // [steps x items x inner]
  T* to;             // as from
  CAFFE_HD void operator()(int row, int i) const {
    const int t = row / items, n = row % items, length = static_cast<int>(lengths[n]);
    if (t >= length) {
      to[i] = copy_remaining ? from[i] : T(0);
      return;
    }
    to[i] = from[(static_cast<int64_t>(length - 1 - t) * items + n) * inner + i % inner];
  }
};

}  // namespace

template <typename Dtype>
void ReverseTimeLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
}

template <typename Dtype>
void ReverseTimeLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  CAFFE_CHECK(bottom[0]->num_axes() >= 2 && bottom[1]->count() == bottom[0]->shape(1),
              this->name() << "takes steps x items x .. values and a length for each item; the "
                           << "shapes are " << bottom[0]->shape_string() << " and "
                           << bottom[1]->shape_string());
  top[0]->ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void ReverseTimeLayer<Dtype>::reverse(const Blobs& bottom, const Dtype* from, Dtype* to) const {
  const int steps = bottom[0]->shape(0), items = bottom[0]->shape(1), inner = bottom[0]->count(2);
  const bool copy = this->layer_param_.reverse_time_param().copy_remaining();
  parallel_planes(steps * items, inner,
                  ReversedTime<Dtype>{items, inner, copy, bottom[1]->active_data(), from, to});
}

template <typename Dtype>
void ReverseTimeLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  check_whole(*this, "lengths", *bottom[1], 0, bottom[0]->shape(0));
  reverse(bottom, bottom[0]->active_data(), top[0]->mutable_active_data());
}

template <typename Dtype>
void ReverseTimeLayer<Dtype>::Backward_any(const Blobs& top,
                                           const std::vector<bool>& propagate_down,
                                           const Blobs& bottom) {
  zero_gradients(propagate_down, 1, bottom);
  if (!propagate_down[0]) return;
  reverse(bottom, top[0]->active_diff(), bottom[0]->mutable_active_diff());
}

INSTANTIATE_CLASS(ReverseTimeLayer);
REGISTER_LAYER_CLASS(ReverseTime);

}  // namespace caffe
