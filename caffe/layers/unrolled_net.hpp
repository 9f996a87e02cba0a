#ifndef CAFFE_LAYERS_UNROLLED_NET_HPP_
#define CAFFE_LAYERS_UNROLLED_NET_HPP_

#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// Writes the layers of an unrolled net (caffe/layers/recurrent_layer.hpp): those that LSTM and RNN
/// have in common, with their fillers. `rows` is what an input is transformed to at every step.
class UnrolledNet {
 public:
  UnrolledNet(const RecurrentParameter& param, int steps, int rows, NetParameter* net)
      : param_(param), steps_(steps), rows_(rows), net_(net) {}

  LayerParameter* add(const string& type, const string& name, const vector<string>& bottoms,
                      const vector<string>& tops) {
    LayerParameter* const layer = net_->add_layer();
    layer->set_type(type);
    if (!name.empty()) layer->set_name(name);
    for (const string& bottom : bottoms) layer->add_bottom(bottom);
    for (const string& top : tops) layer->add_top(top);
    return layer;
  }

  /// The states before the first step.
  void add_states(const vector<string>& names, const vector<BlobShape>& shapes) {
    LayerParameter* const layer = add("Input", "", {}, names);
    for (const BlobShape& shape : shapes) *layer->mutable_input_param()->add_shape() = shape;
  }

  /// blob -> blob_1 ... blob_T
  void add_slices(const string& name, const string& blob) {
    vector<string> tops;
    for (int t = 1; t <= steps_; ++t) tops.push_back(blob + "_" + std::to_string(t));
    add("Slice", name, {blob}, tops)->mutable_slice_param()->set_axis(0);
  }

  /// blob_1 ... blob_T -> blob
  void add_concat(const string& name, const string& blob) {
    vector<string> bottoms;
    for (int t = 1; t <= steps_; ++t) bottoms.push_back(blob + "_" + std::to_string(t));
    add("Concat", name, bottoms, {blob})->mutable_concat_param()->set_axis(0);
  }

  /// `bias` is empty for none.
  LayerParameter* add_product(const string& name, const string& bottom, const string& top,
                              const string& weights, const string& bias, int rows, int axis = 2) {
    LayerParameter* const layer = add("InnerProduct", name, {bottom}, {top});
    InnerProductParameter* const product = layer->mutable_inner_product_param();
    product->set_num_output(rows);
    product->set_axis(axis);
    product->set_bias_term(!bias.empty());
    *product->mutable_weight_filler() = param_.weight_filler();
    layer->add_param()->set_name(weights);
    if (bias.empty()) return layer;
    *product->mutable_bias_filler() = param_.bias_filler();
    layer->add_param()->set_name(bias);
    return layer;
  }

  /// What needs no step before it, for all steps at a time: from cont to cont_1 ... cont_T, from x
  /// to WEIGHTS_x_1 ... WEIGHTS_x_T and, if there is a static input, from it to WEIGHTS_x_static.
  /// Both inputs get a gradient.
  void add_inputs(const string& weights, const string& bias, bool has_static) {
    const string blob = weights + "_x", constant = blob + "_static";
    add_slices("cont_slice", "cont");
    add_product("x_transform", "x", blob, weights, bias, rows_)->add_propagate_down(true);
    if (has_static) {
      const string flat = constant + "_preshape";
      add_product(constant, "x_static", flat, weights + "_static", "", rows_, 1)
          ->add_propagate_down(true);
      LayerParameter* const reshape = add("Reshape", constant + "_reshape", {flat}, {constant});
      for (const int length : {1, -1, rows_}) {
        reshape->mutable_reshape_param()->mutable_shape()->add_dim(length);
      }
      summands_ = {constant};
    }
    add_slices(blob + "_slice", blob);
  }

  /// Step t's sum of what comes from h_{t-1}, which counts where the sequence continues, from x and
  /// from the static input.
  void add_sum(int t, const string& product_name, const string& hidden_weights,
               const string& input_weights, const string& sum_name, const string& sum) {
    const string now = std::to_string(t), before = std::to_string(t - 1);
    const string conted = "h_conted_" + before, product = hidden_weights + "_h_" + before;
    add("Scale", conted, {"h_" + before, "cont_" + now}, {conted})
        ->mutable_scale_param()
        ->set_axis(0);
    add_product(product_name, conted, product, hidden_weights, "", rows_);
    vector<string> bottoms = {product, input_weights + "_x_" + now};
    bottoms.insert(bottoms.end(), summands_.begin(), summands_.end());
    add("Eltwise", sum_name, bottoms, {sum})
        ->mutable_eltwise_param()
        ->set_operation(EltwiseParameter::SUM);
  }

 private:
  const RecurrentParameter& param_;
  const int steps_;
  const int rows_;
  NetParameter* const net_;
  vector<string> summands_;  // the static input's part, if there is one
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_UNROLLED_NET_HPP_
