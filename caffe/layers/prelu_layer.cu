#include "caffe/layers/prelu_layer.hpp"

#include "caffe/layers/gradient_order.hpp"
#include "caffe/layers/learnt.hpp"
#include "caffe/util/channel_sums.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

namespace {

template <typename T>
struct PReLUForward {
  Divisor slopes;  // 1: one for all
  const T* slope;  // [slopes]
  const T* x;      // [outer, channels, inner]
  T* y;            // as x
  CAFFE_HD void operator()(int row, int i) const {
    const T below = slope[row % slopes] * x[i];
    y[i] = x[i] > T(0) ? x[i] : below;
  }
};

template <typename T>
struct PReLUBackward {
  Divisor slopes;
  const T* slope;  // [slopes]
  const T* x;      // [outer, channels, inner]
  const T* dy;     // as x
  T* dx;           // as x
  CAFFE_HD void operator()(int row, int i) const {
    const T below = slope[row % slopes] * dy[i];
    dx[i] = x[i] > T(0) ? dy[i] : below;
  }
};

/// What each value contributes to the gradient of its slope.
template <typename T>
struct SlopeGradient {
  using Value = T;
  const T* x;
  const T* dy;
  template <typename W>
  CAFFE_HD Product<W> first(int, int i) const {
    // Chosen in W: a comparison of another width would keep the sum from being vectorised.
    const W value = W(x[i]), gradient = W(dy[i]);
    return {value > W(0) ? W(0) : gradient, value > W(0) ? W(0) : value};
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

template <typename T>
struct AddToSlope {
  T* slope_diff;  // [channels]
  CAFFE_HD void operator()(int c, double sum, double) const {
    slope_diff[c] += static_cast<T>(sum);
  }
};

}  // namespace

template <typename Dtype>
void PReLULayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs&) {
  const PReLUParameter& param = this->layer_param_.prelu_param();
  CAFFE_CHECK(bottom[0]->num_axes() >= 2, this->name()
                                              << "the bottom needs a channel axis; its shape is "
                                              << bottom[0]->shape_string());
  LearntBlob slopes = {"slopes", {}, param.filler()};
  if (!param.channel_shared()) slopes.shape = {bottom[0]->shape(1)};
  if (!param.has_filler()) {
    slopes.filler.set_type("constant");
    slopes.filler.set_value(0.25f);
  }
  make_learnt(*this, {slopes}, &this->blobs_);
  this->param_propagate_down_.resize(1, true);
}

template <typename Dtype>
void PReLULayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const Blob<Dtype>& slopes = *this->blobs_[0];
  CAFFE_CHECK(bottom[0]->num_axes() >= 2 &&
                  (slopes.num_axes() == 0 || slopes.count() == bottom[0]->shape(1)),
              this->name() << "has " << slopes.count() << " slopes, and the bottom's shape is now "
                           << bottom[0]->shape_string());
  if (bottom[0] == top[0]) {
    input_.ReshapeLike(*bottom[0]);
  } else {
    top[0]->ReshapeLike(*bottom[0]);
  }
}

/// One slope for all: every value belongs to one channel.
template <typename Dtype>
ChannelShape PReLULayer<Dtype>::shape(Order order, const Blob<Dtype>& x) const {
  if (this->blobs_[0]->num_axes() == 0) return {x.shape(0), 1, x.count(1)};
  return channels_of(order, x.shape());
}

template <typename Dtype>
void PReLULayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = data_order(*bottom[0]);
  const ChannelShape cut = shape(order, *bottom[0]);
  if (bottom[0] == top[0]) copy_data(order, *bottom[0], &input_);
  const Blob<Dtype>& slopes = *this->blobs_[0];
  parallel_planes(cut.rows(), cut.inner,
                  PReLUForward<Dtype>{slopes.count(), slopes.active_data(),
                                      data_in(order, *bottom[0]), mutable_data_in(order, top[0])});
}

template <typename Dtype>
void PReLULayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                     const Blobs& bottom) {
  Blob<Dtype>& slopes = *this->blobs_[0];
  const Order order = gradient_order(*bottom[0], *top[0]);
  const ChannelShape cut = shape(order, *bottom[0]);
  const Dtype* const x = data_in(order, bottom[0] == top[0] ? input_ : *bottom[0]);
  if (this->param_propagate_down_[0]) {
    channel_sums(cut, SlopeGradient<Dtype>{x, diff_in(order, *top[0])}, &sums_,
                 AddToSlope<Dtype>{slopes.mutable_active_diff()});
  }
  if (propagate_down[0]) {
    parallel_planes(
        cut.rows(), cut.inner,
        PReLUBackward<Dtype>{slopes.count(), slopes.active_data(), x, diff_in(order, *top[0]),
                             mutable_diff_in(order, bottom[0])});
  }
}

INSTANTIATE_CLASS(PReLULayer);
REGISTER_LAYER_CLASS(PReLU);

}  // namespace caffe
