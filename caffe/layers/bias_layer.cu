#include "caffe/layers/bias_layer.hpp"

#include "caffe/layers/broadcast.hpp"
#include "caffe/layers/gradient_order.hpp"
#include "caffe/layers/learnt.hpp"
#include "caffe/util/channel_sums.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/plain_terms.hpp"

namespace caffe {

namespace {

template <typename T>
struct BiasForward {
  Divisor channels;
  const T* b;  // [channels]
  const T* x;  // [outer, channels, inner]
  T* y;        // as x
  CAFFE_HD void operator()(int row, int i) const { y[i] = x[i] + b[row % channels]; }
};

template <typename T>
struct StoreGradient {
  bool add;  // to the existing values
  T* db;     // [channels]
  CAFFE_HD void operator()(int c, double sum, double) const {
    db[c] = (add ? db[c] : T(0)) + static_cast<T>(sum);
  }
};

}  // namespace

template <typename Dtype>
void BiasLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs&) {
  if (bottom.size() > 1) return;
  const BiasParameter& param = this->layer_param_.bias_param();
  make_learnt(*this,
              {{"biases", covered_shape(*this, *bottom[0], param.axis(), param.num_axes()),
                param.filler()}},
              &this->blobs_);
  this->param_propagate_down_.resize(1, true);
}

template <typename Dtype>
Blob<Dtype>& BiasLayer<Dtype>::bias(const Blobs& bottom) const {
  return bottom.size() > 1 ? *bottom[1] : *this->blobs_[0];
}

template <typename Dtype>
void BiasLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  shape_ = broadcast(*this, *bottom[0], bias(bottom), this->layer_param_.bias_param().axis());
  if (bottom[0] != top[0]) top[0]->ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void BiasLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Order order = order_for(shape_, *bottom[0], data_order(*bottom[0]));
  const ChannelShape shape = in_order(order, shape_);
  parallel_planes(shape.rows(), shape.inner,
                  BiasForward<Dtype>{shape.channels, bias(bottom).active_data(),
                                     data_in(order, *bottom[0]), mutable_data_in(order, top[0])});
}

template <typename Dtype>
void BiasLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  const Order order = order_for(shape_, *bottom[0], gradient_order(*bottom[0], *top[0]));
  const Dtype* const dy = diff_in(order, *top[0]);
  if (propagate_down[0]) caffe_copy(top[0]->count(), dy, mutable_diff_in(order, bottom[0]));
  const bool learnt = bottom.size() == 1;
  if (learnt ? this->param_propagate_down_[0] : propagate_down[1]) {
    channel_sums(in_order(order, shape_), PlainTerms<Dtype>{dy}, &sums_,
                 StoreGradient<Dtype>{learnt, bias(bottom).mutable_active_diff()});
  }
}

INSTANTIATE_CLASS(BiasLayer);
REGISTER_LAYER_CLASS(Bias);

}  // namespace caffe
