#ifndef CAFFE_LOSS_LAYER_HPP_
#define CAFFE_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

/// Probabilities below this count as this in a logarithm.
const float kLOG_THRESHOLD = 1e-20f;

/// A layer that compares predictions, bottom[0], with labels or targets, bottom[1], and yields a
/// number, top[0], of no axes. Its loss weight is 1 unless given.
template <typename Dtype>
class LossLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit LossLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  /// Compares the first axes of both bottoms and shapes top[0].
  void Reshape(const Blobs& bottom, const Blobs& top) override;

  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AutoTopBlobs() const override { return true; }
  /// Not for the labels.
  bool AllowForceBackward(int bottom_index) const override { return bottom_index != 1; }

 protected:
  /// Throws when the gradient by a bottom is asked for that has none: labels.
  void refuse_gradient(const vector<bool>& propagate_down, int bottom_index) const;
};

/// What a sum of losses is divided by: loss_param.normalization, or, for old files, its
/// `normalize`.
LossParameter::NormalizationMode normalization_of(const LossParameter& param);

/// Its value; at least 1. BATCH_SIZE: `outer` items; FULL: `outer` times `inner` places; VALID:
/// those whose label is not ignored, all of them for valid = -1; NONE: 1.
template <typename Dtype>
Dtype normalizer_of(LossParameter::NormalizationMode mode, int outer, int inner, int valid);

/// Labels of a layer: class numbers in [0, classes) or, with has_ignore, the value `ignore`.
struct LabelRange {
  int classes;
  bool has_ignore;
  int ignore;
};

/// How many labels are not ignored. An Error names the first one that is out of range.
template <typename Dtype>
int count_labels(const Layer<Dtype>& layer, const Blob<Dtype>& labels, const LabelRange& range);

}  // namespace caffe

#endif  // CAFFE_LOSS_LAYER_HPP_
