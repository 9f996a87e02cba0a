#include <limits>

#include "layers/layer_test.hpp"
#include "temp_dir.hpp"

namespace caffe {

/// Four priors of 0.4 x 0.4 in the corners of the image; two images, three classes.
template <typename TypeParam>
class DetectionOutputLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef std::vector<std::vector<double>> Rows;

  void set_up_bottoms(int loc_classes = 1, int items = 2) {
    this->bottom.clear();
    this->top.clear();
    const std::vector<double> priors = {0, 0,   0.4, 0.4, 0.6, 0,   1, 0.4,
                                        0, 0.6, 0.4, 1,   0.6, 0.6, 1, 1};
    const double variances[4] = {0.1, 0.1, 0.2, 0.2};
    this->add_bottom({items, 16 * loc_classes}, 0, 0.0001);
    this->add_bottom({items, 12}, 0, 0.0001);
    this->add_bottom({1, 2, 16}, 0, 0.0001);
    for (int b = 0; b < 2; ++b) {
      std::fill_n(this->bottom[b]->mutable_cpu_data(), this->bottom[b]->count(), 0);
    }
    for (int i = 0; i < 16; ++i) {
      this->bottom[2]->mutable_cpu_data()[i] = priors[i];
      this->bottom[2]->mutable_cpu_data()[16 + i] = variances[i % 4];
    }
  }
  void set_score(int image, int prior, int label, double score) {
    this->bottom[1]->mutable_cpu_data()[image * 12 + prior * 3 + label] = score;
  }
  /// Offsets of a prior: CORNER's, in units of the variances.
  void set_offsets(int image, int prior, const std::vector<double>& offsets) {
    std::copy(offsets.begin(), offsets.end(),
              this->bottom[0]->mutable_cpu_data() + image * 16 + prior * 4);
  }
  std::shared_ptr<Layer<typename TypeParam::Dtype>> detect(
      const std::string& param, const std::string& nms = "nms_threshold: 0.45") {
    return this->forward("type: 'DetectionOutput' detection_output_param { num_classes: 3 " +
                         param + " nms_param { " + nms + " } }");
  }
  void expect_rows(const Rows& rows) {
    ASSERT_EQ(this->top[0]->shape(), (std::vector<int>{1, 1, static_cast<int>(rows.size()), 7}));
    std::vector<double> all;
    for (const std::vector<double>& row : rows) all.insert(all.end(), row.begin(), row.end());
    this->expect_near(this->data(*this->top[0]), all, 1e-6);
  }
};
TYPED_TEST_SUITE(DetectionOutputLayerTest, DtypesAndDevices);

TYPED_TEST(DetectionOutputLayerTest, OrdersByImageLabelAndScore) {
  this->set_up_bottoms();
  this->set_score(0, 1, 2, 0.7);
  this->set_score(0, 0, 1, 0.6);
  this->set_score(0, 3, 1, 0.8);
  this->set_score(0, 2, 0, 0.9);  // background
  this->set_score(1, 2, 1, 0.5);
  this->set_score(1, 0, 1, 0.3);  // not greater
  this->detect("confidence_threshold: 0.3");
  this->expect_rows({{0, 1, 0.8, 0.6, 0.6, 1, 1},
                     {0, 1, 0.6, 0, 0, 0.4, 0.4},
                     {0, 2, 0.7, 0.6, 0, 1, 0.4},
                     {1, 1, 0.5, 0, 0.6, 0.4, 1}});
}

TYPED_TEST(DetectionOutputLayerTest, OnlyOneImageHasAny) {
  this->set_up_bottoms();
  this->set_score(1, 1, 2, 0.7);
  this->detect("confidence_threshold: 0.3");
  this->expect_rows({{1, 2, 0.7, 0.6, 0, 1, 0.4}});
}

TYPED_TEST(DetectionOutputLayerTest, NothingFoundIsARowOfMinusOnesPerImage) {
  this->set_up_bottoms();
  this->set_score(0, 0, 1, std::numeric_limits<double>::quiet_NaN());
  this->detect("confidence_threshold: 0.3");
  this->expect_rows({{0, -1, -1, -1, -1, -1, -1}, {1, -1, -1, -1, -1, -1, -1}});
  this->set_score(0, 0, 1, 0.9);
  this->detect("confidence_threshold: 0.3 keep_top_k: 0");
  this->expect_rows({{0, -1, -1, -1, -1, -1, -1}, {1, -1, -1, -1, -1, -1, -1}});
}

TYPED_TEST(DetectionOutputLayerTest, WithoutAThresholdAllBoxesCount) {
  this->set_up_bottoms(1, 1);
  this->set_score(0, 3, 1, -5);
  this->detect("background_label_id: 0");
  ASSERT_EQ(this->top[0]->shape(2), 8);
  EXPECT_NEAR(this->top[0]->cpu_data()[3 * 7 + 2], -5, 1e-6);  // last of class 1
  this->detect("background_label_id: -1");
  EXPECT_EQ(this->top[0]->shape(2), 12);
}

TYPED_TEST(DetectionOutputLayerTest, SuppressesWithinAClass) {
  this->set_up_bottoms(1, 1);
  for (int p = 0; p < 3; ++p) this->set_score(0, p, 1, 0.9 - 0.1 * p);
  this->set_score(0, 1, 2, 0.4);
  this->set_offsets(0, 1, {-5.5, 0, -2.75, 0});  // 0.05 to 0.45: 0.778 with prior 0
  this->set_offsets(0, 2, {2, -6, 1, -3});       // 0.2 to 0.6: 0.333 with prior 0, 0.455 with 1
  this->detect("confidence_threshold: 0.3");
  this->expect_rows({{0, 1, 0.9, 0, 0, 0.4, 0.4},
                     {0, 1, 0.7, 0.2, 0, 0.6, 0.4},
                     {0, 2, 0.4, 0.05, 0, 0.45, 0.4}});
  this->detect("confidence_threshold: 0.3", "nms_threshold: 0.8");
  EXPECT_EQ(this->top[0]->shape(2), 4);
  this->detect("confidence_threshold: 0.3", "nms_threshold: 0.8 eta: 0.9");  // 0.72 for the second
  EXPECT_EQ(this->top[0]->shape(2), 3);
  this->detect("confidence_threshold: 0.3", "nms_threshold: 0.8 top_k: 1");
  this->expect_rows({{0, 1, 0.9, 0, 0, 0.4, 0.4}, {0, 2, 0.4, 0.05, 0, 0.45, 0.4}});
  this->detect("confidence_threshold: 0.3 keep_top_k: 2", "nms_threshold: 0.8");
  this->expect_rows({{0, 1, 0.9, 0, 0, 0.4, 0.4}, {0, 1, 0.8, 0.05, 0, 0.45, 0.4}});
  this->set_score(0, 1, 2, 0.95);
  this->detect("confidence_threshold: 0.3 keep_top_k: 2", "nms_threshold: 0.8");
  this->expect_rows({{0, 1, 0.9, 0, 0, 0.4, 0.4}, {0, 2, 0.95, 0.05, 0, 0.45, 0.4}});
}

TYPED_TEST(DetectionOutputLayerTest, DecodesEachCode) {
  this->set_up_bottoms(1, 1);
  this->set_score(0, 1, 1, 0.7);
  this->set_offsets(0, 1, {1, 2, -1, 0.5});  // prior 0.6, 0, 1, 0.4
  this->detect("confidence_threshold: 0.3");
  this->expect_rows({{0, 1, 0.7, 0.7, 0.2, 0.8, 0.5}});
  this->detect("confidence_threshold: 0.3 variance_encoded_in_target: true");
  this->expect_rows({{0, 1, 0.7, 1.6, 2, 0, 0.9}});  // not clipped
  this->detect("confidence_threshold: 0.3 code_type: CORNER_SIZE");
  this->expect_rows({{0, 1, 0.7, 0.64, 0.08, 0.92, 0.44}});
  this->detect("confidence_threshold: 0.3 code_type: CENTER_SIZE");
  const double width = 0.4 * std::exp(-0.2), height = 0.4 * std::exp(0.1);
  this->expect_rows(
      {{0, 1, 0.7, 0.84 - width / 2, 0.28 - height / 2, 0.84 + width / 2, 0.28 + height / 2}});
}

TYPED_TEST(DetectionOutputLayerTest, OffsetsOfEachClass) {
  this->set_up_bottoms(3, 1);
  this->set_score(0, 1, 1, 0.7);
  this->set_score(0, 1, 2, 0.6);
  auto* const loc = this->bottom[0]->mutable_cpu_data();
  loc[(1 * 3 + 1) * 4] = 1;  // prior 1, class 1: xmin
  loc[(1 * 3 + 2) * 4] = -2;
  this->detect("confidence_threshold: 0.3 share_location: false");
  this->expect_rows({{0, 1, 0.7, 0.7, 0, 1, 0.4}, {0, 2, 0.6, 0.4, 0, 1, 0.4}});
}

TYPED_TEST(DetectionOutputLayerTest, TheBatchMayChange) {
  this->set_up_bottoms();
  auto layer = this->detect("confidence_threshold: 0.3");
  for (const int items : {5, 1}) {
    this->set_up_bottoms(1, items);
    this->add_top();
    this->set_score(items - 1, 0, 1, 0.5);
    layer->Reshape(this->bottom, this->top);
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 1, 1, 7}));
    layer->Forward(this->bottom, this->top);
    this->expect_rows({{items - 1., 1, 0.5, 0, 0, 0.4, 0.4}});
  }
  EXPECT_ERROR(layer->Backward(this->top, {true, false, false}, this->bottom), "has no gradient");
}

TYPED_TEST(DetectionOutputLayerTest, WithoutPriorsNothingIsFound) {
  this->add_bottom({2, 0});
  this->add_bottom({2, 0});
  this->add_bottom({1, 2, 0});
  this->forward("type: 'DetectionOutput' detection_output_param { num_classes: 2000000000 }");
  this->expect_rows({{0, -1, -1, -1, -1, -1, -1}, {1, -1, -1, -1, -1, -1, -1}});
}

TYPED_TEST(DetectionOutputLayerTest, WritesFiles) {
  TempDir folder;
  write_file(folder / "labels", "item { name: 'a' label: 1 } item { name: 'b' label: 2 }");
  write_file(folder / "sizes", "one 10 20\ntwo 10 20\nthree 10 20\nfour 10 20\n");
  this->set_up_bottoms();
  this->set_score(1, 1, 2, 0.75);
  auto layer = this->detect("confidence_threshold: 0.3 save_output_param { output_directory: '" +
                            folder.path() + "' output_name_prefix: 'x_' output_format: 'VOC' " +
                            "label_map_file: '" + folder / "labels" + "' name_size_file: '" +
                            folder / "sizes" + "' }");
  EXPECT_EQ(read_file(folder / "x_b.txt"), "");
  layer->Forward(this->bottom, this->top);
  const std::string row = " 0.75 12 0 20 4\n";
  EXPECT_EQ(read_file(folder / "x_b.txt"), "two" + row + "four" + row);
}

TYPED_TEST(DetectionOutputLayerTest, Errors) {
  this->set_up_bottoms();
  this->add_top();
  const auto set_up = [&](const std::string& param) {
    this->make("type: 'DetectionOutput' detection_output_param { " + param + " }")
        ->SetUp(this->bottom, this->top);
  };
  EXPECT_ERROR(set_up(""),
               "'under_test' (DetectionOutput): detection_output_param needs num_class");
  EXPECT_ERROR(set_up("num_classes: 4294967295"), "included; it is 4294967295");
  EXPECT_ERROR(set_up("num_classes: 2147483647"), "4 priors x 2147483647 classes");
  EXPECT_ERROR(set_up("num_classes: 4"), "the scores, bottom 1, must be 4 priors x 4 classes");
  EXPECT_ERROR(set_up("num_classes: 3 share_location: false"), "the offsets, bottom 0, must be 4");
  EXPECT_ERROR(set_up("num_classes: 3 nms_param { eta: 0 }"), "eta is 0");
  EXPECT_ERROR(set_up("num_classes: 3 nms_param { nms_threshold: -1 }"), "nms_threshold is -1");
  this->bottom[2]->Reshape({1, 1, 32});
  EXPECT_ERROR(set_up("num_classes: 3"), "the priors, bottom 2, are PriorBox's");
}

}  // namespace caffe
