#include "caffe/net_memory.hpp"

#include <numeric>

#include "toy_net.hpp"

namespace caffe {

namespace {

/// 2 images of 3 x 8 x 8; a convolution to 4 x 8 x 8, then `rest` on its blob "a", then a loss.
string net_text(const string& rest, const string& last = "a") {
  return "name: 'small' "
         "layer { name: 'data' type: 'Input' top: 'data' top: 'label' input_param { "
         "shape { dim: 2 dim: 3 dim: 8 dim: 8 } shape { dim: 2 } } } "
         "layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'a' convolution_param { "
         "num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } } } " +
         rest + "layer { name: 'ip' type: 'InnerProduct' bottom: '" + last +
         "' top: 'ip' inner_product_param { num_output: 5 weight_filler { type: 'xavier' } } } "
         "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: 'loss' } ";
}

string layer(const string& type, const string& bottom, const string& top, const string& more = "") {
  return "layer { name: '" + type + "' type: '" + type + "' bottom: '" + bottom + "' top: '" + top +
         "' " + more + "} ";
}

const char kScale[] = "scale_param { bias_term: true filler { type: 'uniform' min: 0.5 max: 2 } } ";

template <typename Dtype>
LayerMemory memory_of(const Net<Dtype>& net, const string& layer) {
  for (const LayerMemory& row : gpu_memory(net)) {
    if (contains(row.layer, layer + " (")) return row;
  }
  return LayerMemory();
}

/// Fills the inputs and runs a step; returns the gradient of the convolution's weights.
template <typename Dtype>
vector<double> step(Net<Dtype>* net) {
  Blob<Dtype>* const data = net->input_blobs()[0];
  for (int i = 0; i < data->count(); ++i) {
    data->mutable_cpu_data()[i] = Dtype((i * 7919) % 101) / 50 - 1;
  }
  net->input_blobs()[1]->mutable_cpu_data()[1] = 3;
  net->ClearParamDiffs();
  net->ForwardBackward();
  return gradient(*net->learnable_params()[0]);
}

}  // namespace

TEST(NetMemory, CountsWhatEachLayerNeeds) {
  const auto net = make_net(net_text(layer("ReLU", "a", "a")));
  const LayerMemory conv = memory_of(*net, "conv");
  EXPECT_EQ(conv.data, 4u * 2 * 4 * 64);
  EXPECT_EQ(conv.diff, conv.data);
  EXPECT_EQ(conv.params, 2 * 4u * (4 * 3 * 9 + 4));
  EXPECT_EQ(conv.workspace, 4u * 3 * 9 * 64);
  EXPECT_EQ(conv.total(), conv.data + conv.diff + conv.params);
  EXPECT_EQ(memory_of(*net, "ReLU").total(), 0u) << "in place";
  const LayerMemory data = memory_of(*net, "data");
  EXPECT_EQ(data.data, 4u * (2 * 3 * 64 + 2));
  EXPECT_EQ(data.diff, 0u) << "needs no gradient";
}

TEST(NetMemory, SharedWeightsCountOnce) {
  const string text = string(kToyData) + toy_weights("one", "data", "x", "param { name: 'w' } ") +
                      toy_weights("two", "x", "y", "param { name: 'w' } ") + toy_loss("loss", "y");
  EXPECT_GT(memory_of(*make_net(text), "one").params, 0u);
  // Three values of w are the other layer's; its own bias and the bias's gradient remain.
  EXPECT_EQ(memory_of(*make_net(text), "two").params, 8u);
}

TEST(NetMemory, TheTableNamesTheLargestLayersAndTheSum) {
  const auto net = make_net(net_text(layer("ReLU", "a", "a")));
  const string table = gpu_memory_table(*net, 2);
  EXPECT_PRED2(contains, table, "net 'small'");
  EXPECT_PRED2(contains, table, "conv (Convolution)");
  EXPECT_PRED2(contains, table, "smaller layers");
  EXPECT_PRED2(contains, table, "sum: 0 MB");
  EXPECT_FALSE(contains(table, "loss (SoftmaxWithLoss)"));
  EXPECT_PRED2(contains, gpu_memory_table(*net), "loss (SoftmaxWithLoss)");
}

/// But for the order of sums.
void expect_close(const vector<double>& found, const vector<double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-12) << i;
}

/// Both layers need the normalised values for their gradients.
TEST(NetMemory, ScaleInPlaceSharesTheCopyOfBatchNorm) {
  const QuietLog quiet;
  const string relu = layer("ReLU", "a", "a");
  const auto both = make_net<double>(
      net_text(layer("BatchNorm", "a", "a") + layer("Scale", "a", "a", kScale) + relu));
  const auto neither = make_net<double>(net_text(
      layer("BatchNorm", "a", "b") + layer("Scale", "b", "c", kScale) + layer("ReLU", "c", "d"),
      "d"));
  neither->CopyTrainedLayersFrom([&] {
    NetParameter trained;
    both->ToProto(&trained);
    return trained;
  }());
  for (int iteration = 0; iteration < 2; ++iteration) {
    const vector<double> gradient = step(both.get());
    expect_close(gradient, step(neither.get()));
    EXPECT_GT(std::accumulate(gradient.begin(), gradient.end(), 0.), -1e9);
  }
  EXPECT_EQ(memory_of(*both, "BatchNorm").own, 8u * 2 * 4 * 64);
  EXPECT_EQ(memory_of(*both, "Scale").own, 0u);
  EXPECT_EQ(memory_of(*neither, "BatchNorm").own, 0u);
}

TEST(NetMemory, ScaleInPlaceMakesACopyOfChangedValues) {
  const QuietLog quiet;
  const string dropout = layer("Power", "a", "a", "power_param { scale: 2 } ");
  const auto net = make_net<double>(
      net_text(layer("BatchNorm", "a", "a") + dropout + layer("Scale", "a", "a", kScale)));
  const auto apart = make_net<double>(net_text(
      layer("BatchNorm", "a", "b") + layer("Power", "b", "c", "power_param { scale: 2 } ") +
          layer("Scale", "c", "d", kScale),
      "d"));
  apart->CopyTrainedLayersFrom([&] {
    NetParameter trained;
    net->ToProto(&trained);
    return trained;
  }());
  expect_close(step(net.get()), step(apart.get()));
  EXPECT_EQ(memory_of(*net, "Scale").own, 8u * 2 * 4 * 64);
}

}  // namespace caffe
