#ifndef CAFFE_LAYERS_LSTM_LAYER_HPP_
#define CAFFE_LAYERS_LSTM_LAYER_HPP_

#include <string>
#include <utility>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"
#include "caffe/layers/recurrent_layer.hpp"
#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// Long short-term memory (Hochreiter and Schmidhuber, 1997) without peepholes, as in "Learning to
/// Execute" (Zaremba and Sutskever, arXiv:1410.4615). With D = num_output, for each step t:
///
///   [i', f', o', g'] = W_hc (cont_t h_{t-1}) + W_xc x_t + b_c + W_xc_static x_static
///   i, f, o = sigmoid(i', f', o'),  g = tanh(g')
///   c_t = cont_t f c_{t-1} + i g
///   h_t = o tanh(c_t)
///
/// The top is h; the states, with expose_hidden, are h and c. blobs(): W_xc (4D x I), b_c (4D),
/// W_xc_static (4D x S, only with a static input), W_hc (4D x D), each with D rows for i, f, o, g.
/// RecurrentLayer says the rest.
template <typename Dtype>
class LSTMLayer : public RecurrentLayer<Dtype> {
 public:
  explicit LSTMLayer(const LayerParameter& param) : RecurrentLayer<Dtype>(param) {}
  const char* type() const override { return "LSTM"; }

 protected:
  void FillUnrolledNet(NetParameter* net_param) const override;
  void RecurrentInputBlobNames(vector<string>* names) const override;
  void RecurrentOutputBlobNames(vector<string>* names) const override;
  void RecurrentInputShapes(vector<BlobShape>* shapes) const override;
  void OutputBlobNames(vector<string>* names) const override;
};

/// One step of LSTM from the gates' inputs on.
///
///   bottom  c_{t-1}             1 x N x D
///           [i', f', o', g']    1 x N x 4D
///           cont_t              1 x N, 0 or 1; gets no gradient
///   top     c_t, h_t            1 x N x D each
///
/// For a cont other than 0 and 1, cont f is the forget gate, and its gradient is that of a
/// sigmoid's value cont f, as on the CPU in BVLC Caffe: exact for 0 and 1 alone. Where cont is 0
/// the forget gate is 0, even if its input is NaN. Both gradients are computed if one is wanted.
template <typename Dtype>
class LSTMUnitLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit LSTMUnitLayer(const LayerParameter& param) : Portable<Layer<Dtype>>(param) {}
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "LSTMUnit"; }
  int ExactNumBottomBlobs() const override { return 3; }
  int ExactNumTopBlobs() const override { return 2; }
  bool AllowForceBackward(int bottom_index) const override { return bottom_index != 2; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  int hidden_dim_ = 0;  // D
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_LSTM_LAYER_HPP_
