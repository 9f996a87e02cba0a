#ifndef CAFFE_LAYERS_METRIC_SCALE_RANK_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_METRIC_SCALE_RANK_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// The ranking loss of RA-CNN (Fu, Zheng and Mei, "Look Closer to See Better", 2017): of an image's
/// scales, each finer one should be surer of the true class. Bottoms are the probabilities of 2 to
/// 8 scales, N x K each, from the coarsest to the finest, and behind them the N labels;
///   loss = 1 / N * sum over images and neighbouring scales s, s + 1 of
///          max(0, p_s[label] - p_(s+1)[label] + margin).
/// Probabilities get the exact gradient, 0 at the kink; labels get 0.
template <typename Dtype>
class ScaleRankLossLayer : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  static constexpr int kMostScales = 8;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "ScaleRankLoss"; }
  int ExactNumBottomBlobs() const override { return -1; }
  int MinBottomBlobs() const override { return 3; }
  int MaxBottomBlobs() const override { return kMostScales + 1; }
  bool AllowForceBackward(int bottom_index) const override {
    return bottom_index != this->layer_param_.bottom_size() - 1;
  }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  Blob<Dtype> terms_;       // N
  Blob<int> label_counts_;  // on a GPU
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_METRIC_SCALE_RANK_LOSS_LAYER_HPP_
