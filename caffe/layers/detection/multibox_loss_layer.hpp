#ifndef CAFFE_LAYERS_DETECTION_MULTIBOX_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_MULTIBOX_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layers/detection/boxes.hpp"
#include "caffe/layers/detection/ground_truth.hpp"
#include "caffe/layers/detection/mining.hpp"
#include "caffe/layers/loss_layer.hpp"

namespace caffe {

/// SSD's loss of locations and classes (W. Liu et al., ECCV 2016, eq. 1 to 3).
///
/// bottom[0]: offsets of each prior, N x (4 L P), by prior and class (L is 1 with share_location,
/// else the number of classes). bottom[1]: class scores, N x (P classes). bottom[2]: PriorBox's
/// (1, 2, 4 P). bottom[3]: the true boxes, (1, 1, G, 8) (ground_truth.hpp).
///
///   loss = (loc_weight * sum of location losses + sum of class losses) / normalizer
///
/// Priors or, without use_prior_for_matching, the predicted boxes are matched with the true ones of
/// their image (boxes.hpp). A matched box has a location loss, SmoothL1 (sigma 1) or half the
/// square of the difference between its offsets and those that encode its true box. Matched boxes
/// and the negatives that mining chooses (mining.hpp; an image without true boxes has none) have a
/// class loss, softmax or, for LOGISTIC, a sigmoid cross entropy of each class. The target is the
/// true label, the background's for negatives; without mining every box counts.
///
/// The normalizer is loss_param's: VALID (default) the number of matched boxes, FULL N P,
/// BATCH_SIZE N; at least 1. `propagate_down: false` for a bottom leaves its loss out.
///
/// Computes on the host. Gradients go to bottom[0] and bottom[1]. Priors and true boxes are
/// constants: their gradient is 0 where the net wants one, and `propagate_down: true` for them an
/// error.
template <typename Dtype>
class MultiBoxLossLayer : public LossLayer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using LossLayer<Dtype>::LossLayer;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "MultiBoxLoss"; }
  int ExactNumBottomBlobs() const override { return 4; }
  bool AllowForceBackward(int bottom_index) const override { return bottom_index < 2; }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  struct Image;
  struct MatchImages;
  struct LossesOfImages;

  const MultiBoxLossParameter& param() const { return this->layer_param_.multibox_loss_param(); }
  void check_param() const;
  vector<vector<Truth<Dtype>>> truths_of(const Blob<Dtype>& labels, int items) const;
  void match(const Dtype* loc, const Dtype* score, Image* image) const;
  vector<BoxMatches<Dtype>> match_classes(const Image& image, const Dtype* loc) const;
  BoxMatches<Dtype> match_label(const Image& image, const vector<Box<Dtype>>& boxes,
                                int label) const;
  vector<Box<Dtype>> decoded(const Dtype* loc, int loc_class) const;
  vector<Dtype> ranks(const Image& image, const Dtype* loc, const Dtype* score) const;
  int target_of(const Image& image, int prior) const;
  Dtype loc_loss(const Image& image, int loc_class, int prior, const Dtype* loc, Dtype factor,
                 Dtype* gradient) const;
  Dtype conf_loss(int target, const Dtype* score, Dtype factor, Dtype* gradient) const;
  double loc_losses(const Image& image, const Dtype* loc, Dtype factor, Dtype* gradients) const;
  double conf_losses(const Image& image, const Dtype* score, Dtype factor, Dtype* gradients) const;
  bool counts(int bottom) const;

  int classes_ = 0, loc_classes_ = 0, priors_ = 0;
  BoxCode code_;
  Mining mining_;
  Priors<Dtype> prior_boxes_;
  vector<Image> images_;  // of the last forward pass
  Dtype normalizer_ = 1;
};

/// What an image's boxes stand for.
template <typename Dtype>
struct MultiBoxLossLayer<Dtype>::Image {
  vector<Truth<Dtype>> truths;
  vector<BoxMatches<Dtype>> matches;  // [loc_classes]
  vector<int> negatives;              // with mining
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_MULTIBOX_LOSS_LAYER_HPP_
