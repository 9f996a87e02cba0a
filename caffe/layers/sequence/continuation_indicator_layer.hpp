#ifndef CAFFE_LAYERS_SEQUENCE_CONTINUATION_INDICATOR_LAYER_HPP_
#define CAFFE_LAYERS_SEQUENCE_CONTINUATION_INDICATOR_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// The indicators of sequences that all have the same number of steps, for LSTM and RNN: top[0] is
/// (time_step, batch_size), 0 in the first step, then 1. Both come from
/// continuation_indicator_param; a bottom is allowed and not read. No gradient. From CRNN's Caffe.
template <typename Dtype>
class ContinuationIndicatorLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "ContinuationIndicator"; }
  int MaxBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int) const override { return false; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEQUENCE_CONTINUATION_INDICATOR_LAYER_HPP_
