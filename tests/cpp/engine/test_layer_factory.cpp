#include "caffe/layer_factory.hpp"

#include <algorithm>

#include "test_paths.hpp"
#include "tests/cpp/engine/fixtures.hpp"
#include "tests/cpp/engine/toy_layer.hpp"

namespace caffe {

// Not in an anonymous namespace: the registration macros make names of the class.
template <typename Dtype>
class TwiceLayer : public TimesLayer<Dtype, 2> {
 public:
  explicit TwiceLayer(const LayerParameter& param) : TimesLayer<Dtype, 2>(param) {}
  const char* type() const override { return "Twice"; }
};
INSTANTIATE_CLASS(TwiceLayer);
REGISTER_LAYER_CLASS(Twice);

template <typename Dtype>
shared_ptr<Layer<Dtype>> make_taken_first(const LayerParameter& param) {
  return std::make_shared<TwiceLayer<Dtype>>(param);
}
REGISTER_LAYER_CREATOR(Taken, make_taken_first);

template <typename Dtype>
class LayerFactoryTest : public ::testing::Test {
 protected:
  static shared_ptr<Layer<Dtype>> make(const string& type) {
    LayerParameter param;
    param.set_name("mine");
    param.set_type(type);
    return LayerRegistry<Dtype>::CreateLayer(param);
  }
};
TYPED_TEST_SUITE(LayerFactoryTest, Dtypes);

TYPED_TEST(LayerFactoryTest, MakesRegisteredLayers) {
  const auto layer = this->make("Twice");
  EXPECT_STREQ(layer->type(), "Twice");
  EXPECT_EQ(layer->layer_param().name(), "mine");
  const auto types = LayerRegistry<TypeParam>::LayerTypeList();
  EXPECT_TRUE(std::is_sorted(types.begin(), types.end()));
  EXPECT_EQ(std::count(types.begin(), types.end(), "Twice"), 1);
  EXPECT_PRED2(contains, LayerRegistry<TypeParam>::LayerTypeListString(), "Taken, ");
}

TYPED_TEST(LayerFactoryTest, TheRegistryIsAMapOfCreators) {
  typename LayerRegistry<TypeParam>::CreatorRegistry& registry =
      LayerRegistry<TypeParam>::Registry();
  EXPECT_EQ(registry.size(), LayerRegistry<TypeParam>::LayerTypeList().size());
  LayerParameter param;
  EXPECT_STREQ(registry.at("Twice")(param)->type(), "Twice");
  registry["AnotherName"] = registry["Twice"];
  EXPECT_STREQ(this->make("AnotherName")->type(), "Twice");
  registry.erase("AnotherName");
  EXPECT_ERROR(this->make("AnotherName"), "unknown layer type 'AnotherName'");
}

TYPED_TEST(LayerFactoryTest, UnknownTypesListTheKnown) {
  EXPECT_ERROR(this->make("Twiec"),
               "layer 'mine': unknown layer type 'Twiec'; did you mean 'Twice'?");
  EXPECT_ERROR(this->make("Encoder"), "known types: ");
  EXPECT_EQ(error_of([] { LayerFactoryTest<TypeParam>::make("Encoder"); }).find("did you mean"),
            string::npos);
  EXPECT_ERROR(this->make(""), "unknown layer type ''");
  EXPECT_ERROR(this->make("Yolov3"),
               "layer 'mine': unknown layer type 'Yolov3': it is a layer of yolo_eric612 and "
               "troyliu0105, not built yet");
  EXPECT_ERROR(this->make("Python"), "need pycaffe: run this net from Python");
}

TYPED_TEST(LayerFactoryTest, LoadsALibraryOfLayers) {
  // Each test of this file may run in a separate process or after the other precision's.
  const auto known = LayerRegistry<TypeParam>::LayerTypeList();
  if (std::count(known.begin(), known.end(), "Thrice") == 0) {
    EXPECT_EQ(load_layers(EXTRA_LAYER), vector<string>{"Thrice"});
  }
  const auto layer = this->make("Thrice");
  Blob<TypeParam> bottom(vector<int>{1}), top;
  bottom.mutable_cpu_data()[0] = 2;
  layer->SetUp({&bottom}, {&top});
  layer->Forward({&bottom}, {&top});
  EXPECT_EQ(top.cpu_data()[0], TypeParam(6));
  EXPECT_ERROR(load_layers(EXTRA_LAYER), "adds no layer type");
}

TEST(LoadLayers, FailuresSayWhy) {
  EXPECT_ERROR(load_layers("/nowhere/libnone.so"), "/nowhere/libnone.so");
  EXPECT_ERROR(load_layers("/nowhere/libnone.so"), "No such file");
  EXPECT_ERROR(load_layers(__FILE__), "cannot load the layers in");
  EXPECT_ERROR(load_layers(EMPTY_LIBRARY), "adds no layer type");
}

TEST(LoadLayers, ATypeThatIsTakenIsReported) {
  EXPECT_ERROR(load_layers(TAKEN_LAYER), "layer type 'Taken' is registered twice");
  LayerParameter param;
  param.set_type("Taken");
  EXPECT_ERROR(LayerRegistry<float>::CreateLayer(param), "registered twice");
}

}  // namespace caffe
