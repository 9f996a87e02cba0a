// Layers that a net computes together must leave what they leave one by one, after every kind of
// pass.

#include "caffe/net_chains.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "caffe/layers/relu_layer.hpp"
#include "toy_net.hpp"

namespace caffe {

namespace {

/// y = 3 x. Can take a Scale with a bias, and a ReLU behind that. Counts its passes in blobs()[0].
template <typename Dtype>
class ToyHeadLayer : public Layer<Dtype>, public TakesFollowers<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  typedef typename TakesFollowers<Dtype>::Gradient Gradient;
  explicit ToyHeadLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const Blobs&, const Blobs&) override {
    this->blobs_.push_back(std::make_shared<Blob<Dtype>>(vector<int>{1}));
    this->param_propagate_down_.resize(1, false);
    if (this->layer_param_.param_size() == 0) this->layer_param_.add_param()->set_lr_mult(0);
  }
  void Reshape(const Blobs& bottom, const Blobs& top) override {
    if (top[0] != bottom[0]) top[0]->ReshapeLike(*bottom[0]);
  }
  const char* type() const override { return "ToyHead"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

  static size_t most;  // that it takes
  static Gradient gradients;
  static int passes_together, passes_again;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    if (this->runs_again()) {
      ++passes_again;
    } else {
      this->blobs_[0]->mutable_cpu_data()[0] += 1;
    }
    if (!this->runs_again() || bottom[0] != top[0]) x_.CopyFrom(*bottom[0], false, true);
    const auto& layers = this->followers();
    const bool scaled = most > 0 && !layers.empty() && string(layers[0]->type()) == "Scale";
    const bool rectified = scaled && most > 1 && layers.size() > 1 && is_plain_relu(*layers[1]);
    if (scaled) this->take(rectified ? 2 : 1, gradients);
    for (int i = 0; i < x_.count(); ++i) {
      const Dtype y = scaled ? scaled_value(layers, i) : 3 * x_.cpu_data()[i];
      top[0]->mutable_cpu_data()[i] = rectified ? std::max(y, Dtype(0)) : y;
    }
  }
  void Backward_cpu(const Blobs& top, const vector<bool>& down, const Blobs& bottom) override {
    const auto& layers = this->followers();
    if (!layers.empty()) ++passes_together;
    for (int i = 0; i < x_.count(); ++i) {
      Dtype dy = top[0]->cpu_diff()[i];
      if (layers.size() > 1 && scaled_value(layers, i) <= 0) dy = 0;
      if (!layers.empty()) {
        const int c = i % 3;
        Layer<Dtype>& scale = *layers[0];
        if (scale.param_propagate_down(0)) {
          scale.blobs()[0]->mutable_cpu_diff()[c] += dy * 3 * x_.cpu_data()[i];
        }
        if (this->keeps_gradient()) top[0]->mutable_cpu_diff()[i] = dy;
        if (scale.param_propagate_down(1)) scale.blobs()[1]->mutable_cpu_diff()[c] += dy;
        dy *= scale.blobs()[0]->cpu_data()[c];
        if (this->keeps_gradient() && down[0]) top[0]->mutable_cpu_diff()[i] = dy;
      }
      if (down[0]) bottom[0]->mutable_cpu_diff()[i] = 3 * dy;
    }
  }

 private:
  Dtype scaled_value(const vector<Layer<Dtype>*>& layers, int i) {
    const auto& learnt = layers[0]->blobs();
    return 3 * x_.cpu_data()[i] * learnt[0]->cpu_data()[i % 3] + learnt[1]->cpu_data()[i % 3];
  }
  Blob<Dtype> x_;
};

template <typename Dtype>
size_t ToyHeadLayer<Dtype>::most = 2;
template <typename Dtype>
typename TakesFollowers<Dtype>::Gradient ToyHeadLayer<Dtype>::gradients;
template <typename Dtype>
int ToyHeadLayer<Dtype>::passes_together = 0;
template <typename Dtype>
int ToyHeadLayer<Dtype>::passes_again = 0;

REGISTER_LAYER_CLASS(ToyHead);

/// y = x^2 / 2. Can compute the gradient of a ReLU in front of it.
template <typename Dtype>
class ToyBehindReluLayer : public Layer<Dtype>, public TakesReluGradient {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit ToyBehindReluLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void Reshape(const Blobs& bottom, const Blobs& top) override { top[0]->ReshapeLike(*bottom[0]); }
  const char* type() const override { return "ToyBehindRelu"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

  static bool takes;
  static int taken;  // passes

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    for (int i = 0; i < bottom[0]->count(); ++i) {
      const Dtype x = bottom[0]->cpu_data()[i];
      top[0]->mutable_cpu_data()[i] = x * x / 2 + x;
    }
  }
  void Backward_cpu(const Blobs& top, const vector<bool>& down, const Blobs& bottom) override {
    const bool relu = takes && take_relu();
    taken += relu;
    for (int i = 0; down[0] && i < bottom[0]->count(); ++i) {
      const Dtype x = bottom[0]->cpu_data()[i];
      const Dtype dx = (x + 1) * top[0]->cpu_diff()[i];
      bottom[0]->mutable_cpu_diff()[i] = relu && !(x > 0) ? 0 : dx;
    }
  }
};

template <typename Dtype>
bool ToyBehindReluLayer<Dtype>::takes = true;
template <typename Dtype>
int ToyBehindReluLayer<Dtype>::taken = 0;

REGISTER_LAYER_CLASS(ToyBehindRelu);

typedef TakesFollowers<float>::Gradient Gradient;
typedef std::function<void(Net<float>*)> Passes;

/// A layer in place on the blob y.
string in_place(const string& name, const string& type, const string& rest = "") {
  return "layer { name: '" + name + "' type: '" + type + "' bottom: 'y' top: 'y' " + rest + " } ";
}

const char kScaleFields[] =
    "scale_param { bias_term: true filler { type: 'uniform' min: -1 max: 1 } "
    "bias_filler { type: 'uniform' min: -1 max: 1 } } ";

/// Layers: 0 data, 1 first, 2 head, 3 scale, 4 relu, 5 last, 6 bent, 7 loss. head works in place on
/// y, or makes it.
string chain(bool head_in_place, const string& of_scale = "", const string& behind = "") {
  const string made = head_in_place ? "y" : "x";
  return kToyData + toy_weights("first", "data", made) + "layer { name: 'head' type: 'ToyHead' " +
         "bottom: '" + made + "' top: 'y' } " +
         in_place("scale", "Scale", kScaleFields + of_scale) + in_place("relu", "ReLU") + behind +
         toy_weights("last", "y", "z") +
         "layer { name: 'bent' type: 'Sigmoid' bottom: 'z' top: 'z' } " + toy_loss("loss", "z");
}

/// Layers: 0 data, 1 first, 2 relu, 3 behind, 4 last, 5 bent, 6 loss.
string behind_relu(const string& relu) {
  return kToyData + toy_weights("first", "data", "y") + relu +
         "layer { name: 'behind' type: 'ToyBehindRelu' bottom: 'y' top: 'w' } " +
         toy_weights("last", "w", "z") +
         "layer { name: 'bent' type: 'Sigmoid' bottom: 'z' top: 'z' } " + toy_loss("loss", "z");
}

/// All values and gradients of a net after the passes.
vector<vector<double>> run(const string& text, const Passes& passes, Phase phase) {
  Caffe::set_random_seed(3);
  const auto net = make_net(text, phase);
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  Blob<float>& data = *net->input_blobs()[0];
  for (int i = 0; i < data.count(); ++i) data.mutable_cpu_data()[i] = normal(random);
  passes(net.get());
  vector<vector<double>> found;
  for (const auto& list : {net->blobs(), net->params()}) {
    for (const auto& blob : list) {
      found.push_back(values(*blob));
      found.push_back(gradient(*blob));
    }
  }
  return found;
}

struct Watcher : Net<float>::Callback {
  void run(int) override {}
};

class NetChainsTest : public ::testing::Test {
 protected:
  typedef ToyHeadLayer<float> Head;
  void TearDown() override { Head::most = 2; }

  /// Compares the passes with those of a net whose layers take none.
  void check(const string& text, const Passes& passes, Phase phase = TRAIN) {
    Head::most = 0;
    const auto expected = run(text, passes, phase);
    for (const Gradient gradients : {Gradient::kTogether, Gradient::kAgain}) {
      for (const size_t most : {1, 2}) {
        Head::most = most;
        Head::gradients = gradients;
        Head::passes_together = Head::passes_again = 0;
        const auto found = run(text, passes, phase);
        ASSERT_EQ(found.size(), expected.size());
        for (size_t i = 0; i < found.size(); ++i) {
          ASSERT_EQ(found[i].size(), expected[i].size());
          for (size_t k = 0; k < found[i].size(); ++k) {
            EXPECT_NEAR(found[i][k], expected[i][k], 1e-5 * std::abs(expected[i][k]) + 1e-6)
                << "blob " << i / 2 << (i % 2 ? " gradient " : " value ") << k << ", takes "
                << most;
          }
        }
      }
    }
  }

  /// The same for a head in place and one that is not.
  void check_both(const Passes& passes, const string& of_scale = "", const string& behind = "") {
    for (const bool in_place : {false, true}) check(chain(in_place, of_scale, behind), passes);
  }
};

void whole(Net<float>* net) {
  net->ForwardBackward();
}

class BehindRelu : public ::testing::Test {
 protected:
  typedef ToyBehindReluLayer<float> Layer;
  void TearDown() override { Layer::takes = true; }
  /// Compares with the passes of a net whose layers take none; `times`: how often it took one.
  static void check(const string& text, const Passes& passes, int times) {
    Layer::takes = false;
    const auto expected = run(text, passes, TRAIN);
    Layer::takes = true;
    Layer::taken = 0;
    EXPECT_EQ(run(text, passes, TRAIN), expected);
    EXPECT_EQ(Layer::taken, times);
  }
};

}  // namespace

TEST_F(NetChainsTest, WholePassesRunTogether) {
  check_both(whole);
  check(chain(true), whole, TEST);
  Head::gradients = Gradient::kTogether;
  Head::passes_together = Head::passes_again = 0;
  run(chain(true), whole, TRAIN);
  EXPECT_EQ(Head::passes_together, 1);
  EXPECT_EQ(Head::passes_again, 0);
}

TEST_F(NetChainsTest, ManyPassesRunTogether) {
  check_both([](Net<float>* net) {
    for (int i = 0; i < 3; ++i) net->ForwardBackward();
    net->Backward();
    net->Backward();
  });
}

/// Also behind a chain: what changes the blob in place after it stays.
TEST_F(NetChainsTest, LayersInPlaceBehindItKeepTheirValues) {
  const string behind = in_place("twice", "Power", "power_param { scale: 2 }");
  check_both(whole, "", behind);
  check_both(
      [](Net<float>* net) {
        net->Forward();
        net->BackwardTo(3);
        net->BackwardFromTo(2, 0);
      },
      "", behind);
}

TEST_F(NetChainsTest, ForwardPassesMayEndAndBeginAnywhere) {
  for (int end = 1; end <= 5; ++end) {
    check_both([end](Net<float>* net) {
      net->ForwardTo(end);
      net->ForwardFrom(end + 1);
      net->Backward();
    });
    check_both([end](Net<float>* net) { net->ForwardTo(end); });
    check_both([end](Net<float>* net) {
      net->Forward();
      net->ForwardFrom(end);
      net->Backward();
    });
  }
}

TEST_F(NetChainsTest, ForwardPassesMayEndAfterAWholeOne) {
  for (int end = 2; end <= 5; ++end) {
    check_both([end](Net<float>* net) {
      net->Forward();
      net->ForwardTo(end);
      net->Backward();
    });
  }
}

TEST_F(NetChainsTest, BackwardPassesMayEndAndBeginAnywhere) {
  for (int end = 1; end <= 5; ++end) {
    check_both([end](Net<float>* net) {
      net->Forward();
      net->BackwardTo(end);
      net->BackwardFromTo(end - 1, 0);
      net->ForwardBackward();
    });
    check_both([end](Net<float>* net) {
      net->Forward();
      net->BackwardTo(end);
    });
    check_both([end](Net<float>* net) {
      net->Forward();
      net->BackwardTo(4);
      net->BackwardFromTo(end, 1);
    });
  }
}

TEST_F(NetChainsTest, APassOverAPartMakesTheHeadRunAgain) {
  Head::gradients = Gradient::kTogether;
  Head::passes_together = Head::passes_again = 0;
  run(
      chain(true),
      [](Net<float>* net) {
        net->Forward();
        net->BackwardTo(3);
        net->BackwardFromTo(2, 0);
      },
      TRAIN);
  EXPECT_EQ(Head::passes_together, 0);
  EXPECT_EQ(Head::passes_again, 1);
}

TEST_F(NetChainsTest, WatchersSeeEveryLayer) {
  Watcher watcher;
  check_both([&watcher](Net<float>* net) {
    net->Forward();
    net->add_after_backward(&watcher);
    net->Backward();
    net->ForwardBackward();
  });
  EXPECT_EQ(Head::passes_together, 0);
  Head::passes_again = 0;
  run(
      chain(false),
      [&watcher](Net<float>* net) {
        net->add_before_forward(&watcher);
        net->ForwardBackward();
      },
      TRAIN);
  EXPECT_EQ(Head::passes_together + Head::passes_again, 0) << "nothing was offered";
}

TEST_F(NetChainsTest, LearnsWhatTheNetSays) {
  const string frozen = "param { lr_mult: 0 } ";
  for (const string& of_scale : {frozen, "param { } " + frozen, frozen + "param { } "}) {
    check_both(whole, of_scale);
  }
  check_both(whole, "propagate_down: false ");
}

/// Nothing below the Scale learns: its gradients alone are computed.
TEST_F(NetChainsTest, LearnsAboveFrozenLayers) {
  const string text = chain(true);
  const string first = toy_weights("first", "data", "y");
  const string frozen =
      toy_weights("first", "data", "y", "param { lr_mult: 0 } param { lr_mult: 0 } ");
  string changed = text;
  changed.replace(text.find(first), first.size(), frozen);
  check(changed, whole);
  Head::gradients = Gradient::kTogether;
  Head::passes_together = 0;
  run(changed, whole, TRAIN);
  EXPECT_EQ(Head::passes_together, 1);
}

/// A ReLU that lets no gradient through leaves the Scale without one.
TEST_F(NetChainsTest, StopsWhereTheGradientStops) {
  string text = chain(true);
  const string relu = in_place("relu", "ReLU");
  text.replace(text.find(relu), relu.size(), in_place("relu", "ReLU", "propagate_down: false"));
  check(text, whole);
}

TEST_F(BehindRelu, WholePasses) {
  const string text = behind_relu(in_place("relu", "ReLU"));
  check(text, whole, 1);
  check(
      text,
      [](Net<float>* net) {
        for (int i = 0; i < 3; ++i) net->ForwardBackward();
        net->Backward();
      },
      4);
}

TEST_F(BehindRelu, PassesOverAPart) {
  for (int end = 1; end <= 5; ++end) {
    check(
        behind_relu(in_place("relu", "ReLU")),
        [end](Net<float>* net) {
          net->Forward();
          net->BackwardTo(end);
          net->BackwardFromTo(end - 1, 0);
        },
        end == 3 ? 0 : 1);
  }
}

TEST_F(BehindRelu, OnlyAPlainReluThatNobodySees) {
  const string relu = in_place("relu", "ReLU");
  check(behind_relu(in_place("relu", "ReLU", "relu_param { negative_slope: 0.5 }")), whole, 0);
  check(behind_relu(in_place("bent_too", "Sigmoid")), whole, 0);
  check(behind_relu(in_place("relu", "ReLU", "propagate_down: false")), whole, 0);
  check(behind_relu(relu + toy_weights("other", "y", "v") + toy_loss("second", "v")), whole, 0);
  const string frozen = "param { lr_mult: 0 } param { lr_mult: 0 } ";
  string text = behind_relu(relu);
  const string first = toy_weights("first", "data", "y");
  text.replace(text.find(first), first.size(), toy_weights("first", "data", "y", frozen));
  check(text, whole, 0);
  Watcher watcher;
  const Passes watched = [&watcher](Net<float>* net) {
    net->add_before_backward(&watcher);
    net->ForwardBackward();
  };
  check(behind_relu(relu), watched, 0);
}

TEST_F(NetChainsTest, FollowsAnotherBatchSize) {
  check_both([](Net<float>* net) {
    net->ForwardBackward();
    net->input_blobs()[0]->Reshape({4, 3});
    for (int i = 0; i < 12; ++i) net->input_blobs()[0]->mutable_cpu_data()[i] = 0.2f * i - 1;
    net->Forward();
    net->BackwardTo(3);
    net->BackwardFromTo(2, 0);
  });
}

}  // namespace caffe
