// A BatchNorm and the layers behind it that it computes with its own work (caffe/util/affine_norm):
// what they give one by one. The nets with callbacks have nothing offered to their layers.

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "caffe/layer_factory.hpp"
#include "caffe/layers/takes_followers.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/value_format.hpp"
#include "kernels/half.hpp"
#include "tests/cpp/devices.hpp"
#include "toy_net.hpp"

namespace caffe {
namespace {

/// A BatchNorm in place on "a" or from "a" to "y", and what is behind it.
struct Case {
  bool in_place, frozen;
  std::string behind;  // of the names below
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << (one.in_place ? "in place, " : "out of place, ") << (one.frozen ? "frozen, " : "learnt, ")
       << one.behind;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const bool in_place : {true, false}) {
    for (const bool frozen : {true, false}) {
      for (const char* const behind :
           {"Scale ReLU", "Scale", "ReLU", "NoBias ReLU", "Fixed ReLU", "OnlyBias ReLU", ""}) {
        all.push_back({in_place, frozen, behind});
      }
    }
  }
  return all;
}

std::string layer(const std::string& name, const std::string& type, const std::string& bottom,
                  const std::string& top, const std::string& rest = "") {
  return "layer { name: '" + name + "' type: '" + type + "' bottom: '" + bottom + "' top: '" + top +
         "' " + rest + " } ";
}

std::string behind_layer(const std::string& name, const std::string& y) {
  const std::string random = "filler { type: 'uniform' min: -1 max: 1 } ";
  const std::string scale = "scale_param { " + random + "bias_term: true bias_" + random + "} ";
  const std::string learns = "param { } ", not_at_all = "param { lr_mult: 0 } ";
  if (name == "Scale") return layer(name, "Scale", y, y, scale);
  if (name == "NoBias") return layer(name, "Scale", y, y, "scale_param { " + random + "} ");
  if (name == "Fixed") return layer(name, "Scale", y, y, not_at_all + not_at_all + scale);
  if (name == "OnlyBias") return layer(name, "Scale", y, y, not_at_all + learns + scale);
  if (name == "Rows") return layer(name, "Scale", y, y, "scale_param { axis: 2 num_axes: 1 } ");
  if (name == "Leaky") return layer(name, "ReLU", y, y, "relu_param { negative_slope: 0.5 } ");
  return layer(name, name, y, y);
}

/// Layers: 0 input, 1 a, 2 norm, those behind it, and z.
std::string text_of(const Case& one, const std::string& shape = "dim: 3 dim: 5 dim: 4 dim: 6",
                    const std::string& of_a = "") {
  const std::string y = one.in_place ? "a" : "y";
  std::string text = "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { " + shape +
                     " } } } " +
                     layer("a", "Scale", "x", "a",
                           of_a + "scale_param { filler { type: 'uniform' min: 0.5 max: 2 } } ") +
                     layer("norm", "BatchNorm", "a", y,
                           one.frozen ? "batch_norm_param { use_global_stats: true } " : "");
  std::istringstream names(one.behind);
  for (std::string name; names >> name;) text += behind_layer(name, y);
  return text + layer("z", "Power", y, "z", "power_param { scale: 3 } ");
}

struct Watcher : Net<float>::Callback, Net<double>::Callback {
  void run(int) override {}
};

template <typename TypeParam>
class BatchNormChain : public DeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  typedef std::unique_ptr<Net<Dtype>> NetPtr;

  NetPtr make(const std::string& text) {
    Caffe::set_random_seed(5);
    NetPtr net = make_net<Dtype>(text);
    fill_input(net.get(), 1);
    const auto& statistics = net->layer_by_name("norm")->blobs();
    for (int i = 0; i < statistics[1]->count(); ++i) {
      statistics[0]->mutable_cpu_data()[i] = Dtype(0.1) * i;
      statistics[1]->mutable_cpu_data()[i] = 1 + Dtype(0.1) * i;
    }
    statistics[2]->mutable_cpu_data()[0] = 2;
    return net;
  }
  /// The same, and its layers run one by one.
  NetPtr make_apart(const std::string& text) {
    NetPtr net = make(text);
    net->add_before_forward(&watcher_);
    return net;
  }
  static void backward(Net<Dtype>* net, int seed = 2) {
    Blob<Dtype>* const z = net->output_blobs()[0];
    fill(z->mutable_cpu_diff(), z->count(), seed);
    net->Backward();
  }
  static void fill_input(Net<Dtype>* net, int seed) {
    Blob<Dtype>* const x = net->input_blobs()[0];
    fill(x->mutable_cpu_data(), x->count(), seed);
  }
  static void fill(Dtype* to, int count, int seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (int i = 0; i < count; ++i) to[i] = static_cast<Dtype>(uniform(random));
  }
  /// Whether the net's BatchNorm took that many layers; a plain one on a CPU takes none.
  static void expect_taken(const Net<Dtype>& net, size_t count) {
    const auto& head = dynamic_cast<const TakesFollowers<Dtype>&>(*net.layers()[2]);
    EXPECT_EQ(head.taken(), TypeParam::mode == Caffe::GPU ? count : 0);
  }
  static void expect_near(const Dtype* found, const Dtype* expected, int count,
                          const std::string& what) {
    double scale = 1;
    for (int i = 0; i < count; ++i) scale = std::max(scale, std::abs(double(expected[i])));
    // The terms of a gradient before a BatchNorm cancel: it does not see its bottom's scale.
    const double tolerance = std::is_same<Dtype, float>::value ? 5e-5 : 1e-12;
    for (int i = 0; i < count; ++i) {
      ASSERT_NEAR(found[i], expected[i], tolerance * scale) << what << ", element " << i;
    }
  }
  static void expect_same_params(const Net<Dtype>& net, const Net<Dtype>& apart) {
    for (size_t i = 0; i < net.params().size(); ++i) {
      const Blob<Dtype>&a = *net.params()[i], &b = *apart.params()[i];
      expect_near(a.cpu_data(), b.cpu_data(), a.count(), "param " + std::to_string(i));
      expect_near(a.cpu_diff(), b.cpu_diff(), a.count(), "gradient of param " + std::to_string(i));
    }
  }
  static void expect_same(const Net<Dtype>& net, const Net<Dtype>& apart) {
    for (size_t i = 0; i < net.blobs().size(); ++i) {
      const Blob<Dtype>&a = *net.blobs()[i], &b = *apart.blobs()[i];
      EXPECT_EQ(values(a), values(b)) << net.blob_names()[i];
      expect_near(a.cpu_diff(), b.cpu_diff(), a.count(), "gradient of " + net.blob_names()[i]);
    }
    expect_same_params(net, apart);
  }

  Watcher watcher_;
};
TYPED_TEST_SUITE(BatchNormChain, DtypesAndDevices);

/// Every layer gets and learns all gradients.
const char kForce[] = "force_backward: true ";

/// With a loss, so that each layer learns what its fields say.
std::string with_loss(const Case& one, const std::string& of_a = "") {
  return text_of(one, "dim: 3 dim: 5 dim: 4 dim: 6", of_a) +
         layer("sum", "Reduction", "z", "loss", "loss_weight: 1 ");
}

}  // namespace

TYPED_TEST(BatchNormChain, TakesTheLayersBehindIt) {
  for (const Case& one : cases()) {
    for (const char* const shape : {"dim: 3 dim: 5 dim: 4 dim: 6", "dim: 9 dim: 5",
                                    "dim: 2 dim: 1 dim: 7", "dim: 2 dim: 3 dim: 2 dim: 2 dim: 5"}) {
      SCOPED_TRACE(::testing::PrintToString(one) + ", " + shape);
      const auto net = this->make(kForce + text_of(one, shape));
      const auto apart = this->make_apart(kForce + text_of(one, shape));
      for (int iteration = 0; iteration < 2; ++iteration) {
        for (const auto* const each : {&net, &apart}) {
          (*each)->Forward();
          this->backward(each->get());
        }
        this->expect_taken(*net, net->layers().size() - 4);
        this->expect_taken(*apart, 0);
        this->expect_same(*net, *apart);
      }
      for (const auto* const each : {&net, &apart}) this->backward(each->get(), 3);
      this->expect_same(*net, *apart);
      if (this->HasFatalFailure()) return;
    }
  }
}

TYPED_TEST(BatchNormChain, TakesNoOtherLayers) {
  const struct {
    std::string behind;
    size_t taken;
  } all[] = {{"Rows ReLU", 0},    {"Leaky", 0},        {"Scale Leaky", 1},
             {"Sigmoid ReLU", 0}, {"ReLU Dropout", 1}, {"Scale ReLU Dropout", 2}};
  for (const auto& each : all) {
    for (const bool in_place : {true, false}) {
      const Case one = {in_place, false, each.behind};
      SCOPED_TRACE(::testing::PrintToString(one));
      const auto net = this->make(kForce + text_of(one));
      const auto apart = this->make_apart(kForce + text_of(one));
      for (const auto* const net_of : {&net, &apart}) {
        Caffe::set_random_seed(8);
        (*net_of)->Forward();
        this->backward(net_of->get());
      }
      this->expect_taken(*net, each.taken);
      this->expect_same(*net, *apart);
    }
  }
}

/// As one by one; and the averages count each pass once.
TYPED_TEST(BatchNormChain, StaysRightInPassesOverParts) {
  for (const Case& one : cases()) {
    for (const std::string& text : {kForce + text_of(one), with_loss(one)}) {
      for (int cut = 2; cut <= 5; ++cut) {
        SCOPED_TRACE(::testing::PrintToString(one) + ", cut at " + std::to_string(cut));
        const auto net = this->make(text);
        const auto apart = this->make_apart(text);
        if (cut >= static_cast<int>(net->layers().size())) continue;
        for (const auto* const each : {&net, &apart}) {
          (*each)->Forward();
          this->backward(each->get());
          (*each)->BackwardTo(cut);
        }
        this->expect_same(*net, *apart);
        for (const auto* const each : {&net, &apart}) (*each)->BackwardFromTo(cut - 1, 0);
        this->expect_same(*net, *apart);
        for (const auto* const each : {&net, &apart}) (*each)->ForwardTo(cut - 1);
        this->expect_same(*net, *apart);
        for (const auto* const each : {&net, &apart}) {
          (*each)->ForwardFrom(cut);
          this->backward(each->get(), 4);
        }
        this->expect_same(*net, *apart);
        if (this->HasFatalFailure()) return;
      }
    }
  }
}

/// As one by one, where the layers behind the end keep what they have from the pass before.
TYPED_TEST(BatchNormChain, MayBeWhereAForwardPassEnds) {
  for (const Case& one : cases()) {
    for (int end = 2; end <= 4; ++end) {
      SCOPED_TRACE(::testing::PrintToString(one) + ", ends at " + std::to_string(end));
      const auto net = this->make(kForce + text_of(one));
      const auto apart = this->make_apart(kForce + text_of(one));
      if (end + 1 >= static_cast<int>(net->layers().size())) continue;
      for (int seed = 1; seed <= 3; ++seed) {
        for (const auto* const each : {&net, &apart}) {
          (*each)->Forward();
          this->fill_input(each->get(), seed);
          (*each)->ForwardTo(end);
          this->backward(each->get());
        }
        this->expect_same(*net, *apart);
      }
      if (this->HasFatalFailure()) return;
    }
  }
}

/// The input that the Scale learns from is that of its own last pass.
TYPED_TEST(BatchNormChain, LearnsFromTheLastPassOfEachLayer) {
  for (const bool in_place : {true, false}) {
    for (const bool frozen : {true, false}) {
      for (const bool together : {true, false}) {
        const std::string text = kForce + text_of({in_place, frozen, "Scale"});
        SCOPED_TRACE(text + (together ? ", together" : ", apart"));
        const auto net = together ? this->make(text) : this->make_apart(text);
        const Blob<typename TypeParam::Dtype>& learnt = *net->layers()[3]->blobs()[0];
        net->Forward();
        this->backward(net.get());
        const auto expected = gradient(learnt);
        this->fill_input(net.get(), 9);
        net->ForwardTo(2);
        net->ClearParamDiffs();
        this->backward(net.get());
        for (size_t i = 0; i < expected.size(); ++i) {
          EXPECT_NEAR(gradient(learnt)[i], expected[i], 1e-4) << i;
        }
      }
    }
  }
}

/// Layers that have nothing of the present shape say so, and the next whole pass helps.
TYPED_TEST(BatchNormChain, ForgetsPassesOfAnotherShape) {
  for (const Case& one : cases()) {
    for (const bool once_apart : {false, true}) {
      SCOPED_TRACE(::testing::PrintToString(one) + (once_apart ? ", once apart" : ""));
      const auto net = this->make(kForce + text_of(one));
      const auto apart = this->make_apart(kForce + text_of(one));
      const bool learns = one.behind.compare(0, 4, "ReLU") != 0 && !one.behind.empty();
      for (const auto* const each : {&net, &apart}) {
        if (once_apart) {
          (*each)->ForwardTo(2);
          (*each)->ForwardFrom(3);
        }
        (*each)->Forward();
        (*each)->input_blobs()[0]->Reshape({40, 5, 4, 6});
        (*each)->Reshape();
        this->fill_input(each->get(), 4);
        (*each)->ForwardTo(2);
        const std::string error = error_of([&] { this->backward(each->get()); });
        EXPECT_EQ(contains(error, "a backward pass needs a forward pass"), learns) << error;
        (*each)->Forward();
        (*each)->ClearParamDiffs();
        this->backward(each->get());
      }
      this->expect_same(*net, *apart);
      if (this->HasFatalFailure()) return;
    }
  }
}

/// Where the values that a chain would need are gone, a pass over a part of it still runs.
TYPED_TEST(BatchNormChain, MayBeWhereAForwardPassEndsWithoutItsValues) {
  for (const Case& one : cases()) {
    SCOPED_TRACE(::testing::PrintToString(one));
    const auto net = this->make(with_loss(one)), apart = this->make_apart(with_loss(one));
    net->KeepOnly({});
    for (const auto* const each : {&net, &apart}) {
      (*each)->ForwardBackward();
      (*each)->ForwardTo(2);
      (*each)->ForwardBackward();
    }
    this->expect_same_params(*net, *apart);
  }
}

TYPED_TEST(BatchNormChain, LearnsWhatTheNetSays) {
  const std::string frozen = "param { lr_mult: 0 } ";
  for (const Case& one : cases()) {
    for (const std::string& of_a : {std::string(), frozen}) {
      SCOPED_TRACE(::testing::PrintToString(one) + ", " + of_a);
      const std::string text = with_loss(one, of_a);
      const auto net = this->make(text), apart = this->make_apart(text);
      for (int iteration = 0; iteration < 2; ++iteration) {
        for (const auto* const each : {&net, &apart}) {
          (*each)->Forward();
          (*each)->Backward();
        }
        this->expect_same(*net, *apart);
      }
    }
  }
}

/// With values and gradients that nobody reads; and then over a part of the layers.
TYPED_TEST(BatchNormChain, NeedsNothingInBetween) {
  for (const Case& one : cases()) {
    SCOPED_TRACE(::testing::PrintToString(one));
    const auto net = this->make(with_loss(one)), apart = this->make_apart(with_loss(one));
    net->KeepOnly({});
    const int last = static_cast<int>(net->layers().size()) - 1;
    for (int iteration = 0; iteration < 2; ++iteration) {
      for (const auto* const each : {&net, &apart}) {
        (*each)->Forward();
        (*each)->Backward();
      }
      this->expect_taken(*net, net->layers().size() - 5);
      this->expect_same_params(*net, *apart);
    }
    for (const auto* const each : {&net, &apart}) {
      (*each)->Forward();
      (*each)->BackwardTo(last - 1);
      if (last - 2 >= 3) (*each)->BackwardFromTo(last - 2, 3);
      (*each)->BackwardFromTo(2, 0);
    }
    this->expect_same_params(*net, *apart);
  }
}

/// A value that is no number is not hidden.
TYPED_TEST(BatchNormChain, KeepsNaN) {
  const Case one = {true, true, "Scale ReLU"};
  const auto net = this->make(kForce + text_of(one));
  net->input_blobs()[0]->mutable_cpu_data()[7] = std::nanf("");
  net->Forward();
  EXPECT_TRUE(std::isnan(net->blob_by_name("z")->cpu_data()[7]));
  EXPECT_FALSE(std::isnan(net->blob_by_name("z")->cpu_data()[8]));
}

/// Values of 16 bits, on a GPU.
template <typename T>
class BatchNormChainInHalf : public GpuTest {
 protected:
  /// A BatchNorm, Scale and ReLU on one blob, together or one by one.
  struct Chain {
    Chain(bool frozen, bool together) {
      const std::string random = "filler { type: 'uniform' min: -1 max: 1 } ";
      add("type: 'BatchNorm' batch_norm_param { use_global_stats: " +
          std::string(frozen ? "true" : "false") + " }");
      add("type: 'Scale' scale_param { bias_term: true " + random + "bias_" + random + "}");
      add("type: 'ReLU'");
      Caffe::set_random_seed(5);
      fill(x.mutable_cpu_data(), 1);
      for (const auto& each : layers) each->SetUp({&x}, {&x});
      if (frozen) {
        const auto& blobs = layers[0]->blobs();
        caffe_set(blobs[1]->count(), 0.5f, blobs[1]->mutable_cpu_data());
        blobs[2]->mutable_cpu_data()[0] = 1;
      }
      turn(false);
      pass(together, false);
      data = stored(false);
      fill(x.mutable_cpu_diff(), 2);
      turn(true);
      pass(together, true);
      gradient = stored(true);
    }
    void add(const std::string& text) {
      LayerParameter param;
      ReadProtoFromText("name: 'chain' phase: TRAIN " + text, "test", &param);
      layers.push_back(LayerRegistry<float>::CreateLayer(param));
    }
    void fill(float* to, int seed) const {
      std::mt19937 random(seed);
      std::uniform_real_distribution<float> uniform(-1, 1);
      for (int i = 0; i < x.count(); ++i) to[i] = T(uniform(random));
    }
    /// From now on x has 16 bits alone.
    void turn(bool diff) {
      diff ? values.diff(x) : values.data(x);
      diff ? values.mutable_diff(&x) : values.mutable_data(&x);
    }
    std::vector<float> stored(bool diff) const {
      EXPECT_EQ((diff ? diff_format(x) : data_format(x)).type, type_of<T>());
      Blob<float> copy(x.shape());
      half_to_nchw(x.shape(), type_of<T>(), diff ? values.diff(x) : values.data(x),
                   copy.mutable_gpu_data());
      return std::vector<float>(copy.cpu_data(), copy.cpu_data() + copy.count());
    }
    void pass(bool together, bool back) {
      typedef TakesFollowers<float> Head;
      const std::vector<Layer<float>*> behind = {layers[1].get(), layers[2].get()};
      if (together) {
        Head* const head = dynamic_cast<Head*>(layers[0].get());
        const typename Head::Scope scope(head, behind, false);
        run(0, back);
        EXPECT_EQ(head->taken(), 2u);
        return;
      }
      for (int i = 0; i < 3; ++i) run(back ? 2 - i : i, back);
    }
    void run(int i, bool back) {
      if (back) {
        layers[i]->Backward({&x}, {true}, {&x});
      } else {
        layers[i]->ForwardWithoutLoss({&x}, {&x});
      }
    }

    const Values<float, T> values{Order::kNhwc};
    std::vector<std::shared_ptr<Layer<float>>> layers;
    Blob<float> x{std::vector<int>{3, 19, 5, 4}};
    std::vector<float> data, gradient;
  };
};
typedef ::testing::Types<Float16, Bfloat16> Halves;
TYPED_TEST_SUITE(BatchNormChainInHalf, Halves);

/// The gradient has one rounding instead of three.
TYPED_TEST(BatchNormChainInHalf, IsThatOfTheLayersOneByOne) {
  const double unit = std::is_same<TypeParam, Float16>::value ? 1. / 2048 : 1. / 256;
  for (const bool frozen : {false, true}) {
    typedef typename BatchNormChainInHalf<TypeParam>::Chain Chain;
    const Chain together(frozen, true), apart(frozen, false);
    EXPECT_EQ(together.data, apart.data) << "frozen " << frozen;
    double most = 0;
    for (const float value : apart.gradient) most = std::max<double>(most, std::abs(value));
    for (size_t i = 0; i < apart.gradient.size(); ++i) {
      ASSERT_NEAR(together.gradient[i], apart.gradient[i], 3 * unit * most) << i;
    }
    for (int i = 0; i < 2; ++i) {
      const Blob<float>&a = *together.layers[1]->blobs()[i], &b = *apart.layers[1]->blobs()[i];
      for (int c = 0; c < a.count(); ++c) {
        EXPECT_NEAR(a.cpu_diff()[c], b.cpu_diff()[c], 1e-5 * 60) << "blob " << i << ", " << c;
      }
    }
  }
}

}  // namespace caffe
