#include "caffe/layers/lstm_layer.hpp"

#include "caffe/layers/unrolled_net.hpp"

namespace caffe {

template <typename Dtype>
void LSTMLayer<Dtype>::RecurrentInputBlobNames(vector<string>* names) const {
  *names = {"h_0", "c_0"};
}

template <typename Dtype>
void LSTMLayer<Dtype>::RecurrentOutputBlobNames(vector<string>* names) const {
  *names = {"h_" + std::to_string(this->T_), "c_T"};
}

template <typename Dtype>
void LSTMLayer<Dtype>::RecurrentInputShapes(vector<BlobShape>* shapes) const {
  BlobShape shape;
  shape.add_dim(1);
  shape.add_dim(this->N_);
  shape.add_dim(this->layer_param_.recurrent_param().num_output());
  *shapes = {shape, shape};
}

template <typename Dtype>
void LSTMLayer<Dtype>::OutputBlobNames(vector<string>* names) const {
  *names = {"h"};
}

template <typename Dtype>
void LSTMLayer<Dtype>::FillUnrolledNet(NetParameter* net_param) const {
  const RecurrentParameter& param = this->layer_param_.recurrent_param();
  CAFFE_CHECK(param.num_output() > 0, this->name() << "num_output is missing or 0");
  const int rows = 4 * static_cast<int>(param.num_output());
  UnrolledNet net(param, this->T_, rows, net_param);
  vector<BlobShape> shapes;
  RecurrentInputShapes(&shapes);
  net.add_states({"c_0", "h_0"}, shapes);
  net.add_inputs("W_xc", "b_c", this->static_input_);
  for (int t = 1; t <= this->T_; ++t) {
    const string now = "_" + std::to_string(t), before = "_" + std::to_string(t - 1);
    net.add_sum(t, "transform" + now, "W_hc", "W_xc", "gate_input" + now, "gate_input" + now);
    net.add("LSTMUnit", "unit" + now, {"c" + before, "gate_input" + now, "cont" + now},
            {"c" + now, "h" + now});
  }
  net.add("Split", "", {"c_" + std::to_string(this->T_)}, {"c_T"});
  net.add_concat("h_concat", "h");
}

INSTANTIATE_CLASS(LSTMLayer);
REGISTER_LAYER_CLASS(LSTM);

}  // namespace caffe
