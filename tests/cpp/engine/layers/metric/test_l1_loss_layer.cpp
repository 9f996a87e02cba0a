#include "layers/layer_test.hpp"

namespace caffe {

/// FlowNet 2's loss in double: d is items x channels x places.
struct FlowL1 {
  int items, channels, places;
  bool l2 = false, prescale = false, by_entries = false;
  double epsilon = 0.01f, plateau = 0;  // as the schema holds them

  double loss(const std::vector<double>& d) const {
    double sum = 0, entries = 0;
    for (int n = 0; n < items; ++n) {
      for (int p = 0; p < places; ++p) {
        double squares = 0;
        for (int c = 0; c < channels; ++c) {
          const double one = d[(n * channels + c) * places + p];
          if (std::isnan(one)) continue;
          ++entries;
          squares += one * one / (prescale ? channels : 1);
          if (!l2 && std::abs(one) >= plateau) sum += std::abs(one);
        }
        if (l2) sum += std::sqrt((squares < plateau * plateau ? 0 : squares) + epsilon);
      }
    }
    return sum / (by_entries ? entries / channels : items);
  }
};

template <typename TypeParam>
class L1LossLayerTest : public LayerTest<TypeParam> {
 protected:
  void expect_loss(const std::string& param, const FlowL1& reference) {
    this->forward("type: 'L1Loss' l1_loss_param { " + param + " }");
    std::vector<double> d = this->data(*this->bottom[0]);
    if (this->bottom.size() > 1) {
      const std::vector<double> b = this->data(*this->bottom[1]);
      for (size_t i = 0; i < d.size(); ++i) d[i] -= b[i];
    }
    this->expect_near(this->data(*this->top[0]), {reference.loss(d)});
  }
};
TYPED_TEST_SUITE(L1LossLayerTest, DtypesAndDevices);

TYPED_TEST(L1LossLayerTest, Values) {
  this->add_bottom({2, 2}, {1, 2, 3, 4});
  this->add_bottom({2, 2, 1}, {1, 4, 0, 3.5});
  auto layer = this->forward("type: 'L1Loss'");
  this->expect_near(this->data(*this->top[0]), {5.5 / 2});
  this->top[0]->mutable_cpu_diff()[0] = 3;
  layer->Backward(this->top, {true, true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {0, -1.5, 1.5, 1.5});
  this->expect_near(this->diff(*this->bottom[1]), {0, 1.5, -1.5, -1.5});
}

TYPED_TEST(L1LossLayerTest, ValuesAtPlaces) {
  this->add_bottom({1, 2, 1, 2}, {3, 0.5, 4, 0});
  auto layer =
      this->forward("type: 'L1Loss' l1_loss_param { l2_per_location: true epsilon: 0 plateau: 1 }");
  this->expect_near(this->data(*this->top[0]), {5});
  this->top[0]->mutable_cpu_diff()[0] = 1;
  layer->Backward(this->top, {true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {0.6, 0, 0.8, 0});
  this->forward("type: 'L1Loss' l1_loss_param { l2_per_location: true epsilon: 9 plateau: 1 }");
  this->expect_near(this->data(*this->top[0]), {std::sqrt(34.) + 3});
}

TYPED_TEST(L1LossLayerTest, SettingsOfFlowNet) {
  this->add_bottom({3, 4, 2, 5});
  for (int bottoms = 1; bottoms <= 2; ++bottoms) {
    this->expect_loss("", {3, 4, 10});
    this->expect_loss("plateau: 0.5", {3, 4, 10, false, false, false, 0.01f, 0.5});
    this->expect_loss("normalize_by_num_entries: true", {3, 4, 10, false, false, true});
    this->expect_loss("l2_per_location: true", {3, 4, 10, true});
    this->expect_loss("l2_per_location: true l2_prescale_by_channels: true plateau: 0.6",
                      {3, 4, 10, true, true, false, 0.01f, 0.6f});
    this->expect_loss("l2_per_location: true normalize_by_num_entries: true epsilon: 0.5",
                      {3, 4, 10, true, false, true, 0.5});
    this->add_bottom({3, 4, 2, 5});
  }
}

TYPED_TEST(L1LossLayerTest, WhatIsNoNumberCountsAsNothing) {
  this->add_bottom({2, 2, 1, 3});
  for (const int i : {0, 3, 4}) this->bottom[0]->mutable_cpu_data()[i] = std::nan("");
  this->expect_loss("normalize_by_num_entries: true", {2, 2, 3, false, false, true});
  this->expect_loss("", {2, 2, 3});
  const std::string text = "l2_per_location: true normalize_by_num_entries: true";
  this->expect_loss(text, {2, 2, 3, true, false, true});
  auto layer = this->forward("type: 'L1Loss' l1_loss_param { " + text + " }");
  this->top[0]->mutable_cpu_diff()[0] = 1;
  layer->Backward(this->top, {true}, this->bottom);
  const std::vector<double> gradient = this->diff(*this->bottom[0]);
  for (size_t i = 0; i < gradient.size(); ++i) {
    EXPECT_EQ(gradient[i] == 0, i == 0 || i == 3 || i == 4) << i;
  }
  for (int i = 0; i < 12; ++i) this->bottom[0]->mutable_cpu_data()[i] = std::nan("");
  for (const std::string& one : {text, std::string("normalize_by_num_entries: true")}) {
    auto none = this->forward("type: 'L1Loss' l1_loss_param { " + one + " }");
    this->expect_near(this->data(*this->top[0]), {0});
    this->top[0]->mutable_cpu_diff()[0] = 1;
    none->Backward(this->top, {true}, this->bottom);
    this->expect_near(this->diff(*this->bottom[0]), std::vector<double>(12, 0));
  }
}

// NVCaffe's has no such rule: an error of the data shows.
TYPED_TEST(L1LossLayerTest, DialectsOfNumbersThatAreNone) {
  this->add_bottom({1, 2}, std::vector<double>{std::nan(""), 2});
  this->add_bottom({1, 2}, std::vector<double>{1, 1});
  this->forward("type: 'L1Loss' dialect: 'nv017'");
  EXPECT_TRUE(std::isnan(this->data(*this->top[0])[0]));
  for (const char* dialect : {"flownet2", "synopsys"}) {
    this->forward(std::string("type: 'L1Loss' dialect: '") + dialect + "'");
    this->expect_near(this->data(*this->top[0]), {1});
  }
}

TYPED_TEST(L1LossLayerTest, OtherBatches) {
  this->add_bottom({2, 3, 2});
  auto layer = this->forward("type: 'L1Loss' l1_loss_param { l2_per_location: true }");
  for (const int items : {5, 1}) {
    this->bottom[0]->Reshape({items, 3, 4});
    this->fill_random(this->bottom[0], items);
    layer->Forward(this->bottom, this->top);
    this->expect_near(this->data(*this->top[0]),
                      {FlowL1{items, 3, 4, true}.loss(this->data(*this->bottom[0]))});
  }
}

// More terms than a team adds up at once on a GPU.
TYPED_TEST(L1LossLayerTest, ManyTerms) {
  this->add_bottom({2, 3, 70, 60});
  this->expect_loss("", {2, 3, 4200});
  this->expect_loss("normalize_by_num_entries: true", {2, 3, 4200, false, false, true});
}

TYPED_TEST(L1LossLayerTest, NoItems) {
  this->add_bottom({0, 3, 2});
  for (const char* param : {"", "normalize_by_num_entries: true", "l2_per_location: true"}) {
    auto layer = this->forward(std::string("type: 'L1Loss' l1_loss_param { ") + param + " }");
    this->expect_near(this->data(*this->top[0]), {0});
    layer->Backward(this->top, {true}, this->bottom);
  }
}

TYPED_TEST(L1LossLayerTest, Gradient) {
  GradientOptions options;
  options.bottoms = {0, 1};
  this->add_bottom({3, 2, 4}, 0.6, 2);  // apart from each other and from the plateau
  this->add_bottom({3, 2, 4}, -1, 0);
  this->check_gradient("type: 'L1Loss' loss_weight: 2", options, true);
  this->check_gradient("type: 'L1Loss' l1_loss_param { plateau: 0.5 }", options, true);
  this->fill_random(this->bottom[0], 7);
  this->check_gradient(
      "type: 'L1Loss' l1_loss_param { l2_per_location: true epsilon: 0.3 "
      "l2_prescale_by_channels: true normalize_by_num_entries: true }",
      options, true);
  options.bottoms = {0};
  this->bottom.pop_back();
  this->check_gradient("type: 'L1Loss' l1_loss_param { l2_per_location: true epsilon: 0.3 }",
                       options, true);
}

TYPED_TEST(L1LossLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_bottom({2, 4});
  this->add_top();
  const auto set_up = [&](const std::string& text) {
    this->make("type: 'L1Loss' " + text)->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up(""),
               "'under_test' (L1Loss): both bottoms must have the same number of items");
  this->bottom[1]->Reshape({2, 3, 1});
  EXPECT_ERROR(set_up("l1_loss_param { }"), "both bottoms must have the same shape");
  EXPECT_ERROR(set_up("l1_loss_param { plateau: -1 }"), "both must be at least 0");
}

}  // namespace caffe
