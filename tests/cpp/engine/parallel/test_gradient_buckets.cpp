#include "caffe/parallel/gradient_buckets.hpp"

#include "fixtures.hpp"
#include "training_nets.hpp"

namespace caffe {
namespace {

/// An inner product that reads the last one's values, `in` by `out`; `more` is for its params.
std::string product(const std::string& name, const std::string& bottom, int out,
                    const std::string& more = "") {
  return "layer { name: '" + name + "' type: 'InnerProduct' bottom: '" + bottom + "' top: '" +
         name + "' " + more + " inner_product_param { num_output: " + std::to_string(out) +
         " weight_filler { type: 'xavier' } } } ";
}

const char kInput[] =
    "layer { name: 'input' type: 'Input' top: 'data' top: 'label' input_param { "
    "shape { dim: 6 dim: 8 } shape { dim: 6 } } } ";
const char kShared[] = "param { name: 'w' } param { name: 'b' }";

/// data 8 -> a 8 -> b 8 -> c 8 -> scores 3; a and c share their parameters.
std::string shared_net() {
  return kInput + product("a", "data", 8, kShared) + product("b", "a", 8) +
         product("c", "b", 8, kShared) + product("scores", "c", 3) + softmax_loss();
}

std::unique_ptr<Net<double>> net_of(const std::string& text, bool force = false) {
  const QuietLog quiet;
  NetParameter param;
  ReadProtoFromText("name: 'n' state { phase: TRAIN } " + text, "test", &param);
  param.set_force_backward(force);
  auto net = std::make_unique<Net<double>>(param);
  fill_images(net.get());
  return net;
}

std::vector<std::vector<int>> params_of(const std::vector<GradientBucket>& buckets) {
  std::vector<std::vector<int>> params;
  for (const GradientBucket& bucket : buckets) params.push_back(bucket.params);
  return params;
}

typedef std::vector<std::vector<int>> Lists;

TEST(GradientBuckets, LayersLearnTheirOwners) {
  const auto net = net_of(shared_net());
  ASSERT_EQ(net->layers().size(), 6u);
  EXPECT_EQ(net->LearntBy(0), std::vector<int>{});
  EXPECT_EQ(net->LearntBy(1), (std::vector<int>{0, 1}));
  EXPECT_EQ(net->LearntBy(2), (std::vector<int>{2, 3}));
  EXPECT_EQ(net->LearntBy(3), (std::vector<int>{0, 1}));
  EXPECT_EQ(net->LearntBy(4), (std::vector<int>{4, 5}));
  EXPECT_ERROR(net->LearntBy(6), "layers 6 to 6 of 6");
}

/// A gradient that is said to be complete is the one after the pass.
TEST(GradientBuckets, AreCompleteWhenTheNetSaysSo) {
  for (const bool keeps_all : {true, false}) {
    const auto net = net_of(lenet());
    if (!keeps_all) net->KeepOnly({});
    std::vector<int> layers;
    std::vector<std::vector<double>> gradients(net->learnable_params().size());
    const auto values = [&net](int param) {
      const Blob<double>& blob = *net->learnable_params()[param];
      return std::vector<double>(blob.cpu_diff(), blob.cpu_diff() + blob.count());
    };
    const auto buckets = gradient_buckets(*net, 1);
    net->OnGradients([&](int layer) {
      layers.push_back(layer);
      for (const auto& bucket : buckets) {
        if (bucket.layer == layer) gradients[bucket.params[0]] = values(bucket.params[0]);
      }
    });
    net->ClearParamDiffs();
    net->ForwardBackward();
    std::vector<int> expected;
    for (int i = static_cast<int>(net->layers().size()) - 1; i >= 0; --i) expected.push_back(i);
    EXPECT_EQ(layers, expected);
    for (size_t i = 0; i < gradients.size(); ++i) {
      EXPECT_EQ(gradients[i], values(static_cast<int>(i))) << i;
    }
    net->OnGradients({});
    net->ForwardBackward();
    EXPECT_EQ(layers.size(), expected.size());
  }
}

TEST(GradientBuckets, ComeInTheOrderOfTheBackwardPass) {
  const auto net = net_of(shared_net());
  const auto one_by_one = gradient_buckets(*net, 1);
  // a's parameters are c's as well, but complete only when a has run.
  EXPECT_EQ(params_of(one_by_one), (Lists{{5}, {4}, {3}, {2}, {1}, {0}}));
  std::vector<int> layers;
  for (const auto& bucket : one_by_one) layers.push_back(bucket.layer);
  EXPECT_EQ(layers, (std::vector<int>{4, 4, 2, 2, 1, 1}));
}

TEST(GradientBuckets, JoinSmallGradients) {
  const auto net = net_of(shared_net());
  // Values: 64, 8, 64, 8, 24, 3.
  EXPECT_EQ(params_of(gradient_buckets(*net)), (Lists{{0, 1, 2, 3, 4, 5}}));
  EXPECT_EQ(gradient_buckets(*net)[0].layer, 1);
  const auto buckets = gradient_buckets(*net, sizeof(double) * 35);
  EXPECT_EQ(params_of(buckets), (Lists{{3, 4, 5}, {2}, {1}, {0}}));
  EXPECT_EQ(buckets[0].layer, 2);
  EXPECT_EQ(params_of(gradient_buckets(*net, sizeof(double) * 34)),
            (Lists{{4, 5}, {3}, {2}, {1}, {0}}));
  EXPECT_EQ(params_of(gradient_buckets(*net, sizeof(double) * 72)),
            (Lists{{3, 4, 5}, {1, 2}, {0}}));
}

TEST(GradientBuckets, LeaveOutWhatHasNoGradient) {
  const std::string fixed = "param { lr_mult: 0 } param { lr_mult: 0 }";
  const std::string text = kInput + product("a", "data", 8, fixed) + product("b", "a", 8) +
                           "layer { name: 'norm' type: 'BatchNorm' bottom: 'b' top: 'norm' } " +
                           product("c", "norm", 8, "param { lr_mult: 0 }") +
                           product("scores", "c", 3) + softmax_loss();
  const auto net = net_of(text);
  const Lists lists = params_of(gradient_buckets(*net));
  // a: 0 and 1, b: 2 and 3, norm: 4 to 6, c: 7 and 8, scores: 9 and 10
  EXPECT_EQ(lists, (Lists{{2, 3, 8, 9, 10}}));
  // force_backward computes all of them.
  EXPECT_EQ(params_of(gradient_buckets(*net_of(text, true)))[0].size(), 11u);
}

/// A parameter that one of its layers does not learn.
TEST(GradientBuckets, WaitForEveryLayerThatUsesAParameter) {
  const std::string fixed = "param { name: 'w' lr_mult: 0 } param { name: 'b' lr_mult: 0 }";
  const auto net =
      net_of(kInput + product("a", "data", 8) + product("b", "a", 8, fixed) +
             product("c", "b", 8, kShared) + product("scores", "c", 3) + softmax_loss());
  const auto buckets = gradient_buckets(*net, 1);
  EXPECT_EQ(params_of(buckets), (Lists{{5}, {4}, {3}, {2}, {1}, {0}}));
  EXPECT_EQ(buckets[3].layer, 2);
}

}  // namespace
}  // namespace caffe
