#ifndef CAFFE_LAYERS_RNN_LAYER_HPP_
#define CAFFE_LAYERS_RNN_LAYER_HPP_

#include <string>
#include <utility>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/recurrent_layer.hpp"
#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// A simple recurrent network. With D = num_output, for each step t:
///
///   h_t = tanh(W_hh (cont_t h_{t-1}) + W_xh x_t + b_h + W_xh_static x_static)
///   o_t = tanh(W_ho h_t + b_o)
///
/// The top is o; the state, with expose_hidden, is h. blobs(): W_xh (D x I), b_h (D), W_xh_static
/// (D x S, only with a static input), W_hh (D x D), W_ho (D x D), b_o (D). RecurrentLayer says the
/// rest.
template <typename Dtype>
class RNNLayer : public RecurrentLayer<Dtype> {
 public:
  explicit RNNLayer(const LayerParameter& param) : RecurrentLayer<Dtype>(param) {}
  const char* type() const override { return "RNN"; }

 protected:
  void FillUnrolledNet(NetParameter* net_param) const override;
  void RecurrentInputBlobNames(vector<string>* names) const override;
  void RecurrentOutputBlobNames(vector<string>* names) const override;
  void RecurrentInputShapes(vector<BlobShape>* shapes) const override;
  void OutputBlobNames(vector<string>* names) const override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_RNN_LAYER_HPP_
