#ifndef CAFFE_LAYERS_METRIC_CENTER_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_METRIC_CENTER_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Draws features to the centre of their class (Wen et al., "A Discriminative Feature Learning
/// Approach for Deep Face Recognition", 2016, equation 2): loss = sum over items of
/// |x_i - c_label(i)|^2 / (2 M). bottom[0] has M items of K features from center_loss_param's axis
/// on, bottom[1] M labels. blobs()[0] holds the centres (num_output, K), filled by center_filler.
///
/// The centres do not follow the loss (equation 4): to the gradient of centre j each pass adds
/// sum over its items of (c_j - x_i) / (1 + number of its items), whatever the loss weight. With
/// the parameter's lr_mult the learning rate is the paper's alpha; decay_mult should be 0, or the
/// centres shrink. distance_type may be "L2" alone.
template <typename Dtype>
class CenterLossLayer : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "CenterLoss"; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  int items_ = 0, length_ = 0;  // M and K
  Blob<Dtype> item_loss_;       // M
  Blob<int> label_counts_;      // on a GPU
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_METRIC_CENTER_LOSS_LAYER_HPP_
