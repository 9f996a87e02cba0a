#ifndef CAFFE_LAYERS_ACCURACY_LAYER_HPP_
#define CAFFE_LAYERS_ACCURACY_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// top[0]: the fraction of items that are right, that is, for which fewer than top_k other classes
/// have a score at least as high as the label's. bottom[0] has outer x classes x inner scores, with
/// the classes on accuracy_param's axis; bottom[1] has outer x inner labels. Items of label
/// ignore_label are ignored; the result is 0 if all are. top[1], optional: the same for each class.
/// An item whose label's score is NaN is wrong, and a NaN of another class counts as higher. No
/// gradient.
template <typename Dtype>
class AccuracyLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Accuracy"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int MinTopBlobs() const override { return 1; }
  int MaxTopBlobs() const override { return 2; }
  bool AllowForceBackward(int) const override { return false; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  int label_axis_ = 0, outer_num_ = 0, inner_num_ = 0;
  int top_k_ = 1;
  bool has_ignore_label_ = false;
  int ignore_label_ = 0;
  Blob<Dtype> right_;        // outer x inner: 1 or 0
  Blob<Dtype> nums_buffer_;  // number of items per class
  Blob<int> label_counts_;   // on a GPU
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_ACCURACY_LAYER_HPP_
