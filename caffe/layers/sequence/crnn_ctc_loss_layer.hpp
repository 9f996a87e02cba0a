#ifndef CAFFE_LAYERS_SEQUENCE_CRNN_CTC_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_SEQUENCE_CRNN_CTC_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/sequence/ctc_loss_base.hpp"

namespace caffe {

/// CtcLossBase with the labels of CRNN's Caffe. bottom[0]: scores (T, N, C); bottom[1]: labels
/// (N, L), filled up with the blank, which is left out wherever it stands. Each item has all T
/// steps. ctc_loss_param must give time_step, T, and alphabet_size, C with the blank; blank_label
/// is 0 by default, and -1 is the last class.
template <typename Dtype>
class CtcLossLayer : public CtcLossBase<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using CtcLossBase<Dtype>::CtcLossBase;
  const char* type() const override { return "CtcLoss"; }

 protected:
  void check_shapes(const Blobs& bottom) override;
  int blank(const Blobs& bottom) const override;
  std::vector<CtcTarget> targets(const Blobs& bottom) const override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEQUENCE_CRNN_CTC_LOSS_LAYER_HPP_
