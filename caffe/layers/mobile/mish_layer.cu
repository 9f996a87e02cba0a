#include "caffe/layers/mobile/mish_layer.hpp"

#include "kernels/sigmoid.hpp"

namespace caffe {

namespace {

/// tanh(log(1 + exp(x))) = (e^2 + 2 e) / (e^2 + 2 e + 2), e = exp(x), without overflow: for x > 0
/// both are divided by e^2.
template <typename T>
struct Gate {
  T above, rest;  // the numerator, and the denominator without it
  CAFFE_HD explicit Gate(T x) {
    const T e = maap::exp_negative(x < T(0) ? -x : x);
    above = x < T(0) ? e * (e + T(2)) : T(1) + T(2) * e;
    rest = x < T(0) ? T(2) : T(2) * e * e;
  }
  CAFFE_HD T value() const { return above / (above + rest); }
  /// 1 - value()^2, without cancellation
  CAFFE_HD T one_minus_square() const {
    const T whole = above + rest;
    return rest / whole * ((above + whole) / whole);
  }
};

/// x, but not less than where Gate ends to become smaller: their product is about 0 from there
/// on.
template <typename T>
CAFFE_HD T bounded(T x) {
  const T least = -maap::FloatBits<T>::kLimit;
  return x < least ? least : x;
}

template <typename T>
struct MishForward {
  const T* x;  // [count]
  T* y;        // [count]
  T* kept;     // [count] for x, or null
  CAFFE_HD void operator()(int i) const {
    const T value = x[i];
    if (kept != nullptr) kept[i] = value;
    y[i] = bounded(value) * Gate<T>(value).value();
  }
};

/// dx = dy (g + x (1 - g^2) sigmoid(x)), where g is the gate
template <typename T>
struct MishBackward {
  const T* x;   // [count]
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const {
    const Gate<T> gate(x[i]);
    const T near = -bounded(-bounded(x[i]));  // also above: 0 times infinity is not a number
    const T slope = near * gate.one_minus_square() * maap::sigmoid(x[i]);
    dx[i] = dy[i] * (gate.value() + slope);
  }
};

}  // namespace

template <typename Dtype>
void MishLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  this->template forward<MishForward>(bottom, top);
}

template <typename Dtype>
void MishLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  this->template backward<MishBackward>(top, propagate_down[0], bottom);
}

INSTANTIATE_CLASS(MishLayer);
REGISTER_LAYER_CLASS(Mish);

}  // namespace caffe
