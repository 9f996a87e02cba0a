#include "caffe/layers/recurrent_layer.hpp"

#include "caffe/filler.hpp"
#include "caffe/layers/lstm_layer.hpp"
#include "caffe/layers/rnn_layer.hpp"
#include "layers/recurrent_test.hpp"
#include "log_lines.hpp"

namespace caffe {

/// The running sum of x, which cont restarts, written as a layer for Caffe is.
template <typename Dtype>
class RunningSumLayer : public RecurrentLayer<Dtype> {
 public:
  explicit RunningSumLayer(const LayerParameter& param) : RecurrentLayer<Dtype>(param) {}
  virtual inline const char* type() const { return "RunningSum"; }

 protected:
  virtual void FillUnrolledNet(NetParameter* net_param) const {
    add(net_param, "Input", "", {}, {"s_0"});
    vector<BlobShape> shapes;
    RecurrentInputShapes(&shapes);
    *net_param->mutable_layer(1)->mutable_input_param()->add_shape() = shapes[0];
    vector<string> x, cont, s;
    for (int t = 1; t <= this->T_; ++t) {
      x.push_back("x_" + format_int(t));
      cont.push_back("cont_" + format_int(t));
      s.push_back("s_" + format_int(t));
    }
    add(net_param, "Slice", "x_slice", {"x"}, x).mutable_slice_param()->set_axis(0);
    net_param->mutable_layer(net_param->layer_size() - 1)->add_propagate_down(true);
    add(net_param, "Slice", "cont_slice", {"cont"}, cont).mutable_slice_param()->set_axis(0);
    string last = "s_0";
    for (int t = 0; t < this->T_; ++t) {
      const string kept = "kept_" + std::to_string(t);
      add(net_param, "Scale", kept, {last, cont[t]}, {kept}).mutable_scale_param()->set_axis(0);
      add(net_param, "Eltwise", "sum", {kept, x[t]}, {s[t]}).add_propagate_down(true);
      net_param->mutable_layer(net_param->layer_size() - 1)->add_propagate_down(true);
      last = s[t];
    }
    add(net_param, "Split", "", {last}, {"s_T"});
    add(net_param, "Concat", "concat", s, {"s"}).mutable_concat_param()->set_axis(0);
  }
  virtual void RecurrentInputBlobNames(vector<string>* names) const { *names = {"s_0"}; }
  virtual void RecurrentOutputBlobNames(vector<string>* names) const { *names = {"s_T"}; }
  virtual void RecurrentInputShapes(vector<BlobShape>* shapes) const {
    shapes->resize(1);
    for (const int length : {1, this->N_, 1}) (*shapes)[0].add_dim(length);
  }
  virtual void OutputBlobNames(vector<string>* names) const { *names = {"s"}; }

 private:
  static LayerParameter& add(NetParameter* net, const string& type, const string& name,
                             const vector<string>& bottoms, const vector<string>& tops) {
    LayerParameter* const layer = net->add_layer();
    layer->set_type(type);
    layer->set_name(name);
    for (const string& bottom : bottoms) layer->add_bottom(bottom);
    for (const string& top : tops) layer->add_top(top);
    return *layer;
  }
};
INSTANTIATE_CLASS(RunningSumLayer);
REGISTER_LAYER_CLASS(RunningSum);

template <typename TypeParam>
class RecurrentLayerTest : public RecurrentTest<TypeParam> {
 protected:
  typedef typename LayerTest<TypeParam>::Dtype Dtype;

  /// The parts of the log lines that begin with `start`, after it.
  static std::vector<std::string> after(const std::string& start, const LogLines& log) {
    std::vector<std::string> found;
    for (const std::string& line : log.lines) {
      if (line.compare(0, start.size(), start) == 0) found.push_back(line.substr(start.size()));
    }
    return found;
  }
  Dtype last_value() const { return this->top[0]->cpu_data()[this->top[0]->count() - 1]; }
};
TYPED_TEST_SUITE(RecurrentLayerTest, DtypesAndDevices);

typedef std::vector<std::string> Names;

// ---- the unrolled net

TYPED_TEST(RecurrentLayerTest, LayersOfLSTM) {
  this->add_bottom({2, 2, 5});
  this->add_bottom({2, 2});
  this->add_static();
  LogLines log;
  this->forward(this->text("LSTM"));
  EXPECT_EQ(this->after("Creating Layer ", log),
            (Names{"r_",
                   "r_",
                   "r_cont_slice",
                   "cont_1_r_cont_slice_0_split",
                   "cont_2_r_cont_slice_1_split",
                   "r_x_transform",
                   "r_W_xc_x_static",
                   "r_W_xc_x_static_reshape",
                   "W_xc_x_static_r_W_xc_x_static_reshape_0_split",
                   "r_W_xc_x_slice",
                   "r_h_conted_0",
                   "r_transform_1",
                   "r_gate_input_1",
                   "r_unit_1",
                   "h_1_r_unit_1_1_split",
                   "r_h_conted_1",
                   "r_transform_2",
                   "r_gate_input_2",
                   "r_unit_2",
                   "r_",
                   "r_h_concat",
                   "h_pseudoloss"}));
  EXPECT_EQ(this->after("Adding parameter ", log),
            (Names{"0: W_xc", "1: b_c", "2: W_xc_static", "3: W_hc"}));
  EXPECT_TRUE(
      log.has("Initializing recurrent layer: assuming input batch contains 2 timesteps of "
              "2 independent streams."));
  for (const std::string& line : log.lines) {  // though three have one name
    EXPECT_FALSE(contains(line, "More than one layer is named")) << line;
  }
}

TYPED_TEST(RecurrentLayerTest, LayersOfRNN) {
  this->add_bottom({2, 2, 5});
  this->add_bottom({2, 2});
  this->add_static();
  LogLines log;
  this->forward(this->text("RNN"));
  EXPECT_EQ(this->after("Creating Layer ", log),
            (Names{"r_",
                   "r_",
                   "r_cont_slice",
                   "r_x_transform",
                   "r_W_xh_x_static",
                   "r_W_xh_x_static_reshape",
                   "W_xh_x_static_r_W_xh_x_static_reshape_0_split",
                   "r_W_xh_x_slice",
                   "r_h_conted_0",
                   "r_W_hh_h_0",
                   "r_h_input_sum_1",
                   "r_h_neuron_1",
                   "h_1_r_h_neuron_1_0_split",
                   "r_W_ho_h_1",
                   "r_o_neuron_1",
                   "r_h_conted_1",
                   "r_W_hh_h_1",
                   "r_h_input_sum_2",
                   "r_h_neuron_2",
                   "r_W_ho_h_2",
                   "r_o_neuron_2",
                   "r_o_concat",
                   "o_pseudoloss"}));
  EXPECT_EQ(this->after("Adding parameter ", log),
            (Names{"0: W_xh", "1: b_h", "2: W_xh_static", "3: W_hh", "4: W_ho", "5: b_o"}));
}

/// debug_info names every inner blob that backward computes: no gradient of cont, nor of a state
/// before the first step.
TYPED_TEST(RecurrentLayerTest, DebugInfo) {
  for (const bool on : {false, true}) {
    this->clear();
    this->add_bottom({1, 2, 5});
    this->add_bottom({1, 2});
    LogLines log;
    auto layer = this->forward(this->text("LSTM", on ? "debug_info: true" : ""));
    layer->Backward(this->top, {false, false}, this->bottom);
    Names found = this->after("    [Backward] Layer ", log);
    for (std::string& line : found) line = line.substr(0, line.find(" diff: "));
    const Names expected = {
        "r_h_concat, bottom blob h_1",          "r_unit_1, bottom blob gate_input_1",
        "r_gate_input_1, bottom blob W_hc_h_0", "r_gate_input_1, bottom blob W_xc_x_1",
        "r_transform_1, param blob 0",          "r_W_xc_x_slice, bottom blob W_xc_x",
        "r_x_transform, bottom blob x",         "r_x_transform, param blob 0",
        "r_x_transform, param blob 1"};
    EXPECT_EQ(found, on ? expected : Names());
    EXPECT_EQ(this->after("    [Forward] Layer ", log).empty(), !on);
  }
}

TYPED_TEST(RecurrentLayerTest, NamesWithoutAPrefix) {
  this->add_inputs();
  LayerParameter param;
  param.set_type("LSTM");
  param.mutable_recurrent_param()->set_num_output(2);
  LogLines log;
  this->add_top();
  LSTMLayer<typename TypeParam::Dtype>(param).SetUp(this->bottom, this->top);
  const Names found = this->after("Creating Layer ", log);
  EXPECT_EQ(found[0], "");
  EXPECT_EQ(found[2], "cont_slice");
}

/// Every step fills its own copy of the weights from the state before it, and the first is kept.
TYPED_TEST(RecurrentLayerTest, EveryStepDrawsItsWeights) {
  typedef typename TypeParam::Dtype Dtype;
  this->add_inputs();
  Caffe::set_random_seed(5);
  auto layer = this->forward(this->text("LSTM"));
  FillerParameter param;
  param.set_min(-1);
  UniformFiller<Dtype> filler(param);
  Blob<Dtype> next(std::vector<int>{3}), expected(std::vector<int>{3});
  filler.Fill(&next);
  Caffe::set_random_seed(5);
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{16, 5}, {16}, {16, 4}, {16, 4}, {16, 4}}) {
    Blob<Dtype> drawn(shape);
    filler.Fill(&drawn);
  }
  filler.Fill(&expected);
  EXPECT_EQ(this->data(next), this->data(expected));
}

// ---- states

TYPED_TEST(RecurrentLayerTest, AState) {
  this->add_bottom({3, 2, 1}, {1, 10, 2, 20, 3, 30});
  this->add_bottom({3, 2}, {1, 1, 1, 0, 1, 1});
  auto layer = this->forward("type: 'RunningSum'");
  this->expect_near(this->data(*this->top[0]), {1, 10, 3, 20, 6, 50});
  layer->Forward(this->bottom, this->top);
  this->expect_near(this->data(*this->top[0]), {7, 60, 9, 20, 12, 50});
  dynamic_cast<RunningSumLayer<typename TypeParam::Dtype>&>(*layer).Reset();
  layer->Forward(this->bottom, this->top);
  this->expect_near(this->data(*this->top[0]), {1, 10, 3, 20, 6, 50});
}

TYPED_TEST(RecurrentLayerTest, AnExposedState) {
  this->add_bottom({3, 2, 1}, {1, 10, 2, 20, 3, 30});
  this->add_bottom({3, 2}, {1, 0, 1, 1, 1, 1});
  this->add_bottom({1, 2, 1}, {100, 200});
  this->add_top();
  this->add_top();
  auto layer = this->forward("type: 'RunningSum' recurrent_param { expose_hidden: true }");
  for (int again = 0; again < 2; ++again) {
    this->expect_near(this->data(*this->top[0]), {101, 10, 103, 30, 106, 60});
    this->expect_near(this->data(*this->top[1]), {106, 60});
    layer->Forward(this->bottom, this->top);
  }
}

TYPED_TEST(RecurrentLayerTest, GradientThroughTime) {
  this->add_bottom({3, 2, 1});
  this->add_bottom({3, 2}, {0, 0, 1, 0, 1, 1});
  this->check_gradient("type: 'RunningSum'");
}

/// The streams that stay keep their states.
TYPED_TEST(RecurrentLayerTest, StreamsMayChange) {
  this->add_bottom({1, 2, 1}, {1, 10});
  this->add_bottom({1, 2}, {1, 1});
  auto layer = this->forward("type: 'RunningSum'");
  this->bottom[0]->Reshape({1, 1, 1});
  this->bottom[1]->Reshape({1, 1});
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), std::vector<int>({1, 1, 1}));
  this->expect_near(this->data(*this->top[0]), {2});
  this->bottom[0]->Reshape({1, 3, 1});
  this->bottom[1]->Reshape({1, 3});
  for (int i = 0; i < 3; ++i) {
    this->bottom[0]->mutable_cpu_data()[i] = 5;
    this->bottom[1]->mutable_cpu_data()[i] = 0;
  }
  layer->Forward(this->bottom, this->top);
  this->expect_near(this->data(*this->top[0]), {5, 5, 5});
  this->bottom[0]->Reshape({1, 0, 1});
  this->bottom[1]->Reshape({1, 0});
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), std::vector<int>({1, 0, 1}));
}

/// A later layer that changes a top in place must not change a state.
TYPED_TEST(RecurrentLayerTest, TopsMayBeChangedInPlace) {
  typedef typename TypeParam::Dtype Dtype;
  this->add_bottom({1, 2, 1}, {1, 10});
  this->add_bottom({1, 2}, {1, 1});
  auto layer = this->forward("type: 'RunningSum'");
  caffe_set(2, Dtype(1000), this->top[0]->mutable_cpu_data());
  layer->Forward(this->bottom, this->top);
  this->expect_near(this->data(*this->top[0]), {2, 20});

  this->clear();
  this->add_inputs();
  this->add_states(1);
  auto rnn = this->forward(this->text("RNN", "expose_hidden: true"));
  std::vector<std::vector<double>> gradients;
  for (const double value : {0., 1000.}) {
    rnn->Forward(this->bottom, this->top);
    if (value != 0) caffe_set(8, Dtype(value), this->top[1]->mutable_cpu_data());
    caffe_set(24, Dtype(1), this->top[0]->mutable_cpu_diff());
    rnn->Backward(this->top, {true, false, false}, this->bottom);
    gradients.push_back(this->diff(*this->bottom[0]));
  }
  EXPECT_EQ(gradients[0], gradients[1]);
}

TYPED_TEST(RecurrentLayerTest, SaysThatStatesGetNoGradient) {
  this->add_inputs();
  this->add_states(1);
  auto layer = this->forward(this->text("RNN", "expose_hidden: true"));
  LogLines log;
  layer->Backward(this->top, {true, false, false}, this->bottom);
  EXPECT_TRUE(log.lines.empty());
  for (int again = 0; again < 2; ++again) {
    layer->Backward(this->top, {true, false, true}, this->bottom);
    EXPECT_EQ(this->after("layer 'r' (RNN): the states before the first step get no gradient", log)
                  .size(),
              1u);
  }
  EXPECT_ERROR(
      layer->Backward(this->top, {true, true, false}, this->bottom),
      "layer 'r' (RNN): bottom 1, which tells where a sequence continues, has no gradient");
  EXPECT_FALSE(layer->AllowForceBackward(1));
  EXPECT_TRUE(layer->AllowForceBackward(0) && layer->AllowForceBackward(2));
}

TYPED_TEST(RecurrentLayerTest, GradientsOfAllWhateverIsAsked) {
  this->add_inputs();
  auto layer = this->forward(this->text("LSTM"));
  caffe_set(24, typename TypeParam::Dtype(1), this->top[0]->mutable_cpu_diff());
  for (int i = 0; i < 3; ++i) layer->set_param_propagate_down(i, false);
  layer->Backward(this->top, {false, false}, this->bottom);
  EXPECT_NE(this->bottom[0]->asum_diff(), 0);
  for (const auto& blob : layer->blobs()) EXPECT_NE(blob->asum_diff(), 0);
}

// ---- what is refused

TYPED_TEST(RecurrentLayerTest, Checks) {
  EXPECT_ERROR(this->make("type: 'Recurrent'"), "unknown layer type 'Recurrent'");
  const auto error = [this](const std::vector<std::vector<int>>& shapes, const std::string& more,
                            const std::string& type = "LSTM") {
    this->clear();
    for (const auto& shape : shapes) this->add_bottom(shape);
    return error_of([&] { this->forward(this->text(type, more)); });
  };
  for (const char* const type : {"LSTM", "RNN"}) {
    EXPECT_PRED2(contains, error({{3}, {3, 2}}, "", type), "should be T x N x ...");
    EXPECT_PRED2(contains, error({{3, 2}, {3, 2}}, "", type), "axis is 2, and the bottom has 2");
    EXPECT_PRED2(contains, error({{0, 2, 5}, {0, 2}}, "", type), "at least one step");
    for (const std::vector<int>& cont :
         std::vector<std::vector<int>>{{3}, {2, 2}, {3, 1}, {3, 2, 1}}) {
      EXPECT_PRED2(contains, error({{3, 2, 5}, cont}, "", type), "the 3 steps and 2 streams of x");
    }
    for (const std::vector<int>& still : std::vector<std::vector<int>>{{}, {3, 2}}) {
      EXPECT_PRED2(contains, error({{3, 2, 5}, {3, 2}, still}, "", type), "for the 2 streams of x");
    }
    EXPECT_PRED2(contains, error({{3, 2, 5}, {3, 2}, {2}}, "", type), "axis is 1, and the bottom");
    this->clear();
    this->add_inputs();
    EXPECT_ERROR(this->forward(std::string("type: '") + type + "'"), "num_output is missing or 0");
    EXPECT_PRED2(contains, error({{3, 2, 5}}, "", type), "takes at least 2 bottoms and has 1");
    EXPECT_PRED2(contains, error({{3, 2, 5}, {3, 2}, {2, 1}, {2, 1}, {2, 1}}, "", type),
                 "takes at most 3 bottoms and has 5");
    EXPECT_PRED2(contains, error({{3, 2, 5}, {3, 2}}, "expose_hidden: true", type),
                 type == std::string("LSTM") ? "at least 4 bottoms" : "at least 3 bottoms");
  }
  const std::vector<int> x = {3, 2, 5}, cont = {3, 2}, state = {1, 2, 4};
  for (const std::vector<int>& wrong :
       std::vector<std::vector<int>>{{2, 4}, {1, 3, 4}, {1, 2, 3}, {1, 2, 4, 1}}) {
    this->top.clear();
    this->add_top();
    this->add_top();
    EXPECT_PRED2(contains, error({x, cont, wrong}, "expose_hidden: true", "RNN"), "takes 2 tops");
    this->clear();
    for (const auto& shape : {x, cont, state, wrong}) this->add_bottom(shape);
    for (int i = 0; i < 3; ++i) this->add_top();
    EXPECT_ERROR(this->forward(this->text("LSTM", "expose_hidden: true")),
                 "bottom 3, a state before the first step, has shape ");
  }
}

TYPED_TEST(RecurrentLayerTest, StepsAreFixed) {
  this->add_inputs();
  auto layer = this->forward(this->text("LSTM"));
  this->bottom[0]->Reshape({4, 2, 5});
  this->bottom[1]->Reshape({4, 2});
  EXPECT_ERROR(layer->Forward(this->bottom, this->top),
               "layer 'r' (LSTM): was set up for 3 steps; x now has shape 4 2 5 (40). The number "
               "of steps cannot change");
}

TYPED_TEST(RecurrentLayerTest, IsRefusedInPlace) {
  this->add_inputs();
  this->top = {this->bottom[0]};
  EXPECT_ERROR(this->forward(this->text("LSTM")), "cannot work in place");
}

// ---- weights

TYPED_TEST(RecurrentLayerTest, KeepsStoredValues) {
  this->add_inputs();
  LayerParameter stored;
  auto layer = this->forward(this->text("LSTM"));
  const std::vector<double> y = this->data(*this->top[0]);
  layer->ToProto(&stored);
  EXPECT_EQ(stored.type(), "LSTM");
  ASSERT_EQ(stored.blobs_size(), 3);
  auto again = LayerRegistry<typename TypeParam::Dtype>::CreateLayer(stored);
  again->SetUp(this->bottom, this->top);
  again->Forward(this->bottom, this->top);
  EXPECT_EQ(this->data(*this->top[0]), y);
  stored.mutable_blobs()->RemoveLast();
  again = LayerRegistry<typename TypeParam::Dtype>::CreateLayer(stored);
  EXPECT_ERROR(again->SetUp(this->bottom, this->top),
               "hold 2 blobs of learnt values, and it has 3");
  *stored.add_blobs() = stored.blobs(0);
  again = LayerRegistry<typename TypeParam::Dtype>::CreateLayer(stored);
  EXPECT_ERROR(again->SetUp(this->bottom, this->top), "the stored blob 2 is 16 5 (80)");
}

std::string two_layers(const std::string& type, int blobs, bool shared) {
  std::string text =
      "layer { name: 'd' type: 'Input' top: 'x' top: 'cont' input_param { "
      "shape { dim: 3 dim: 2 dim: 4 } shape { dim: 3 dim: 2 } } } ";
  for (const std::string name : {"a", "b"}) {
    text += "layer { name: '" + name + "' type: '" + type + "' bottom: 'x' bottom: 'cont' top: '" +
            name + "' recurrent_param { num_output: 4 weight_filler { type: 'uniform' min: -1 } } ";
    for (int i = 0; i < blobs; ++i) {
      text += shared ? "param { name: 'p" + std::to_string(i) + "' } " : std::string("param { } ");
    }
    text += "} ";
  }
  return "force_backward: true " + text;
}

template <typename Dtype>
std::shared_ptr<Net<Dtype>> net_of(const std::string& text, Phase phase) {
  NetParameter param;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param));
  param.mutable_state()->set_phase(phase);
  const QuietLog quiet;
  auto net = std::make_shared<Net<Dtype>>(param);
  for (int b : {0, 1}) {
    Blob<Dtype>* const blob = net->input_blobs()[b];
    for (int i = 0; i < blob->count(); ++i) {
      blob->mutable_cpu_data()[i] = static_cast<Dtype>(b == 1 ? 1 : 0.1 * (i % 7) - 0.3);
    }
  }
  return net;
}

/// All steps use the owner's weights, and its gradient is the sum over both layers.
TYPED_TEST(RecurrentLayerTest, SharesWeightsByName) {
  typedef typename TypeParam::Dtype Dtype;
  for (const auto& [type, blobs] :
       std::vector<std::pair<std::string, int>>{{"LSTM", 3}, {"RNN", 5}}) {
    for (const Phase phase : {TRAIN, TEST}) {
      auto net = net_of<Dtype>(two_layers(type, blobs, true), phase);
      EXPECT_EQ(net->learnable_params().size(), static_cast<size_t>(blobs));
      net->Forward();
      const auto a = net->blob_by_name("a"), b = net->blob_by_name("b");
      EXPECT_EQ(this->data(*a), this->data(*b)) << type << ' ' << phase;
      std::vector<std::vector<double>> sums;
      for (const Dtype of_b : {Dtype(0), Dtype(1)}) {
        net->ClearParamDiffs();
        caffe_set(a->count(), Dtype(1), a->mutable_cpu_diff());
        caffe_set(b->count(), of_b, b->mutable_cpu_diff());
        net->Backward();
        sums.emplace_back();
        for (const auto* blob : net->learnable_params()) sums.back().push_back(blob->asum_diff());
      }
      for (int i = 0; i < blobs; ++i) {
        EXPECT_NEAR(sums[1][i], 2 * sums[0][i], 1e-5 * sums[1][i]) << type << ' ' << i;
      }
    }
  }
}

TYPED_TEST(RecurrentLayerTest, SharesWeightsWithAnotherNet) {
  typedef typename TypeParam::Dtype Dtype;
  for (const auto& [type, blobs] :
       std::vector<std::pair<std::string, int>>{{"LSTM", 3}, {"RNN", 5}}) {
    for (const Phase phase : {TRAIN, TEST}) {
      auto trained = net_of<Dtype>(two_layers(type, blobs, false), TRAIN);
      auto other = net_of<Dtype>(two_layers(type, blobs, false), phase);
      other->ShareTrainedLayersWith(trained.get());
      trained->params()[2]->scale_data(Dtype(0.5));
      trained->Forward();
      other->Forward();
      for (const char* const blob : {"a", "b"}) {
        EXPECT_EQ(this->data(*trained->blob_by_name(blob)), this->data(*other->blob_by_name(blob)));
      }
    }
  }
}

}  // namespace caffe
