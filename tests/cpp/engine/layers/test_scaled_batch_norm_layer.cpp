// BatchNorm of NVIDIA's fork, which learns a scale and a shift, against BatchNorm and Scale.

#include "layers/layer_test.hpp"
#include "tests/cpp/engine/files.hpp"
#include "tests/cpp/engine/toy_net.hpp"

namespace caffe {

namespace {

const char kData[] =
    "layer { name: 'data' type: 'DummyData' top: 'data' dummy_data_param { shape { dim: 3 dim: 4 "
    "dim: 5 } data_filler { type: 'gaussian' std: 2 } } } ";

/// A net of one BatchNorm, with these params; `norm` is the content of batch_norm_param.
string net_of(const string& norm, const string& params = "") {
  return kData + string("layer { name: 'bn' type: 'BatchNorm' bottom: 'data' top: 'y' ") + params +
         " batch_norm_param { " + norm + " } } ";
}

void add_blob(LayerParameter* layer, const vector<float>& values) {
  BlobProto* const blob = layer->add_blobs();
  blob->mutable_shape()->add_dim(static_cast<int>(values.size()));
  for (const float value : values) blob->add_data(value);
}

/// A file of weights with these blobs for the layer 'bn'.
string weights_of(const vector<vector<float>>& blobs) {
  NetParameter net;
  LayerParameter* const layer = net.add_layer();
  layer->set_name("bn");
  layer->set_type("BatchNorm");
  for (const vector<float>& blob : blobs) add_blob(layer, blob);
  const string name = file_with("", ".caffemodel");
  WriteProtoToBinaryFile(net, name);
  return name;
}

}  // namespace

template <typename TypeParam>
class ScaledBatchNormLayerTest : public LayerTest<TypeParam> {
 protected:
  static string text(const string& more = "") {
    return "type: 'BatchNorm' batch_norm_param { scale_bias: true eps: 0.01 scale_filler { type: "
           "'uniform' min: 0.5 max: 2 } bias_filler { type: 'uniform' min: -1 max: 1 } " +
           more + " }";
  }
};
TYPED_TEST_SUITE(ScaledBatchNormLayerTest, DtypesAndDevices);

TYPED_TEST(ScaledBatchNormLayerTest, IsBatchNormAndScale) {
  this->add_bottom({4, 3, 2, 5}, -1, 3);
  for (const Phase phase : {TRAIN, TEST}) {
    auto layer = this->make(this->text(), phase);
    this->top.clear();
    this->add_top();
    layer->SetUp(this->bottom, this->top);
    ASSERT_EQ(layer->blobs().size(), 5u);
    for (int i = 0; i < 3; ++i) {
      this->fill_random(layer->blobs()[i].get(), 20 + i, i == 0 ? -1 : 1, 2);
    }
    auto norm = this->make("type: 'BatchNorm' batch_norm_param { eps: 0.01 }", phase);
    auto scale = this->make("type: 'Scale' scale_param { bias_term: true }", phase);
    typename TestFixture::Blobs between = {this->add_top()}, end = {this->add_top()};
    this->top.resize(1);
    norm->SetUp(this->bottom, between);
    scale->SetUp(between, end);
    for (int i = 0; i < 5; ++i) {
      (i < 3 ? norm->blobs()[i] : scale->blobs()[i - 3])->CopyFrom(*layer->blobs()[i]);
    }
    layer->Forward(this->bottom, this->top);
    norm->Forward(this->bottom, between);
    scale->Forward(between, end);
    EXPECT_EQ(this->data(*this->top[0]), this->data(*end[0])) << phase;
  }
}

TYPED_TEST(ScaledBatchNormLayerTest, Gradient) {
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{6, 3}, {3, 2, 5}, {2, 16, 3, 4}}) {
    this->bottom.clear();
    this->add_bottom(shape);
    for (const bool in_place : {false, true}) {
      this->top.clear();
      if (in_place) this->top = this->bottom;
      for (const Phase phase : {TRAIN, TEST}) {
        GradientOptions options;
        options.params = phase == TRAIN;
        this->check_gradient(
            "param { lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 } " + this->text(),
            options, false, phase);
        if (this->HasFatalFailure()) return;
      }
    }
  }
}

// In place, and with no gradient of the bottom, those of scale and bias are the same.
TYPED_TEST(ScaledBatchNormLayerTest, InPlaceIsTheSame) {
  std::vector<std::vector<double>> found[2];
  for (const bool in_place : {false, true}) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom({4, 3, 5});
    if (in_place) this->top = this->bottom;
    Caffe::set_random_seed(3);
    auto layer = this->forward(this->text());
    found[in_place].push_back(this->data(*this->top[0]));
    this->fill_random(this->top[0], 5);
    std::fill_n(this->top[0]->mutable_cpu_diff(), this->top[0]->count(), 0.5);
    this->top[0]->mutable_cpu_diff()[7] = 2;
    layer->Backward(this->top, {in_place}, this->bottom);
    for (int i = 3; i < 5; ++i) found[in_place].push_back(this->diff(*layer->blobs()[i]));
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(found[0][i], found[1][i]) << i;
}

TYPED_TEST(ScaledBatchNormLayerTest, ScalesAreOneWithoutFiller) {
  this->add_bottom({4, 3});
  auto layer = this->forward("type: 'BatchNorm' batch_norm_param { scale_bias: true }");
  EXPECT_EQ(this->data(*layer->blobs()[3]), std::vector<double>(3, 1));
  EXPECT_EQ(this->data(*layer->blobs()[4]), std::vector<double>(3, 0));
}

// The first batch's statistics, then fraction old + (1 - fraction) new; the weight is 1.
TYPED_TEST(ScaledBatchNormLayerTest, AveragesOfTheDialect) {
  for (const char* text : {"type: 'BatchNorm' batch_norm_param { moving_average_fraction: 0.75 "
                           "scale_bias: true }",
                           "type: 'BatchNorm' dialect: 'nv017' batch_norm_param { "
                           "moving_average_fraction: 0.75 }"}) {
    this->bottom.clear();
    this->add_bottom({2, 2}, {1, 10, 3, 20});
    auto layer = this->forward(text);
    const auto& blobs = layer->blobs();
    this->expect_near(this->data(*blobs[0]), {2, 15});
    this->expect_near(this->data(*blobs[1]), {2, 50});
    this->bottom[0]->mutable_cpu_data()[0] = 5;  // mean 4, variance 2
    layer->Forward(this->bottom, this->top);
    this->expect_near(this->data(*blobs[0]), {2.5, 15});
    this->expect_near(this->data(*blobs[1]), {2, 50});
    EXPECT_EQ(blobs[2]->cpu_data()[0], 1);
    for (int i = 0; i < 2; ++i) {  // of BVLC Caffe, with another weight
      for (int c = 0; c < 2; ++c) blobs[i]->mutable_cpu_data()[c] *= 8;
    }
    blobs[2]->mutable_cpu_data()[0] = 8;
    layer->Forward(this->bottom, this->top);
    this->expect_near(this->data(*blobs[0]), {0.75 * 2.5 + 0.25 * 4, 15});
    EXPECT_EQ(blobs[2]->cpu_data()[0], 1);
  }
}

TYPED_TEST(ScaledBatchNormLayerTest, LearningRates) {
  this->add_bottom({2, 3});
  const auto rates = [&](const string& params) {
    auto layer = this->forward("type: 'BatchNorm' " + params +
                               " batch_norm_param { scale_filler { value: 1 } }");
    vector<std::pair<float, float>> found;
    for (const ParamSpec& param : layer->layer_param().param()) {
      found.emplace_back(param.lr_mult(), param.decay_mult());
    }
    return vector<std::pair<float, float>>(found.begin() + 3, found.end());
  };
  typedef vector<std::pair<float, float>> Rates;
  EXPECT_EQ(rates(""), Rates({{1, 1}, {1, 1}}));
  const string zero = "param { lr_mult: 0 } ";
  EXPECT_EQ(rates(zero + zero + zero + "param { lr_mult: 3 decay_mult: 0 }"),
            Rates({{1, 1}, {1, 1}}));
  EXPECT_EQ(rates("param { lr_mult: 2 decay_mult: 0 } param { lr_mult: 4 } " + zero + zero + zero),
            Rates({{2, 0}, {4, 1}}));  // the order of 0.15
  EXPECT_EQ(rates("dialect: 'nv015' " + zero + "param { lr_mult: 4 } " + zero + zero + zero),
            Rates({{0, 1}, {4, 1}}));
  EXPECT_ERROR(rates(zero + zero + zero + zero + zero + zero), "has param { } 6 times and 5 blobs");
}

// ---- nets and weights

TEST(ScaledBatchNormNetTest, DialectsSayWhetherItIsScaled) {
  const auto blobs = [](const string& norm, const string& layer = "") {
    return make_net(net_of(norm, layer))->params().size();
  };
  EXPECT_EQ(blobs("eps: 0.1"), 3u);
  EXPECT_EQ(blobs("scale_bias: true"), 5u);
  EXPECT_EQ(blobs("scale_filler { value: 1 }"), 5u);
  EXPECT_EQ(blobs("bias_filler { value: 1 }"), 5u);
  EXPECT_EQ(blobs("", "dialect: 'nv017'"), 3u);
  EXPECT_EQ(blobs("", "dialect: 'nv016'"), 3u);
  EXPECT_EQ(blobs("", "dialect: 'nv015'"), 5u);
  LogLines log;
  const Net<float> intel(net_param(net_of("bias_filler { value: 1 }", "dialect: 'intel'"), TRAIN));
  EXPECT_EQ(intel.params().size(), 3u);
  EXPECT_TRUE(log.has(
      "layer 'bn' (BatchNorm): scale_filler and bias_filler have no effect in a net of another "
      "fork than NVIDIA's; dialect: \"nv017\" in the layer gives it scales and biases"));
}

// The phase decides, not use_global_stats.
TEST(ScaledBatchNormNetTest, ThePhaseDecides) {
  auto net = make_net("state { phase: TEST } " + net_of("scale_bias: true use_global_stats: false "
                                                        "eps: 0"));
  EXPECT_FALSE(net->layers()[1]->layer_param().batch_norm_param().has_use_global_stats());
  EXPECT_EQ(net->layers()[1]->layer_param().batch_norm_param().eps(), 1e-5f);
}

TEST(ScaledBatchNormNetTest, WeightsOfEachOrder) {
  const vector<float> mean = {1, 2, 3, 4}, variance = {5, 6, 7, 8}, scale = {2, 3, 4, 5},
                      bias = {-1, -2, -3, -4};
  const auto load = [&](const vector<vector<float>>& blobs) {
    auto net = make_net(net_of("scale_bias: true"));
    net->CopyTrainedLayersFrom(weights_of(blobs));
    vector<vector<float>> found;
    for (const auto& blob : net->params()) {
      found.emplace_back(blob->cpu_data(), blob->cpu_data() + blob->count());
    }
    return found;
  };
  typedef vector<vector<float>> Values;
  const Values own = {mean, variance, {1}, scale, bias};
  EXPECT_EQ(load(own), own);
  EXPECT_EQ(load({scale, bias, mean, variance, {0}}), own);  // 0.15
  const vector<float> ones(4, 1), zeros(4, 0);
  EXPECT_EQ(load({mean, variance, {7}}), (Values{mean, variance, {7}, ones, zeros}));  // BVLC
  EXPECT_ERROR(load({mean, variance}), "has 5 parameter blobs; the weights have 2");
}

TEST(ScaledBatchNormNetTest, SavesAndLoads) {
  for (const bool hdf5 : {false, true}) {
    auto net = make_net(net_of("scale_filler { type: 'gaussian' std: 1 }"));
    net->Forward();
    const string name = file_with("", hdf5 ? ".h5" : ".caffemodel");
    if (hdf5) {
      net->ToHDF5(name, false);
    } else {
      NetParameter saved;
      net->ToProto(&saved);
      WriteProtoToBinaryFile(saved, name);
    }
    auto other = make_net(net_of("scale_bias: true"));
    other->CopyTrainedLayersFrom(name);
    for (size_t i = 0; i < 5; ++i) {
      for (int c = 0; c < net->params()[i]->count(); ++c) {
        EXPECT_EQ(net->params()[i]->cpu_data()[c], other->params()[i]->cpu_data()[c]);
      }
    }
  }
}

// A plain BatchNorm's HDF5 file in a net that scales.
TEST(ScaledBatchNormNetTest, StatisticsAloneFromHdf5) {
  auto plain = make_net(net_of(""));
  plain->Forward();
  const string name = file_with("", ".h5");
  plain->ToHDF5(name, false);
  auto net = make_net(net_of("scale_bias: true"));
  net->CopyTrainedLayersFrom(name);
  EXPECT_EQ(net->params()[0]->cpu_data()[2], plain->params()[0]->cpu_data()[2]);
  EXPECT_EQ(net->params()[3]->cpu_data()[2], 1);
}

}  // namespace caffe
