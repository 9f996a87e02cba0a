#include "caffe/layers/bnll_layer.hpp"

#include <cmath>

#include "caffe/util/parallel.hpp"
#include "caffe_layers/sigmoid.hpp"

namespace caffe {

namespace {

template <typename T>
struct BNLLForward {
  const T* x;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const {
    const T positive = x[i] > T(0) ? x[i] : T(0);
    y[i] = positive + std::log1p(std::exp(-std::fabs(x[i])));
  }
};

/// dx = dy sigmoid(x), which is dy (1 - exp(-y))
template <typename T>
struct BNLLBackward {
  bool in_place;
  const T* x;   // [count]; y where it worked in place
  const T* dy;  // [count]
  T* dx;        // [count]
  CAFFE_HD void operator()(int i) const {
    dx[i] = dy[i] * (in_place ? -std::expm1(-x[i]) : maap::sigmoid(x[i]));
  }
};

}  // namespace

template <typename Dtype>
void BNLLLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  parallel_for(bottom[0]->count(),
               BNLLForward<Dtype>{bottom[0]->active_data(), top[0]->mutable_active_data()});
}

template <typename Dtype>
void BNLLLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  if (!propagate_down[0]) return;
  parallel_for(bottom[0]->count(),
               BNLLBackward<Dtype>{bottom[0] == top[0], bottom[0]->active_data(),
                                   top[0]->active_diff(), bottom[0]->mutable_active_diff()});
}

INSTANTIATE_CLASS(BNLLLayer);
REGISTER_LAYER_CLASS(BNLL);

}  // namespace caffe
