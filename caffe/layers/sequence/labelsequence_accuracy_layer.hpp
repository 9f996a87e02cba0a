#ifndef CAFFE_LAYERS_SEQUENCE_LABELSEQUENCE_ACCURACY_LAYER_HPP_
#define CAFFE_LAYERS_SEQUENCE_LABELSEQUENCE_ACCURACY_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// top[0]: the share of items whose sequence of labels is read without an error. bottom[0] holds
/// scores (N, T, C), the item first, unlike CtcLoss's; bottom[1] labels (N, L). An item reads the
/// best class of each step, the first of equals, with repeats merged and blanks dropped; its labels
/// are those without the blank, and a negative value ends them. labelsequence_accuracy_param's
/// blank_label is 0 by default. No gradient. From CRNN's Caffe.
template <typename Dtype>
class LabelsequenceAccuracyLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "LabelsequenceAccuracy"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int) const override { return false; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  Blob<int> best_;  // items x steps
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEQUENCE_LABELSEQUENCE_ACCURACY_LAYER_HPP_
