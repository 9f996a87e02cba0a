#include "caffe/net_liveness.hpp"

#include <algorithm>
#include <numeric>

#include "caffe/layers/keeps_weights.hpp"
#include "caffe/layers/neuron_layer.hpp"
#include "caffe/util/buffer_cache.hpp"
#include "tests/cpp/devices.hpp"
#include "toy_net.hpp"
#include "training_nets.hpp"

namespace caffe {

/// A layer that is not of the engine's library: a copy.
template <typename Dtype>
class OutsideLayer : public NeuronLayer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using NeuronLayer<Dtype>::NeuronLayer;
  const char* type() const override { return "Outside"; }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override { top[0]->CopyFrom(*bottom[0]); }
  void Backward_cpu(const Blobs&, const std::vector<bool>&, const Blobs&) override {}
};
REGISTER_LAYER_CLASS(Outside);

namespace {

/// What comes back is full of NaN, so that a value that was given up too early is seen.
class NetLiveness : public ::testing::Test {
 protected:
  void SetUp() override { BufferCache::poison(true); }
  void TearDown() override { BufferCache::poison(false); }
};

string layer(const string& type, const string& bottom, const string& top, const string& more = "") {
  string text = "layer { name: '" + top + "_" + type + "' type: '" + type + "' ";
  for (const string& list : {bottom + "/bottom", top + "/top"}) {
    const string field = list.substr(list.find('/') + 1);
    std::istringstream names(list.substr(0, list.find('/')));
    for (string name; names >> name;) text += field + ": '" + name + "' ";
  }
  return text + more + "} ";
}

string conv(const string& bottom, const string& top, int outputs, const string& more = "") {
  return layer("Convolution", bottom, top,
               "convolution_param { num_output: " + std::to_string(outputs) +
                   " kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } } " + more);
}

string sum(const string& bottom, const string& top) {
  return layer("Eltwise", bottom, top, "eltwise_param { operation: SUM }");
}

/// 4 images of 3 x 24 x 24: blobs large enough for the cache.
const char kImages[] =
    "layer { name: 'input' type: 'Input' top: 'data' top: 'label' input_param { "
    "shape { dim: 4 dim: 3 dim: 24 dim: 24 } shape { dim: 4 } } } ";

/// Shared blobs, work in place, branches, and layers that share or keep memory.
string many_layers() {
  const string pool = "pooling_param { kernel_size: 2 stride: 2 } ";
  const string scores = "inner_product_param { num_output: 3 weight_filler { type: 'xavier' } } ";
  return string(kImages) + conv("data", "c1", 32) + layer("ReLU", "c1", "c1") +
         layer("LRN", "c1", "n1") + conv("n1", "c2", 32) + layer("BatchNorm", "c2", "c2") +
         layer("Scale", "c2", "c2", "scale_param { bias_term: true }") + layer("ReLU", "c2", "c2") +
         sum("n1 c2", "s1") + layer("ReLU", "s1", "s1") + conv("s1", "c3", 32) +
         layer("BatchNorm", "c3", "b3") + layer("PReLU", "b3", "p3") + sum("s1 p3", "s2") +
         layer("Slice", "s2", "left right") + layer("Sigmoid", "left", "l1") +
         layer("TanH", "right", "r1") + layer("Concat", "l1 r1", "joined") +
         layer("Dropout", "joined", "joined") + layer("Enhancement", "joined", "joined") +
         layer("Pooling", "joined", "q", pool) +
         layer("Power", "q", "w", "power_param { scale: 0.5 shift: 1 }") + layer("ELU", "w", "e") +
         layer("Pooling", "e", "a", "pooling_param { pool: AVE kernel_size: 2 stride: 2 } ") +
         layer("Flatten", "a", "f") +
         layer("Reshape", "f", "g", "reshape_param { shape { dim: 0 dim: 8 dim: -1 } } ") +
         layer("Split", "g", "g1 g2") + layer("Silence", "g2", "") +
         layer("InnerProduct", "g1", "scores", scores) +
         layer("InnerProduct", "f", "aside", scores) + layer("Softmax", "aside", "chances") +
         layer("AbsVal", "chances", "sizes") + layer("Accuracy", "scores label", "accuracy") +
         layer("SoftmaxWithLoss", "aside label", "loss2", "loss_weight: 0.5 ") +
         layer("SoftmaxWithLoss", "scores label", "loss");
}

/// The lowest layer that learns is in place, behind two that do not.
string frozen_layers() {
  const string frozen = "param { lr_mult: 0 } param { lr_mult: 0 } ";
  return string(kImages) + conv("data", "c0", 32, frozen) + conv("c0", "c1", 32, frozen) +
         layer("BatchNorm", "c1", "c1", "batch_norm_param { use_global_stats: true eps: 1 }") +
         layer("Scale", "c1", "c1", "scale_param { bias_term: true }") + layer("ReLU", "c1", "c1") +
         conv("c1", "c2", 16) +
         layer("BatchNorm", "c2", "c2", "batch_norm_param { use_global_stats: true eps: 1 }") +
         layer("Scale", "c2", "c2", "scale_param { bias_term: true }") + layer("ReLU", "c2", "c2") +
         layer("InnerProduct", "c2", "scores",
               "inner_product_param { num_output: 3 weight_filler { type: 'xavier' } } ") +
         layer("SoftmaxWithLoss", "scores label", "loss");
}

/// KeepOnly allows a net's convolutions to scale their weights, which changes the last bits. This
/// allows it in a net that keeps all its blobs.
template <typename Dtype>
void allow_keeping_weights(const Net<Dtype>& net) {
  for (const auto& layer : net.layers()) {
    if (auto* const keeper = dynamic_cast<KeepsWeights*>(layer.get())) keeper->allow_keeping();
  }
}

/// The weights after three iterations, and the values of the outputs; a test runs before each.
template <typename Dtype>
std::vector<Dtype> trained(const string& net, bool keeps_all, const string& solver = "") {
  const string more = "momentum: 0.9 base_lr: 0.01 test_iter: 1 test_interval: 1 " + solver;
  const auto run = make_solver<Dtype>(solver_param(net, more));
  if (!keeps_all) {
    run->net()->KeepOnly({});
    for (const auto& test : run->test_nets()) test->KeepOnly({});
  }
  for (const auto& test : run->test_nets()) {
    allow_keeping_weights(*test);
    fill_images(test.get(), 9);
  }
  for (int i = 0; i < 3; ++i) {
    fill_images(run->net().get(), i);
    const QuietLog quiet;
    run->Step(1);
  }
  std::vector<Dtype> all = weights(run.get());
  for (const auto& one : {run->net(), run->test_nets()[0]}) {
    for (const Blob<Dtype>* output : one->output_blobs()) {
      all.insert(all.end(), output->cpu_data(), output->cpu_data() + output->count());
    }
  }
  return all;
}

template <typename Dtype>
bool has_values(const Net<Dtype>& net, const string& blob) {
  return !net.blob_by_name(blob)->data()->is_given_up();
}

/// A net of which the values of a, b and c are given up when it tests.
const string chain = string(kImages) + layer("AbsVal", "data", "a") + layer("AbsVal", "a", "b") +
                     layer("AbsVal", "b", "c") + layer("AbsVal", "c", "d") +
                     layer("Silence", "label", "");

class Watcher : public Net<float>::Callback {
 protected:
  void run(int) override {}
};

}  // namespace

template <typename TypeParam>
class NetLivenessTraining : public DeviceTest<TypeParam> {
 protected:
  void SetUp() override {
    DeviceTest<TypeParam>::SetUp();
    BufferCache::poison(true);
  }
  void TearDown() override {
    BufferCache::poison(false);
    DeviceTest<TypeParam>::TearDown();
  }
};
TYPED_TEST_SUITE(NetLivenessTraining, DtypesAndDevices);

TYPED_TEST(NetLivenessTraining, GivesTheSameBits) {
  typedef typename TypeParam::Dtype Dtype;
  for (const string& solver : {string(), string("iter_size: 2 "), string("debug_info: true ")}) {
    const auto one = trained<Dtype>(many_layers(), true, solver);
    EXPECT_EQ(one, trained<Dtype>(many_layers(), false, solver)) << solver;
    for (const Dtype value : one) ASSERT_TRUE(std::isfinite(value));
    EXPECT_EQ(trained<Dtype>(frozen_layers(), true, solver),
              trained<Dtype>(frozen_layers(), false, solver))
        << solver;
  }
}

TEST_F(NetLiveness, TestsGiveUpWhatNoLayerReadsAnyMore) {
  const auto net = make_net(chain, TEST);
  net->KeepOnly({"b"});
  fill_images(net.get());
  net->Forward();
  for (const char* const blob : {"data", "label", "b", "d"}) EXPECT_TRUE(has_values(*net, blob));
  for (const char* const blob : {"a", "c"}) {
    EXPECT_FALSE(has_values(*net, blob)) << blob;
    EXPECT_ERROR(net->blob_by_name(blob)->cpu_data(), "name the blob in Net::KeepOnly");
  }
}

TEST_F(NetLiveness, TrainingGivesUpWhatTheBackwardPassHasRead) {
  const auto net = make_net(many_layers());
  net->KeepOnly({});
  fill_images(net.get());
  net->Forward();
  for (const char* const blob : {"c1", "c2", "s1", "a"})
    EXPECT_TRUE(has_values(*net, blob)) << blob;
  for (const char* const blob : {"chances", "s2", "q"})
    EXPECT_FALSE(has_values(*net, blob)) << blob;
  net->Backward();
  for (const char* const blob : {"c1", "c2", "s2", "a"}) {
    EXPECT_FALSE(has_values(*net, blob)) << blob;
    EXPECT_TRUE(net->blob_by_name(blob)->diff()->is_given_up()) << blob;
  }
  for (const char* const blob : {"data", "loss", "accuracy"}) EXPECT_TRUE(has_values(*net, blob));
  EXPECT_ERROR(net->Backward(), "run forward again before backward");
  net->ForwardBackward();
}

TEST_F(NetLiveness, NothingIsGivenUpWhileSomebodyWatches) {
  for (const bool by_callback : {false, true}) {
    const auto net = make_net(chain, TEST);
    net->KeepOnly({});
    Watcher watcher;
    if (by_callback) net->add_after_forward(&watcher);
    net->set_debug_info(!by_callback);
    const QuietLog quiet;
    net->Forward();
    for (const char* const blob : {"a", "b", "c"}) EXPECT_TRUE(has_values(*net, blob)) << blob;
  }
}

TEST_F(NetLiveness, CallbacksAreOfEveryLayer) {
  struct Counter : public Net<float>::Callback {
    void run(int layer) override { layers.push_back(layer); }
    std::vector<int> layers;
  };
  const auto net = make_net(many_layers());
  net->KeepOnly({});
  fill_images(net.get());
  Counter before, after, down, done;
  net->add_before_forward(&before);
  net->add_after_forward(&after);
  net->add_before_backward(&down);
  net->add_after_backward(&done);
  net->ForwardBackward();
  std::vector<int> all(net->layers().size());
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(before.layers, all);
  EXPECT_EQ(after.layers, all);
  std::reverse(all.begin(), all.end());
  EXPECT_EQ(down.layers, all);
  EXPECT_EQ(done.layers, all);
}

TEST_F(NetLiveness, PassesOverAPartOfTheLayers) {
  const auto net = make_net(chain, TEST);
  net->KeepOnly({});
  fill_images(net.get());
  const int b = net->layer_names_index().at("b_AbsVal");
  net->ForwardTo(b);
  EXPECT_TRUE(has_values(*net, "b"));
  net->ForwardFrom(b + 1);
  EXPECT_EQ(values(*net->blob_by_name("d")), [&] {
    auto data = values(*net->blob_by_name("data"));
    for (double& value : data) value = std::abs(value);
    return data;
  }());
  EXPECT_ERROR(net->ForwardFrom(b + 1),
               "layer 'c_AbsVal' reads blob 'b', whose values were given up");
  net->ForwardFrom(b - 1);
}

TEST_F(NetLiveness, BackwardInParts) {
  const auto whole = make_net(many_layers()), parts = make_net(many_layers());
  for (Net<float>* const net : {whole.get(), parts.get()}) {
    Caffe::set_random_seed(3);
    NetParameter param;
    whole->ToProto(&param);
    net->CopyTrainedLayersFrom(param);
    fill_images(net);
    net->Forward();
  }
  whole->Backward();
  parts->KeepOnly({});
  const int half = parts->layer_names_index().at("s1_Eltwise");
  parts->BackwardTo(half);
  parts->BackwardFrom(half - 1);
  for (size_t i = 0; i < whole->learnable_params().size(); ++i) {
    EXPECT_EQ(gradient(*whole->learnable_params()[i]), gradient(*parts->learnable_params()[i]));
  }
}

/// The sum reads no values in its backward pass, nor do a BatchNorm and a Scale in place: they keep
/// what they need. A pass over a part of them runs them again.
TEST_F(NetLiveness, BranchesOfASumAreGivenUp) {
  const string net =
      string(kImages) + conv("data", "c1", 32) + layer("ReLU", "c1", "c1") + conv("c1", "c2", 32) +
      layer("BatchNorm", "c2", "c2") +
      layer("Scale", "c2", "c2", "scale_param { bias_term: true }") + sum("c1 c2", "s") +
      layer("ReLU", "s", "s") +
      layer("InnerProduct", "s", "scores",
            "inner_product_param { num_output: 3 weight_filler { type: 'xavier' } } ") +
      layer("SoftmaxWithLoss", "scores label", "loss");
  const auto all = make_net(net);
  NetParameter param;
  all->ToProto(&param);
  fill_images(all.get());
  all->ForwardBackward();
  for (const char* const from : {"loss_SoftmaxWithLoss", "c2_Scale", "c2_BatchNorm"}) {
    const auto some = make_net(net);
    some->CopyTrainedLayersFrom(param);
    some->KeepOnly({});
    fill_images(some.get());
    some->Forward();
    EXPECT_FALSE(has_values(*some, "c2"));
    for (const char* const blob : {"c1", "s"}) EXPECT_TRUE(has_values(*some, blob)) << blob;
    const int half = some->layer_names_index().at(from);
    some->BackwardTo(half);
    EXPECT_FALSE(has_values(*some, "c2"));
    some->BackwardFrom(half - 1);
    for (size_t i = 0; i < all->learnable_params().size(); ++i) {
      const auto expected = gradient(*all->learnable_params()[i]);
      const auto found = gradient(*some->learnable_params()[i]);
      for (size_t k = 0; k < expected.size(); ++k) {
        ASSERT_NEAR(found[k], expected[k], 1e-5 * (1 + std::abs(expected[k]))) << from << " " << i;
      }
    }
  }
}

TEST_F(NetLiveness, ATestNetRunsBackwardOnlyIfForced) {
  for (const bool forced : {false, true}) {
    const auto net = make_net(string(forced ? "force_backward: true " : "") + many_layers(), TEST);
    fill_images(net.get());
    net->KeepOnly({});
    net->Forward();
    if (forced) {
      net->Backward();
      EXPECT_GT(net->blob_by_name("data")->asum_diff(), 0);
    } else {
      EXPECT_ERROR(net->Backward(), "force_backward: true");
    }
  }
}

TEST_F(NetLiveness, ShapesMayChange) {
  const auto one = make_net(many_layers(), TEST), other = make_net(many_layers(), TEST);
  NetParameter param;
  one->ToProto(&param);
  other->CopyTrainedLayersFrom(param);
  other->KeepOnly({});
  allow_keeping_weights(*one);
  for (const int images : {4, 2, 7, 3}) {
    for (Net<float>* const net : {one.get(), other.get()}) {
      net->blob_by_name("data")->Reshape(images, 3, 24, 24);
      net->blob_by_name("label")->Reshape({images});
      fill_images(net, images);
      net->Forward();
    }
    EXPECT_EQ(values(*one->blob_by_name("loss")), values(*other->blob_by_name("loss")));
  }
}

TEST_F(NetLiveness, BlobsOfLayersThatAreNotTheEnginesStay) {
  const auto net =
      make_net(string(kToyData) + layer("AbsVal", "data", "a") + layer("Outside", "a", "b") +
                   layer("AbsVal", "b", "c") + layer("AbsVal", "c", "d"),
               TEST);
  net->KeepOnly({});
  net->Forward();
  for (const char* const blob : {"a", "b"}) EXPECT_TRUE(has_values(*net, blob)) << blob;
  EXPECT_FALSE(has_values(*net, "c"));
}

TEST_F(NetLiveness, AHeldArrayStays) {
  const auto net = make_net(chain, TEST);
  net->KeepOnly({});
  fill_images(net.get());
  const std::shared_ptr<void> held = net->blob_by_name("b")->data()->share_cpu_data();
  net->Forward();
  EXPECT_TRUE(has_values(*net, "b"));
  EXPECT_EQ(net->blob_by_name("b")->cpu_data(), held.get());
}

TEST_F(NetLiveness, MemoryOfTheBlobs) {
  const size_t images = sizeof(float) * 4 * 3 * 24 * 24, labels = sizeof(float) * 4;
  const auto net = make_net(chain, TEST);
  EXPECT_EQ(blob_memory(*net).all, 5 * images + labels);
  EXPECT_EQ(blob_memory(*net).most, 5 * images + labels);
  net->KeepOnly({});
  EXPECT_EQ(blob_memory(*net).all, 5 * images + labels);
  EXPECT_EQ(blob_memory(*net).most, 3 * images + labels);  // data, and two of a to d
}

}  // namespace caffe
