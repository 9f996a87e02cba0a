#include "caffe/layers/dropout_layer.hpp"

#include "caffe/util/parallel.hpp"
#include "caffe/util/random_bits.hpp"

namespace caffe {

namespace {

/// Forward: y from x. Backward: dx from dy.
template <typename T>
struct DropoutMask {
  RandomBits bits;
  uint32_t threshold;
  T scale;
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const { y[i] = bits.at(i) >= threshold ? x[i] * scale : T(0); }
};

}  // namespace

template <typename Dtype>
void DropoutLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  const double ratio = this->layer_param_.dropout_param().dropout_ratio();
  CAFFE_CHECK(ratio >= 0 && ratio < 1, this->name() << "dropout_ratio is " << ratio
                                                    << "; it is the part of the values that "
                                                    << "is dropped, at least 0 and less than 1");
  threshold_ = static_cast<uint32_t>(ratio * 4294967296.0);  // below 2^32: a float below 1 is
  scale_ = static_cast<Dtype>(1 / (1 - ratio));
}

template <typename Dtype>
void DropoutLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int count = bottom[0]->count();
  if (this->phase_ != TRAIN) {
    caffe_copy(count, bottom[0]->active_data(), top[0]->mutable_active_data());
    return;
  }
  seed_ = caffe_rng_rand();
  parallel_for(count, DropoutMask<Dtype>{RandomBits(seed_), threshold_, scale_,
                                         bottom[0]->active_data(), top[0]->mutable_active_data()});
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
  parallel_for(count, DropoutMask<Dtype>{RandomBits(seed_), threshold_, scale_,
                                         top[0]->active_diff(), bottom[0]->mutable_active_diff()});
}

INSTANTIATE_CLASS(DropoutLayer);
REGISTER_LAYER_CLASS(Dropout);

}  // namespace caffe
