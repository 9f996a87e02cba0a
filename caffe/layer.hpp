#ifndef CAFFE_LAYER_HPP_
#define CAFFE_LAYER_HPP_

// The contract between a net and its layers.
//
// A net calls SetUp once, then Forward and Backward in turns. A layer writes
//   LayerSetUp   once: reads layer_param_, makes blobs_ (what is learnt);
//   Reshape      before every Forward: shapes of the tops and of its own buffers from the bottoms';
//   Forward_cpu, Backward_cpu (and _gpu, which do the same through the CPU when left out);
//   the declarations: how many bottoms and tops it takes, and so on.
// Backward gets the gradient of the loss by the tops in their diffs and leaves that by its
// parameters ADDED to the diffs of blobs_ (a net may run several batches for one step), and, where
// propagate_down, that by the bottoms WRITTEN to theirs. A top that has a loss weight has it as its
// diff already.
//
// Whatever goes wrong is a caffe::Error that begins with name().

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

  /// Takes the parameters, and the learnt values where they hold some.
  explicit Layer(const LayerParameter& param);
  virtual ~Layer() = default;

  /// Counts the blobs, LayerSetUp, Reshape, loss weights: in this order.
  void SetUp(const Blobs& bottom, const Blobs& top);

  virtual void LayerSetUp(const Blobs& bottom, const Blobs& top) {
    (void)bottom;
    (void)top;
  }
  virtual void Reshape(const Blobs& bottom, const Blobs& top) = 0;

  /// Fills the tops; returns their part of the loss: the sum of value times loss weight.
  Dtype Forward(const Blobs& bottom, const Blobs& top);
  void Backward(const Blobs& top, const vector<bool>& propagate_down, const Blobs& bottom);

  /// What is learnt.
  vector<shared_ptr<Blob<Dtype>>>& blobs() { return blobs_; }
  const LayerParameter& layer_param() const { return layer_param_; }
  /// The parameters together with what is learnt, as a caffemodel holds it.
  virtual void ToProto(LayerParameter* param, bool write_diff = false);

  /// The loss weight of a top; 0 where there is none.
  Dtype loss(int top_index) const { return value_or(loss_, top_index, Dtype(0)); }
  void set_loss(int top_index, Dtype value) { put(&loss_, top_index, value, Dtype(0)); }

  /// As in the prototxt: "Convolution".
  virtual const char* type() const { return ""; }
  /// "layer 'conv1' (Convolution): "
  string name() const;

  // Declarations; -1 is "any number".
  virtual int ExactNumBottomBlobs() const { return -1; }
  virtual int MinBottomBlobs() const { return -1; }
  virtual int MaxBottomBlobs() const { return -1; }
  virtual int ExactNumTopBlobs() const { return -1; }
  virtual int MinTopBlobs() const { return -1; }
  virtual int MaxTopBlobs() const { return -1; }
  virtual bool EqualNumBottomTopBlobs() const { return false; }
  /// The net makes up tops that the prototxt does not name, as many as the layer needs.
  virtual bool AutoTopBlobs() const { return false; }
  /// Whether force_backward may ask for this bottom's gradient (not for labels, say).
  virtual bool AllowForceBackward(int bottom_index) const {
    (void)bottom_index;
    return true;
  }

  /// Whether Backward computes the gradient of a parameter; the net sets it.
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
  /// Throws unless there are as many bottoms and tops as declared.
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

  vector<int> loss_counts_;  // values of each top when its loss weight was written

  DISABLE_COPY_AND_ASSIGN(Layer);
};

}  // namespace caffe

#endif  // CAFFE_LAYER_HPP_
