#ifndef CAFFE_LAYERS_SEQUENCE_CTC_LOSS_BASE_HPP_
#define CAFFE_LAYERS_SEQUENCE_CTC_LOSS_BASE_HPP_

#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// What one sequence of a batch has to say, and in which steps [begin, end).
struct CtcTarget {
  int begin, end;
  std::vector<int> labels;  // classes, none of them the blank
};

template <typename T, typename W>
struct CtcStates;

/// Connectionist temporal classification (Graves et al., 2006), the arithmetic of CTCLoss, CtcLoss
/// and WarpCTCLoss. bottom[0] holds scores x (T, N, C) before the softmax; one class is the blank.
/// The loss of an item is -log of the sum of the probabilities of all alignments: one class for
/// each step, which give the labels once repeats are merged (ctc_merge_repeated) and blanks
/// dropped. It is computed in logarithms and in double, whatever the blobs hold (equations 5 to 15
/// there). An item whose labels fit no alignment, because it has too few steps, adds nothing to the
/// loss and gets no gradient; a warning in the log says so once.
///
/// Scale, as in the forks that train with these layers: the loss is the mean over the items, and
/// the gradient that of the SUM over the items, times the loss weight.
template <typename Dtype>
class CtcLossBase : public Portable<LossLayer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<LossLayer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  bool AllowForceBackward(int bottom_index) const override { return bottom_index == 0; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  /// The class of the blank, from a parameter in which -1 means the last class.
  int blank_of(int parameter, const Blob<Dtype>& scores) const;
  /// Shapes of the other bottoms: throws an Error unless they fit the scores (steps_, items_ and
  /// classes_ are set).
  virtual void check_shapes(const Blobs& bottom) = 0;
  virtual int blank(const Blobs& bottom) const = 0;
  virtual bool merge_repeated() const { return true; }
  /// Whether the mean goes over the items with a finite loss alone.
  virtual bool mean_of_finite() const { return false; }
  /// The targets of all items, from the labels' bottoms.
  virtual std::vector<CtcTarget> targets(const Blobs& bottom) const = 0;
  /// The labels at places first, first + stride .. of the blob, `count` or fewer: a negative value
  /// ends them, and those equal to `skip` are left out. Throws an Error for what is no class.
  std::vector<int> labels_at(const Blob<Dtype>& blob, int first, int stride, int count,
                             int skip = -1) const;

  int steps_ = 0, items_ = 0, classes_ = 0;

 private:
  void set_targets(const std::vector<CtcTarget>& targets, int blank);
  CtcStates<Dtype, double> states(const Blob<Dtype>& scores) const;
  void mean_loss(const Blobs& top);

  int longest_ = 0, blank_ = 0;  // of the last forward pass
  bool warned_ = false;
  Blob<int> spans_;        // items x 3: begin, end, number of labels
  Blob<int> labels_;       // items x longest
  Blob<double> norm_;      // steps x items: log of the sum of exp(x)
  Blob<double> forward_;   // items x steps x states: log of the forward variables
  Blob<double> backward_;  // the same of the backward variables, without their own step
  Blob<double> losses_;    // items
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEQUENCE_CTC_LOSS_BASE_HPP_
