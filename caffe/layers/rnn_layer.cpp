#include "caffe/layers/rnn_layer.hpp"

#include "caffe/layers/unrolled_net.hpp"

namespace caffe {

template <typename Dtype>
void RNNLayer<Dtype>::RecurrentInputBlobNames(vector<string>* names) const {
  *names = {"h_0"};
}

template <typename Dtype>
void RNNLayer<Dtype>::RecurrentOutputBlobNames(vector<string>* names) const {
  *names = {"h_" + std::to_string(this->T_)};
}

template <typename Dtype>
void RNNLayer<Dtype>::RecurrentInputShapes(vector<BlobShape>* shapes) const {
  BlobShape shape;
  shape.add_dim(1);
  shape.add_dim(this->N_);
  shape.add_dim(this->layer_param_.recurrent_param().num_output());
  *shapes = {shape};
}

template <typename Dtype>
void RNNLayer<Dtype>::OutputBlobNames(vector<string>* names) const {
  *names = {"o"};
}

template <typename Dtype>
void RNNLayer<Dtype>::FillUnrolledNet(NetParameter* net_param) const {
  const RecurrentParameter& param = this->layer_param_.recurrent_param();
  CAFFE_CHECK(param.num_output() > 0, this->name() << "num_output is missing or 0");
  const int rows = static_cast<int>(param.num_output());
  UnrolledNet net(param, this->T_, rows, net_param);
  vector<BlobShape> shapes;
  RecurrentInputShapes(&shapes);
  net.add_states({"h_0"}, shapes);
  net.add_inputs("W_xh", "b_h", this->static_input_);
  for (int t = 1; t <= this->T_; ++t) {
    const string now = "_" + std::to_string(t), before = "_" + std::to_string(t - 1);
    net.add_sum(t, "W_hh_h" + before, "W_hh", "W_xh", "h_input_sum" + now, "h_neuron_input" + now);
    net.add("TanH", "h_neuron" + now, {"h_neuron_input" + now}, {"h" + now});
    net.add_product("W_ho_h" + now, "h" + now, "W_ho_h" + now, "W_ho", "b_o", rows);
    net.add("TanH", "o_neuron" + now, {"W_ho_h" + now}, {"o" + now});
  }
  net.add_concat("o_concat", "o");
}

INSTANTIATE_CLASS(RNNLayer);
REGISTER_LAYER_CLASS(RNN);

}  // namespace caffe
