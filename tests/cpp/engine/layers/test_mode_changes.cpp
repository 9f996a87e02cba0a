// A forward pass in one mode and the backward pass in the other: the gradients are those of one
// mode. A mode belongs to a thread, so a script that runs them in two threads does this.

#include <random>
#include <string>
#include <vector>

#include "caffe/layer_factory.hpp"
#include "fixtures.hpp"
#include "google/protobuf/text_format.h"

namespace caffe {
namespace {

struct Case {
  const char* name;
  const char* layer;
  bool has_labels;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.name;
}

constexpr Case kCases[] = {
    {"SoftmaxWithLoss", "type: 'SoftmaxWithLoss' loss_param { ignore_label: 1 }", true},
    {"InfogainLoss", "type: 'InfogainLoss' loss_param { ignore_label: 1 } infogain_loss_param { }",
     true},
    {"FocalLoss", "type: 'FocalLoss' loss_param { ignore_label: 1 }", true},
    {"SigmoidCrossEntropyLoss",
     "type: 'SigmoidCrossEntropyLoss' loss_param { normalization: VALID ignore_label: 1 }", false},
    {"LRN", "type: 'LRN'", false},
    {"LRNWithin", "type: 'LRN' lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 }", false},
};

class ModeChanges : public GpuTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    x_.Reshape({6, 4, 3, 2});
    const bool is_lrn = std::string(GetParam().name).rfind("LRN", 0) == 0;
    labels_.Reshape(GetParam().has_labels ? std::vector<int>{6, 1, 3, 2} : x_.shape());
    gains_.Reshape({1, 1, 4, 4});
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (int i = 0; i < x_.count(); ++i) x_.mutable_cpu_data()[i] = uniform(random);
    for (int i = 0; i < labels_.count(); ++i) {
      labels_.mutable_cpu_data()[i] = static_cast<float>(i % (GetParam().has_labels ? 4 : 2));
    }
    for (int i = 0; i < 16; ++i) gains_.mutable_cpu_data()[i] = uniform(random);
    bottom_ = {&x_};
    if (!is_lrn) bottom_.push_back(&labels_);
    if (std::string(GetParam().name) == "InfogainLoss") bottom_.push_back(&gains_);
  }

  std::vector<float> gradient(Caffe::Brew forward, Caffe::Brew backward) {
    LayerParameter param;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(GetParam().layer, &param));
    param.set_name("layer");
    const auto layer = LayerRegistry<float>::CreateLayer(param);
    Blob<float> y;
    const std::vector<Blob<float>*> top = {&y};
    Caffe::set_mode(forward);
    layer->SetUp(bottom_, top);
    layer->Forward(bottom_, top);
    for (int i = 0; i < y.count(); ++i) {
      y.mutable_cpu_diff()[i] = y.count() == 1 ? 1 : static_cast<float>(i % 7) - 3;
    }
    Caffe::set_mode(backward);
    std::vector<bool> down(bottom_.size(), false);
    down[0] = true;
    layer->Backward(top, down, bottom_);
    return std::vector<float>(x_.cpu_diff(), x_.cpu_diff() + x_.count());
  }

  Blob<float> x_, labels_, gains_;
  std::vector<Blob<float>*> bottom_;
};

TEST_P(ModeChanges, GiveTheGradientsOfOneMode) {
  const std::vector<float> expected = gradient(Caffe::CPU, Caffe::CPU);
  for (const Caffe::Brew forward : {Caffe::CPU, Caffe::GPU}) {
    for (const Caffe::Brew backward : {Caffe::CPU, Caffe::GPU}) {
      const std::vector<float> found = gradient(forward, backward);
      for (size_t i = 0; i < found.size(); ++i) {
        ASSERT_NEAR(found[i], expected[i], 1e-5)
            << "forward in mode " << forward << ", backward in " << backward << ", value " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Layers, ModeChanges, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace caffe
