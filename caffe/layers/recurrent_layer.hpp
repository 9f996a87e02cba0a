#ifndef CAFFE_LAYERS_RECURRENT_LAYER_HPP_
#define CAFFE_LAYERS_RECURRENT_LAYER_HPP_

#include <string>
#include <utility>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/format.hpp"

namespace caffe {

/// The base of layers that compute T steps in time, each from an input and from the step before.
/// The layer contains a net with every step written out (the unrolled net), which a derived layer
/// describes; running backward through it is backpropagation through time over T steps.
///
///   bottom  x          T x N x ...: T steps of N independent streams
///           cont       T x N: 0 where a sequence starts, 1 where it continues; gets no gradient
///           x_static   N x ..., optional: an input that is the same in all steps
///           the states before the first step, with expose_hidden: 1 x N x D each
///   top     the outputs, T x N x D
///           the states after the last step, with expose_hidden: 1 x N x D each
///
/// T is fixed when the layer is set up; N may change. blobs() are the parameters of the unrolled
/// net, each once, in the order of their first use; all steps share their values and gradients.
///
/// Without expose_hidden, a forward pass starts from the states in which the last one ended (at
/// first 0), so a sequence can continue in the next batch; cont = 0 in the first row prevents it.
/// The states are no part of a snapshot. With expose_hidden, they are what the bottoms hold.
/// Gradients never cross the border of a batch: the bottoms with the first states get none (their
/// diffs are left as they are), and the diffs of the tops with the last states are not read.
/// The gradients of x, x_static and of all parameters are computed in every backward pass.
template <typename Dtype>
class RecurrentLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit RecurrentLayer(const LayerParameter& param) : Portable<Layer<Dtype>>(param) {}
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  /// Forgets the states: without expose_hidden, the next forward pass starts from 0.
  virtual void Reset();

  const char* type() const override { return "Recurrent"; }
  int MinBottomBlobs() const override;
  int MaxBottomBlobs() const override { return MinBottomBlobs() + 1; }
  int ExactNumTopBlobs() const override;
  bool AllowForceBackward(int bottom_index) const override { return bottom_index != 1; }

 protected:
  /// Appends the layers of the unrolled net, which reads the blobs x, cont and x_static and has
  /// T_ steps, N_ streams. The names of its layers get this layer's name as a prefix afterwards.
  virtual void FillUnrolledNet(NetParameter* net_param) const = 0;
  /// The blobs of the states before the first step, and their shapes.
  virtual void RecurrentInputBlobNames(vector<string>* names) const = 0;
  virtual void RecurrentInputShapes(vector<BlobShape>* shapes) const = 0;
  /// The blobs of the states after the last step, in the same order.
  virtual void RecurrentOutputBlobNames(vector<string>* names) const = 0;
  /// The blobs that are the tops.
  virtual void OutputBlobNames(vector<string>* names) const = 0;

  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  shared_ptr<Net<Dtype>> unrolled_net_;
  int N_ = 0;  // streams
  int T_ = 0;  // steps
  bool static_input_ = false;
  int last_layer_index_ = 0;  // the last layer that runs; only losses follow, which never do
  bool expose_hidden_ = false;

  // Blobs of the unrolled net.
  vector<Blob<Dtype>*> recur_input_blobs_;
  vector<Blob<Dtype>*> recur_output_blobs_;
  vector<Blob<Dtype>*> output_blobs_;
  Blob<Dtype>* x_input_blob_ = nullptr;
  Blob<Dtype>* x_static_input_blob_ = nullptr;
  Blob<Dtype>* cont_input_blob_ = nullptr;

 private:
  typedef void (RecurrentLayer::*Names)(vector<string>*) const;
  vector<string> names(Names which) const;
  void check_inputs(const Blobs& bottom) const;
  NetParameter unrolled_net(const Blobs& bottom) const;
  Blob<Dtype>* inner_blob(const string& blob_name) const;
  void find_blobs();
  void take_params();

  bool told_ = false;  // that exposed states get no gradient
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_RECURRENT_LAYER_HPP_
