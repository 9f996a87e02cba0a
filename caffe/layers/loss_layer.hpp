#ifndef CAFFE_LAYERS_LOSS_LAYER_HPP_
#define CAFFE_LAYERS_LOSS_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

/// The smallest probability in a logarithm: smaller ones are replaced by it.
const float kLOG_THRESHOLD = 1e-20f;

/// A layer that compares predictions, bottom[0], with labels or targets, bottom[1], and yields one
/// number, top[0], without axes. Its loss weight is 1 by default.
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
  /// False for the labels.
  bool AllowForceBackward(int bottom_index) const override { return bottom_index != 1; }

 protected:
  /// Throws if a gradient is requested for a bottom that has none: the labels.
  void refuse_gradient(const vector<bool>& propagate_down, int bottom_index) const;
};

/// How a sum of losses is normalised: loss_param.normalization or, in old files, its `normalize`.
LossParameter::NormalizationMode normalization_of(const LossParameter& param);

/// The divisor, at least 1. BATCH_SIZE: `outer`; FULL: `outer` times `inner`; VALID: the number of
/// labels that are not ignored, or all of them for valid = -1; NONE: 1; PRE_FIXED: `fixed`, which
/// is loss_param.pre_fixed_normalizer.
template <typename Dtype>
Dtype normalizer_of(LossParameter::NormalizationMode mode, int outer, int inner, int valid,
                    float fixed);

/// Labels of a layer: class numbers in [0, classes) or, with has_ignore, the value `ignore`.
struct LabelRange {
  int classes;
  bool has_ignore;
  int ignore;
};

/// Throws the Error of a label out of range; `layer` is its name().
[[noreturn]] void refuse_label(const string& layer, double label, int index, int count,
                               int classes);

/// The number of labels that are not ignored. Throws an Error that names the first label out of
/// range.
template <typename Dtype>
int count_labels(const Layer<Dtype>& layer, const Blob<Dtype>& labels, const LabelRange& range);

}  // namespace caffe

#endif  // CAFFE_LAYERS_LOSS_LAYER_HPP_
