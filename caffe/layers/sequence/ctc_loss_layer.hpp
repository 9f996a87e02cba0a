#ifndef CAFFE_LAYERS_SEQUENCE_CTC_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_SEQUENCE_CTC_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/sequence/ctc_loss_base.hpp"

namespace caffe {

/// CtcLossBase for sequences with indicators, from the Caffe of Christoph Wick. bottom[0]: scores
/// (T, N, C). bottom[1]: indicators (T, N), 0 where a sequence begins; the item ends before the
/// first 0 behind step 0. bottom[2]: labels (L, N); a negative value ends them. ctc_loss_param:
/// - blank_index: -1 is the last class; the default is 0 in the dialects caffe_ocr and
///   license_plate, else -1;
/// - output_delay: the first steps, which have no part in the loss and get no gradient;
/// - preprocess_collapse_repeated: merges equal labels that follow each other;
/// - ctc_merge_repeated: false makes each step with a label one label of the result, so that
///   equal labels need no blank between them;
/// - loss_calculation_t has no effect: the sum over the alignments is the same at each step.
template <typename Dtype>
class CTCLossLayer : public CtcLossBase<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using CtcLossBase<Dtype>::CtcLossBase;
  const char* type() const override { return "CTCLoss"; }
  int ExactNumBottomBlobs() const override { return 3; }

 protected:
  void check_shapes(const Blobs& bottom) override;
  int blank(const Blobs& bottom) const override;
  bool merge_repeated() const override;
  std::vector<CtcTarget> targets(const Blobs& bottom) const override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEQUENCE_CTC_LOSS_LAYER_HPP_
