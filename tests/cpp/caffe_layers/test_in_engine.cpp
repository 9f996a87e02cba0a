// The MAAP layers as part of the engine. What they compute is tested by test_enhancement.cpp and
// test_elimination.cpp, which are compiled into this program as well as into the plugin's.

#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class MaapLayersTest : public LayerTest<TypeParam> {
 protected:
  /// D*, A in one list.
  std::vector<double> eliminated(const std::string& text) {
    this->top.clear();
    for (int i = 0; i < 3; ++i) this->add_top();
    this->forward("type: 'Elimination' " + text);
    std::vector<double> both = this->data(*this->top[0]);
    const std::vector<double> a = this->data(*this->top[2]);
    both.insert(both.end(), a.begin(), a.end());
    return both;
  }
};
TYPED_TEST_SUITE(MaapLayersTest, DtypesAndDevices);

TYPED_TEST(MaapLayersTest, EliminationTakesItsTypedParameters) {
  this->add_bottom({2, 3, 4, 5});
  this->add_bottom({2, 2, 9, 11});
  const std::vector<double> roi = this->eliminated("");
  const std::vector<double> soft = this->eliminated("elimination_param { a_star: ALLSOFT }");
  EXPECT_NE(roi, soft);
  EXPECT_EQ(roi, this->eliminated("elimination_param { a_star: ROI threshold_at: INPUT }"));
  EXPECT_EQ(soft, this->eliminated("python_param { param_str: 'a_star: ALLSOFT' }"));
  for (int i = 0; i < 2 * 2 * 99; ++i) {  // D* = A D
    const double a = soft[2 * 2 * 99 + i / 198 * 99 + i % 99];
    ASSERT_NEAR(soft[i], a * this->bottom[1]->cpu_data()[i], 1e-6);
  }
  const std::string others =
      "a_star: REDUCE threshold_at: MAP threshold: FRACTION fraction: 0.25 component: STRONGEST "
      "connectivity: 4 padding: 0.25 border: 1";
  for (const std::string& text : {std::string("a_star: REDUCE threshold_at: MAP"), others}) {
    EXPECT_EQ(this->eliminated("elimination_param { " + text + " }"),
              this->eliminated("python_param { param_str: '" + text + "' }"));
  }
}

TYPED_TEST(MaapLayersTest, EliminationRefusesTwoSetsOfParameters) {
  this->add_bottom({2, 3, 4, 5});
  this->add_bottom({2, 2, 9, 11});
  EXPECT_ERROR(this->eliminated("elimination_param {} python_param { param_str: 'a_star: ROI' }"),
               "layer 'under_test' (Elimination): both elimination_param and python_param");
}

/// In a binary file; the text form of it does not parse.
TYPED_TEST(MaapLayersTest, EliminationRefusesAValueThatItsEnumLacks) {
  typedef typename TypeParam::Dtype Dtype;
  const auto set_up = [](const std::string& bytes) {
    LayerParameter param;
    param.set_name("under_test");
    param.set_type("Elimination");
    EXPECT_TRUE(param.mutable_elimination_param()->ParseFromString(bytes));
    Blob<Dtype> f(2, 3, 4, 5), d(2, 2, 9, 11), d_star;
    LayerRegistry<Dtype>::CreateLayer(param)->SetUp({&f, &d}, {&d_star});
  };
  set_up(std::string("\x08\x05\x10\x01"));  // a_star: ALLSOFT_PLUS_ONE threshold_at: MAP
  EXPECT_ERROR(set_up("\x08\x63"),
               "layer 'under_test' (Elimination): elimination_param has a_star number 99, which is "
               "unknown here. Write any of: a_star: ROI | UNCORRELATED");
  EXPECT_ERROR(set_up("\x10\x02"), "elimination_param has threshold_at number 2");
  EXPECT_ERROR(set_up("\x18\x03"), "elimination_param has threshold number 3");
  EXPECT_ERROR(set_up("\x28\x02"), "elimination_param has component number 2");
  set_up("\x48\x07");  // a field that only a later version has
}

TYPED_TEST(MaapLayersTest, GradientWithTypedParameters) {
  this->add_bottom({2, 3, 4, 5});
  this->add_bottom({2, 2, 9, 11});
  GradientOptions options;
  options.bottoms = {1};
  this->check_gradient("type: 'Elimination' elimination_param { a_star: ENHANCE }", options);
  this->bottom.pop_back();
  this->top.clear();
  this->check_gradient("type: 'Enhancement' enhancement_param {}");
}

}  // namespace caffe
