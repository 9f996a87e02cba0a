#include "caffe/layers/silence_layer.hpp"

#include "caffe/util/active.hpp"

namespace caffe {

template <typename Dtype>
void SilenceLayer<Dtype>::Backward_any(const Blobs&, const std::vector<bool>& propagate_down,
                                       const Blobs& bottom) {
  for (size_t i = 0; i < bottom.size(); ++i) {
    if (propagate_down[i])
      active_set(bottom[i]->count(), Dtype(0), bottom[i]->mutable_active_diff());
  }
}

INSTANTIATE_CLASS(SilenceLayer);
REGISTER_LAYER_CLASS(Silence);

}  // namespace caffe
