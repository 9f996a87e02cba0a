#ifndef CAFFE_LAYER_HPP_
#define CAFFE_LAYER_HPP_

// The contract between a net and its layers.
//
// A net calls SetUp once, then Forward and Backward alternately. A layer implements
//   LayerSetUp   once: reads layer_param_, creates blobs_ (the learnable parameters);
//   Reshape      before every Forward: shapes the tops and its own buffers from the bottoms;
//   Forward_cpu, Backward_cpu (and _gpu; without them the CPU methods are used);
//   the declarations: how many bottoms and tops it takes, and so on.
// Backward finds the gradient of the loss with respect to the tops in their diffs. It ADDS the
// gradient with respect to its parameters to the diffs of blobs_ (a net may run several batches for
// one step) and, where propagate_down is true, WRITES the gradient with respect to the bottoms to
// their diffs. If a top has a loss weight, its diff already holds that weight.
//
// Every error is a caffe::Error whose message begins with name().

#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
class Layer {
 public:
  typedef vector<Blob<Dtype>*> Blobs;

  /// Copies the parameters, and the learnt values if they contain any.
  explicit Layer(const LayerParameter& param);
  virtual ~Layer() = default;

  /// Checks the number of blobs, calls LayerSetUp and Reshape, and sets the loss weights, in this
  /// order.
  void SetUp(const Blobs& bottom, const Blobs& top);

  virtual void LayerSetUp(const Blobs& bottom, const Blobs& top) {
    (void)bottom;
    (void)top;
  }
  virtual void Reshape(const Blobs& bottom, const Blobs& top) = 0;

  /// Computes the tops; returns their contribution to the loss: the sum of value times loss weight.
  Dtype Forward(const Blobs& bottom, const Blobs& top);
  /// The first half of Forward, for a caller that needs no loss or takes it from the tops itself.
  void ForwardWithoutLoss(const Blobs& bottom, const Blobs& top);
  void Backward(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom);

  /// The learnable parameters.
  vector<shared_ptr<Blob<Dtype>>>& blobs() { return blobs_; }
  const LayerParameter& layer_param() const { return layer_param_; }
  /// Writes the layer's parameters with the learnt values, as a caffemodel stores them.
  virtual void ToProto(LayerParameter* param, bool write_diff = false);

  /// The loss weight of a top; 0 if it has none.
  Dtype loss(int top_index) const { return value_or(loss_, top_index, Dtype(0)); }
  void set_loss(int top_index, Dtype value) { put(&loss_, top_index, value, Dtype(0)); }

  /// As in the prototxt: "Convolution".
  virtual const char* type() const { return ""; }
  /// "layer 'conv1' (Convolution): "
  string name() const;

  // Declarations; -1 means any number.
  virtual int ExactNumBottomBlobs() const { return -1; }
  virtual int MinBottomBlobs() const { return -1; }
  virtual int MaxBottomBlobs() const { return -1; }
  virtual int ExactNumTopBlobs() const { return -1; }
  virtual int MinTopBlobs() const { return -1; }
  virtual int MaxTopBlobs() const { return -1; }
  virtual bool EqualNumBottomTopBlobs() const { return false; }
  /// Whether the net adds tops that the prototxt does not name, as many as the layer needs.
  virtual bool AutoTopBlobs() const { return false; }
  /// Whether force_backward may request this bottom's gradient (false for labels, for example).
  virtual bool AllowForceBackward(int bottom_index) const {
    (void)bottom_index;
    return true;
  }

  /// Whether Backward computes the gradient of a parameter; set by the net.
  bool param_propagate_down(int param_id) const {
    return value_or(param_propagate_down_, param_id, false);
  }
  void set_param_propagate_down(int param_id, bool value) {
    put(&param_propagate_down_, param_id, value, true);
  }

 protected:
  virtual void Forward_cpu(const Blobs& bottom, const Blobs& top) = 0;
  virtual void Forward_gpu(const Blobs& bottom, const Blobs& top) { Forward_cpu(bottom, top); }
  virtual void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                            const Blobs& bottom) = 0;
  virtual void Backward_gpu(const Blobs& top, const vector<bool>& propagate_down,
                            const Blobs& bottom) {
    Backward_cpu(top, propagate_down, bottom);
  }
  /// Throws unless the numbers of bottoms and tops are as declared.
  virtual void CheckBlobCounts(const Blobs& bottom, const Blobs& top);

  LayerParameter layer_param_;
  Phase phase_;
  vector<shared_ptr<Blob<Dtype>>> blobs_;
  vector<bool> param_propagate_down_;
  vector<Dtype> loss_;

 private:
  template <typename T>
  static T value_or(const vector<T>& values, int index, T otherwise) {
    return index < static_cast<int>(values.size()) ? T(values[index]) : otherwise;
  }
  template <typename T>
  static void put(vector<T>* values, int index, T value, T filling) {
    if (index >= static_cast<int>(values->size())) values->resize(index + 1, filling);
    (*values)[index] = value;
  }
  void read_loss_weights(const Blobs& top);
  void place_loss_weights(const Blobs& top);

  vector<int> loss_counts_;  // number of values of each top when its loss weight was written

  DISABLE_COPY_AND_ASSIGN(Layer);
};

}  // namespace caffe

#endif  // CAFFE_LAYER_HPP_
