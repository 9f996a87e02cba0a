#ifndef CAFFE_LAYERS_SEQUENCE_WARP_CTC_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_SEQUENCE_WARP_CTC_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/sequence/ctc_loss_base.hpp"

namespace caffe {

/// CtcLossBase with the bottoms of caffe_ocr and textspotter, of which bottom[0] holds scores
/// (T, N, C) and the others are
/// - labels (N, L), filled up with the blank, which is left out wherever it stands; or
/// - indicators (T, N), 0 where a sequence begins, and labels, in either order; labels are (L, N),
///   or (N, L) where only that fits, and a negative value ends them. If the blank is class 0, label
///   k means class k + 1; or
/// - lengths of the sequences (N), lengths of the labels (N), and labels (L, N).
/// ctc_loss_param's blank_index is 0 by default, and -1 is the last class. Items without an
/// alignment do not count in the mean.
template <typename Dtype>
class WarpCTCLossLayer : public CtcLossBase<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using CtcLossBase<Dtype>::CtcLossBase;
  const char* type() const override { return "WarpCTCLoss"; }
  int ExactNumBottomBlobs() const override { return -1; }
  int MinBottomBlobs() const override { return 2; }
  int MaxBottomBlobs() const override { return 4; }

 protected:
  void check_shapes(const Blobs& bottom) override;
  int blank(const Blobs& bottom) const override;
  bool mean_of_finite() const override { return true; }
  std::vector<CtcTarget> targets(const Blobs& bottom) const override;

 private:
  std::vector<CtcTarget> indicated_targets(const Blobs& bottom) const;
  std::vector<CtcTarget> counted_targets(const Blobs& bottom) const;
  int indicators_ = 1;    // with three bottoms, the one with the indicators
  bool columns_ = false;  // labels are (L, N)
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEQUENCE_WARP_CTC_LOSS_LAYER_HPP_
