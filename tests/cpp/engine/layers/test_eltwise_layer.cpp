#include "caffe/layers/takes_followers.hpp"
#include "layers/layer_test.hpp"
#include "toy_net.hpp"

namespace caffe {

template <typename TypeParam>
class EltwiseLayerTest : public LayerTest<TypeParam> {};
TYPED_TEST_SUITE(EltwiseLayerTest, DtypesAndDevices);

namespace {

std::string eltwise(const std::string& param) {
  return "type: 'Eltwise' eltwise_param { " + param + " }";
}

}  // namespace

TYPED_TEST(EltwiseLayerTest, Values) {
  this->add_bottom({4}, {1, -2, 3, 0});
  this->add_bottom({4}, {2, 5, 3, -1});
  this->add_bottom({4}, {-1, 4, 7, -3});
  this->forward("type: 'Eltwise'");
  this->expect_near(this->data(*this->top[0]), {2, 7, 13, -4});
  this->forward(eltwise("coeff: 2 coeff: -1 coeff: 0.5"));
  this->expect_near(this->data(*this->top[0]), {-0.5, -7, 6.5, -0.5});
  this->forward(eltwise("operation: PROD"));
  this->expect_near(this->data(*this->top[0]), {-2, -40, 63, 0});
  this->forward(eltwise("operation: MAX"));
  this->expect_near(this->data(*this->top[0]), {2, 5, 7, 0});
  this->bottom.pop_back();
  this->forward("type: 'Eltwise'");
  this->expect_near(this->data(*this->top[0]), {3, 3, 6, -1});
}

TYPED_TEST(EltwiseLayerTest, Gradient) {
  this->add_bottom({2, 3, 4});
  this->add_bottom({2, 3, 4});
  for (const int bottoms : {2, 4}) {
    while (static_cast<int>(this->bottom.size()) < bottoms) this->add_bottom({2, 3, 4});
    GradientOptions options;
    for (int i = 1; i < bottoms; ++i) options.bottoms.push_back(i);
    this->check_gradient(eltwise(""), options);
    this->check_gradient(
        eltwise(bottoms == 2 ? "coeff: 2 coeff: -1" : "coeff: 2 coeff: -1 coeff: 0 coeff: 0.25"),
        options);
    for (const char* stable : {"true", "false"}) {
      this->check_gradient(eltwise(std::string("operation: PROD stable_prod_grad: ") + stable),
                           options);
    }
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(EltwiseLayerTest, GradientOfTheMaximum) {
  GradientOptions options;
  for (int b = 0; b < 3; ++b) {
    this->add_bottom({3, 8});
    if (b > 0) options.bottoms.push_back(b);
  }
  for (int i = 0; i < 24; ++i) {  // no two values closer than the step of the comparison
    for (int b = 0; b < 3; ++b) {
      this->bottom[b]->mutable_cpu_data()[i] = static_cast<float>((i + b * (i % 2 ? 1 : 2)) % 3);
    }
  }
  this->check_gradient(eltwise("operation: MAX"), options);
}

TYPED_TEST(EltwiseLayerTest, OfEqualMaximaTheSecondBottomElseTheFirstHasTheGradient) {
  this->add_bottom({3}, {0, 0, 0});
  this->add_bottom({3}, {0, -1, 0});
  this->add_bottom({3}, {0, 0, 1});
  auto layer = this->forward(eltwise("operation: MAX"));
  std::fill_n(this->top[0]->mutable_cpu_diff(), 3, 1);
  layer->Backward(this->top, {true, true, true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {0, 1, 0});
  this->expect_near(this->diff(*this->bottom[1]), {1, 0, 0});
  this->expect_near(this->diff(*this->bottom[2]), {0, 0, 1});
}

TYPED_TEST(EltwiseLayerTest, NaNIsNeverTheSmaller) {
  const double nan = std::nan("");
  this->add_bottom({3}, {nan, 1, 1});
  this->add_bottom({3}, {1, nan, 1});
  this->add_bottom({3}, {1, 1, nan});
  this->forward(eltwise("operation: MAX"));
  for (const double value : this->data(*this->top[0])) EXPECT_TRUE(std::isnan(value));
}

TYPED_TEST(EltwiseLayerTest, GradientOfAProductWithZeros) {
  this->add_bottom({2}, {0, 0});
  this->add_bottom({2}, {3, 0});
  auto layer = this->forward(eltwise("operation: PROD stable_prod_grad: false"));
  std::fill_n(this->top[0]->mutable_cpu_diff(), 2, 2);
  layer->Backward(this->top, {true, true}, this->bottom);
  this->expect_near(this->diff(*this->bottom[0]), {6, 0});
  this->expect_near(this->diff(*this->bottom[1]), {0, 0});
}

TYPED_TEST(EltwiseLayerTest, Errors) {
  this->add_bottom({2, 3});
  this->add_bottom({3, 2});
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make(eltwise(param))->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up(""),
               "'under_test' (Eltwise): its bottoms must have the same shape; bottom 0 is 2 3 (6) "
               "and bottom 1 3 2 (6)");
  this->bottom[1]->Reshape({2, 3});
  EXPECT_ERROR(set_up("coeff: 1"), "has 1 coeffs and 2 bottoms");
  EXPECT_ERROR(set_up("operation: PROD coeff: 1 coeff: 2"), "PROD takes no coeffs");
  this->top = {this->bottom[0]};
  EXPECT_ERROR(set_up(""), "cannot work in place");
}

/// A sum and a ReLU behind it, in place or not: the second computes them apart.
template <typename TypeParam>
class EltwiseReluTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  typedef std::unique_ptr<Net<Dtype>> NetPtr;

  NetPtr make(int bottoms, const std::string& fields, bool in_place) {
    std::string data = "layer { name: 'data' type: 'Input' ", read, shapes;
    for (int i = 0; i < bottoms; ++i) {
      const std::string name(1, static_cast<char>('a' + i));
      data += "top: '" + name + "' ";
      read += "bottom: '" + name + "' ";
      shapes += "shape { dim: 2 dim: 3 dim: 4 dim: 5 } ";
    }
    const std::string top = in_place ? "s" : "t";
    NetPtr net = make_net<Dtype>("force_backward: true " + data + "input_param { " + shapes +
                                 "} } layer { name: 'sum' " + "type: 'Eltwise' top: 's' " + read +
                                 fields + " } layer { name: 'relu' type: 'ReLU' " +
                                 "bottom: 's' top: '" + top + "' }");
    for (int i = 0; i < bottoms; ++i) this->fill_random(net->input_blobs()[i], i + 1);
    Blob<Dtype>* const out = net->output_blobs()[0];
    Blob<Dtype> gradient(out->shape());
    this->fill_random(&gradient, 9);
    std::copy_n(gradient.cpu_data(), gradient.count(), out->mutable_cpu_diff());
    return net;
  }
  static size_t taken(const Net<Dtype>& net) {
    return dynamic_cast<const TakesFollowers<Dtype>&>(*net.layers()[1]).taken();
  }
  void expect_same(const Net<Dtype>& net, const Net<Dtype>& apart, bool with_sum = true) {
    this->expect_near(this->data(*net.output_blobs()[0]), this->data(*apart.output_blobs()[0]));
    for (size_t i = 0; i < net.input_blobs().size(); ++i) {
      this->expect_near(this->diff(*net.input_blobs()[i]), this->diff(*apart.input_blobs()[i]));
    }
    if (!with_sum) return;
    this->expect_near(this->diff(*net.blob_by_name("s")), this->diff(*apart.blob_by_name("s")));
  }
};
TYPED_TEST_SUITE(EltwiseReluTest, DtypesAndDevices);

TYPED_TEST(EltwiseReluTest, SumTakesIt) {
  for (const int bottoms : {2, 3, 4}) {
    const std::string coeffs[] = {"", "", "coeff: 2 coeff: -1 ", "coeff: 2 coeff: -1 coeff: 0.5 ",
                                  "coeff: 2 coeff: -1 coeff: 0.5 coeff: 3 "};
    for (const std::string& fields : {std::string(), "eltwise_param { " + coeffs[bottoms] + "} ",
                                      std::string("propagate_down: true propagate_down: false ") +
                                          (bottoms > 2 ? "propagate_down: true " : "") +
                                          (bottoms > 3 ? "propagate_down: true " : "")}) {
      const auto net = this->make(bottoms, fields, true);
      const auto apart = this->make(bottoms, fields, false);
      const auto kept = this->make(bottoms, fields, true);
      kept->KeepOnly({});
      for (const auto* const each : {&net, &apart, &kept}) {
        (*each)->Forward();
        (*each)->Backward();
      }
      EXPECT_EQ(this->taken(*net), 1u);
      EXPECT_EQ(this->taken(*apart), 0u);
      this->expect_same(*net, *apart);
      this->expect_same(*kept, *apart, false);
    }
  }
}

TYPED_TEST(EltwiseReluTest, PassesOverPartsAreRight) {
  const auto net = this->make(2, "", true), apart = this->make(2, "", false);
  for (const auto* const each : {&net, &apart}) {
    (*each)->Forward();
    (*each)->BackwardFromTo(2, 2);
    (*each)->BackwardFromTo(1, 0);
  }
  this->expect_same(*net, *apart);
  net->ForwardTo(1);
  apart->ForwardTo(1);
  this->expect_near(this->data(*net->blob_by_name("s")), this->data(*apart->blob_by_name("s")));
  EXPECT_EQ(this->taken(*net), 0u);
  net->ForwardFrom(2);
  this->expect_near(this->data(*net->blob_by_name("s")), this->data(*apart->blob_by_name("t")));
}

TYPED_TEST(EltwiseReluTest, OtherOperationsDoNot) {
  for (const char* const operation : {"MAX", "PROD"}) {
    const std::string fields = std::string("eltwise_param { operation: ") + operation + " }";
    const auto net = this->make(2, fields, true), apart = this->make(2, fields, false);
    for (const auto* const each : {&net, &apart}) {
      (*each)->Forward();
      (*each)->Backward();
    }
    EXPECT_EQ(this->taken(*net), 0u);
    this->expect_same(*net, *apart);
  }
}

}  // namespace caffe
