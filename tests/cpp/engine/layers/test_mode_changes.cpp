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
  bool has_labels, may_refuse;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.name;
}

constexpr Case kCases[] = {
    {"SoftmaxWithLoss", "type: 'SoftmaxWithLoss' loss_param { ignore_label: 1 }", true, false},
    {"InfogainLoss", "type: 'InfogainLoss' loss_param { ignore_label: 1 } infogain_loss_param { }",
     true, false},
    {"FocalLoss", "type: 'FocalLoss' loss_param { ignore_label: 1 }", true, false},
    {"SigmoidCrossEntropyLoss",
     "type: 'SigmoidCrossEntropyLoss' loss_param { normalization: VALID ignore_label: 1 }", false,
     false},
    {"LRN", "type: 'LRN'", false, false},
    {"LRNWithin", "type: 'LRN' lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 }", false,
     false},
    {"BatchNorm", "type: 'BatchNorm'", false, true},
    {"Scale", "type: 'Scale' scale_param { filler { value: 1.5 } }", false, true},
    {"MaxPooling", "type: 'Pooling' pooling_param { kernel_size: 2 }", false, true},
    {"AvePooling", "type: 'Pooling' pooling_param { pool: AVE kernel_size: 2 }", false, false},
    {"ReLU", "type: 'ReLU'", false, false},
};

class ModeChanges : public GpuTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    x_.Reshape({6, 16, 3, 2});  // whole blocks of channels
    const bool is_loss = std::string(GetParam().name).find("Loss") != std::string::npos;
    labels_.Reshape(GetParam().has_labels ? std::vector<int>{6, 1, 3, 2} : x_.shape());
    gains_.Reshape({1, 1, 16, 16});
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (int i = 0; i < x_.count(); ++i) x_.mutable_cpu_data()[i] = uniform(random);
    for (int i = 0; i < labels_.count(); ++i) {
      labels_.mutable_cpu_data()[i] = static_cast<float>(i % (GetParam().has_labels ? 16 : 2));
    }
    for (int i = 0; i < gains_.count(); ++i) gains_.mutable_cpu_data()[i] = uniform(random);
    bottom_ = {&x_};
    if (is_loss) bottom_.push_back(&labels_);
    if (std::string(GetParam().name) == "InfogainLoss") bottom_.push_back(&gains_);
  }

  /// A layer that was made in mode `made`, and has run once in mode `before`.
  std::vector<float> gradient(Caffe::Brew made, Caffe::Brew before, Caffe::Brew forward,
                              Caffe::Brew backward) {
    LayerParameter param;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(GetParam().layer, &param));
    param.set_name("layer");
    Caffe::set_mode(made);
    const auto layer = LayerRegistry<float>::CreateLayer(param);
    Blob<float> y;
    const std::vector<Blob<float>*> top = {&y};
    layer->SetUp(bottom_, top);
    Caffe::set_mode(before);
    layer->Forward(bottom_, top);
    Caffe::set_mode(forward);
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
  const std::vector<Caffe::Brew> modes = {Caffe::CPU, Caffe::GPU};
  const std::vector<float> expected = gradient(Caffe::CPU, Caffe::CPU, Caffe::CPU, Caffe::CPU);
  for (int i = 0; i < 16; ++i) {
    const Caffe::Brew made = modes[i / 8], before = modes[i / 4 % 2], forward = modes[i / 2 % 2],
                      backward = modes[i % 2];
    SCOPED_TRACE("made in mode " + std::to_string(made) + ", passes in " + std::to_string(before) +
                 ", " + std::to_string(forward) + ", " + std::to_string(backward));
    std::vector<float> found;
    const std::string error = error_of([&] { found = gradient(made, before, forward, backward); });
    if (GetParam().may_refuse && forward == Caffe::CPU && backward == Caffe::GPU) {
      if (error.find("the last forward pass ran in CPU mode") != std::string::npos) continue;
    }
    ASSERT_EQ(error, "");
    for (size_t k = 0; k < found.size(); ++k) ASSERT_NEAR(found[k], expected[k], 1e-4) << k;
  }
}

INSTANTIATE_TEST_SUITE_P(Layers, ModeChanges, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace caffe
