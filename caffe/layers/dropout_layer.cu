#include "caffe/layers/dropout_layer.hpp"

#include "caffe/layers/gradient_order.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/seeded.hpp"
#include "caffe/util/value_order.hpp"

namespace caffe {

namespace {

/// Forward: y from x. Backward: dx from dy.
template <typename T>
struct Drop {
  RandomBits bits;
  uint32_t threshold;
  T scale;
  CAFFE_HD uint64_t of_pair(int pair) const { return bits.all_at(pair); }
  CAFFE_HD T factor(uint32_t drawn) const { return drawn >= threshold ? scale : T(0); }
};

/// Values 2 i and 2 i + 1, which share 64 bits.
template <typename T>
struct DropPair {
  Drop<T> drop;
  int count;
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void reseed(RandomBits bits) { drop.bits = bits; }
  CAFFE_HD void operator()(int pair) const {
    const uint64_t drawn = drop.of_pair(pair);
    const int i = 2 * pair;
    y[i] = x[i] * drop.factor(static_cast<uint32_t>(drawn));
    if (i + 1 < count) y[i + 1] = x[i + 1] * drop.factor(static_cast<uint32_t>(drawn >> 32));
  }
};

/// Value i of an array with the channels last, with the bits of the same value in a plain array.
template <typename T>
struct DropChannelsLast {
  Drop<T> drop;
  int channels, pixels;
  const T* x;  // [num, pixels, channels]
  T* y;        // as x
  CAFFE_HD void reseed(RandomBits bits) { drop.bits = bits; }
  CAFFE_HD void operator()(int i) const {
    const int c = i % channels, p = i / channels % pixels, n = i / channels / pixels;
    const int plain = (n * channels + c) * pixels + p;
    y[i] = x[i] * drop.factor(static_cast<uint32_t>(drop.of_pair(plain / 2) >> plain % 2 * 32));
  }
};

}  // namespace

template <typename Dtype>
void DropoutLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  const double ratio = this->layer_param_.dropout_param().dropout_ratio();
  CAFFE_CHECK(ratio >= 0 && ratio < 1, this->name() << "dropout_ratio is " << ratio
                                                    << "; it is the fraction of values that "
                                                    << "is dropped, at least 0 and less than 1");
  const DropoutParameter& param = this->layer_param_.dropout_param();
  drops_ = this->phase_ == TRAIN || param.sample_weights_test();
  if (drops_) threshold_ = static_cast<uint32_t>(ratio * 4294967296.0);  // below 2^32: ratio < 1
  if (drops_ && param.scale_train()) scale_ = static_cast<Dtype>(1 / (1 - ratio));
  if (!drops_ && !param.scale_train()) scale_ = static_cast<Dtype>(1 - ratio);
}

template <typename Dtype>
void DropoutLayer<Dtype>::drop(Order order, const Blob<Dtype>& shaped, const Dtype* x,
                               Dtype* y) const {
  const Drop<Dtype> drop{RandomBits(seed_.value), threshold_, scale_};
  const int count = shaped.count();
  if (keeps_values()) {
    caffe_copy(count, x, y);
  } else if (order == Order::kNhwc) {
    const ChannelShape cut = channels_of(Order::kNchw, shaped.shape());
    parallel_for_seeded(count, seed_, DropChannelsLast<Dtype>{drop, cut.channels, cut.inner, x, y});
  } else {
    parallel_for_seeded(count / 2 + count % 2, seed_, DropPair<Dtype>{drop, count, x, y});
  }
}

template <typename Dtype>
void DropoutLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  if (drops_) draw_gpu_seed(&seed_);
  if (keeps_values() && bottom[0] == top[0]) return;  // in any layout
  const Order order = data_order(*bottom[0]);
  const Dtype* const x = data_in(order, *bottom[0]);
  drop(order, *bottom[0], x, mutable_data_in(order, top[0]));
}

template <typename Dtype>
void DropoutLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                       const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Order order = gradient_order(*bottom[0], *top[0]);
  const Dtype* const dy = diff_in(order, *top[0]);
  drop(order, *bottom[0], dy, mutable_diff_in(order, bottom[0]));
}

INSTANTIATE_CLASS(DropoutLayer);
REGISTER_LAYER_CLASS(Dropout);

}  // namespace caffe
