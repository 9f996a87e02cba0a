#include "caffe/layers/dropout_layer.hpp"

#include "caffe/util/parallel.hpp"
#include "caffe/util/random_bits.hpp"

namespace caffe {

namespace {

/// Forward: y from x. Backward: dx from dy. Values 2 i and 2 i + 1, which share 64 bits.
template <typename T>
struct DropoutPair {
  RandomBits bits;
  uint32_t threshold;
  T scale;
  int count;
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int pair) const {
    const uint64_t drawn = bits.all_at(pair);
    const int i = 2 * pair;
    y[i] = x[i] * factor(static_cast<uint32_t>(drawn));
    if (i + 1 < count) y[i + 1] = x[i + 1] * factor(static_cast<uint32_t>(drawn >> 32));
  }
  CAFFE_HD T factor(uint32_t drawn) const { return drawn >= threshold ? scale : T(0); }
};

}  // namespace

template <typename Dtype>
void DropoutLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  const double ratio = this->layer_param_.dropout_param().dropout_ratio();
  CAFFE_CHECK(ratio >= 0 && ratio < 1, this->name() << "dropout_ratio is " << ratio
                                                    << "; it is the fraction of values that "
                                                    << "is dropped, at least 0 and less than 1");
  threshold_ = static_cast<uint32_t>(ratio * 4294967296.0);  // below 2^32: a float below 1 is
  scale_ = static_cast<Dtype>(1 / (1 - ratio));
}

template <typename Dtype>
void DropoutLayer<Dtype>::drop(int count, const Dtype* x, Dtype* y) const {
  parallel_for(count / 2 + count % 2,
               DropoutPair<Dtype>{RandomBits(seed_), threshold_, scale_, count, x, y});
}

template <typename Dtype>
void DropoutLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int count = bottom[0]->count();
  if (this->phase_ != TRAIN) {
    caffe_copy(count, bottom[0]->active_data(), top[0]->mutable_active_data());
    return;
  }
  seed_ = caffe_rng_rand();
  drop(count, bottom[0]->active_data(), top[0]->mutable_active_data());
}

template <typename Dtype>
void DropoutLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                       const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const int count = top[0]->count();
  if (this->phase_ != TRAIN) {
    caffe_copy(count, top[0]->active_diff(), bottom[0]->mutable_active_diff());
    return;
  }
  drop(count, top[0]->active_diff(), bottom[0]->mutable_active_diff());
}

INSTANTIATE_CLASS(DropoutLayer);
REGISTER_LAYER_CLASS(Dropout);

}  // namespace caffe
