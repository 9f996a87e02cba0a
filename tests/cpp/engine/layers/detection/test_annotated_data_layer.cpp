#include <cmath>
#include <cstdlib>
#include <opencv2/core.hpp>

#include "caffe/util/io.hpp"
#include "datums.hpp"
#include "images.hpp"
#include "layers/layer_test.hpp"
#include "temp_dir.hpp"

namespace caffe {

namespace {

struct Object {
  int label;
  cv::Rect where;
};

/// Objects of bright colours, which stand out from everything else by their first channel.
AnnotatedDatum scene(int height, int width, const std::vector<Object>& objects, bool encode) {
  cv::Mat image = picture(3, height, width);
  for (int i = 0; i < height * width; ++i) image.data[3 * i] /= 4;
  AnnotatedDatum datum;
  datum.set_type(AnnotatedDatum_AnnotationType_BBOX);
  for (const Object& object : objects) {
    const cv::Rect& at = object.where;
    image(at).setTo(cv::Scalar(200 + 5 * object.label, 0, 0));
    AnnotationGroup* const group = datum.add_annotation_group();
    group->set_group_label(object.label);
    Annotation* const one = group->add_annotation();
    one->set_instance_id(7);
    one->mutable_bbox()->set_xmin(float(at.x) / width);
    one->mutable_bbox()->set_ymin(float(at.y) / height);
    one->mutable_bbox()->set_xmax(float(at.x + at.width) / width);
    one->mutable_bbox()->set_ymax(float(at.y + at.height) / height);
  }
  *datum.mutable_datum() = encode ? encoded(image, 0) : raw(image, 0);
  return datum;
}

}  // namespace

template <typename TypeParam>
class AnnotatedDataLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  typedef std::vector<double> Values;

  void write(const std::vector<AnnotatedDatum>& datums) {
    std::vector<string> values;
    for (const AnnotatedDatum& datum : datums) values.push_back(datum.SerializeAsString());
    write_database(path(), values);
  }
  string path() const { return dir_ / "db"; }
  string text(const string& data, const string& transform = "", const string& annotated = "") {
    return "type: 'AnnotatedData' data_param { backend: LMDB source: '" + path() + "' " + data +
           "} transform_param {" + transform + "} annotated_data_param {" + annotated + "}";
  }
  std::shared_ptr<Layer<Dtype>> start(const string& text, Phase phase = TRAIN) {
    if (this->top.empty()) {
      this->add_top();
      this->add_top();
    }
    std::shared_ptr<Layer<Dtype>> layer = this->make(text, phase);
    layer->SetUp(this->bottom, this->top);
    return layer;
  }
  /// The columns and rows where the first channel of image n is that of an object of this class,
  /// as shares of the image; empty: none.
  Values seen(int n, int label) {
    const Blob<Dtype>& data = *this->top[0];
    int left = data.width(), top = data.height(), right = 0, bottom = 0;
    for (int h = 0; h < data.height(); ++h) {
      for (int w = 0; w < data.width(); ++w) {
        if (std::abs(data.data_at(n, 0, h, w) - (200 + 5 * label)) > 2) continue;
        left = std::min(left, w);
        top = std::min(top, h);
        right = std::max(right, w + 1);
        bottom = std::max(bottom, h + 1);
      }
    }
    if (right == 0) return {};
    const double width = data.width(), height = data.height();
    return {left / width, top / height, right / width, bottom / height};
  }
  Values row(int i) {
    const Dtype* const values = this->top[1]->cpu_data() + 8 * i;
    return Values(values, values + 8);
  }
  /// Each object of the label is where its pixels are, within a pixel and a half.
  void expect_boxes_on_pixels() {
    for (int i = 0; i < this->top[1]->height(); ++i) {
      const Values row = this->row(i);
      if (row[0] < 0) continue;
      const Values seen = this->seen(static_cast<int>(row[0]), static_cast<int>(row[1]));
      if (seen.empty()) {  // a box of less than a pixel
        EXPECT_TRUE((row[5] - row[3]) * this->top[0]->width() < 1 ||
                    (row[6] - row[4]) * this->top[0]->height() < 1);
        continue;
      }
      for (int k = 0; k < 4; ++k) {
        const double length = k % 2 == 0 ? this->top[0]->width() : this->top[0]->height();
        EXPECT_NEAR(row[3 + k] * length, seen[k] * length, 1.5) << "corner " << k;
      }
    }
  }

  TempDir dir_;
};
TYPED_TEST_SUITE(AnnotatedDataLayerTest, DtypesAndDevices);

TYPED_TEST(AnnotatedDataLayerTest, ImagesAndRows) {
  AnnotatedDatum hard = scene(20, 40, {{1, {4, 5, 8, 10}}, {3, {20, 2, 12, 5}}}, true);
  hard.mutable_annotation_group(1)->mutable_annotation(0)->mutable_bbox()->set_difficult(true);
  this->write({hard, scene(20, 40, {}, true), scene(20, 40, {{2, {0, 0, 40, 20}}}, false)});
  const auto layer = this->start(this->text("batch_size: 2", "scale: 1"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 3, 20, 40}));
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{1, 1, 1, 8}));
  layer->Forward(this->bottom, this->top);
  ASSERT_EQ(this->top[1]->shape(), (std::vector<int>{1, 1, 2, 8}));
  this->expect_near(this->row(0), {0, 1, 7, .1, .25, .3, .75, 0}, 1e-6);
  this->expect_near(this->row(1), {0, 3, 7, .5, .1, .8, .35, 1}, 1e-6);
  EXPECT_EQ(this->top[0]->data_at(0, 0, 5, 4), 205);
  layer->Forward(this->bottom, this->top);  // the third record and the first
  ASSERT_EQ(this->top[1]->shape(), (std::vector<int>{1, 1, 3, 8}));
  this->expect_near(this->row(0), {0, 2, 7, 0, 0, 1, 1, 0}, 1e-6);
  EXPECT_EQ(this->row(1)[0], 1);
  layer->Forward(this->bottom, this->top);  // the second and the third
  ASSERT_EQ(this->top[1]->shape(), (std::vector<int>{1, 1, 1, 8}));
  EXPECT_EQ(this->row(0)[0], 1);
}

TYPED_TEST(AnnotatedDataLayerTest, ABatchWithoutBoxes) {
  this->write({scene(8, 8, {}, false)});
  const auto layer = this->start(this->text("batch_size: 2"));
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{1, 1, 1, 8}));
  EXPECT_EQ(this->row(0), std::vector<double>(8, -1));
}

TYPED_TEST(AnnotatedDataLayerTest, RecordsWithoutATypeHaveLabels) {
  AnnotatedDatum datum = scene(8, 8, {{2, {1, 1, 4, 4}}}, false);
  datum.clear_type();
  datum.mutable_datum()->set_label(5);
  this->write({datum});
  const auto layer = this->start(this->text("batch_size: 2"));
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{2}));
  EXPECT_EQ(this->data(*this->top[1]), (std::vector<double>{5, 5}));
  const auto boxes = this->start(this->text("batch_size: 2", "", "anno_type: BBOX"));
  boxes->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{1, 1, 2, 8}));
}

TYPED_TEST(AnnotatedDataLayerTest, BoxesFollowThePixels) {
  std::vector<AnnotatedDatum> datums;
  for (int i = 0; i < 12; ++i) {
    datums.push_back(scene(
        90 + i, 120 - 2 * i,
        {{1, {10 + i, 12, 30, 25}}, {2, {60, 40 - i, 22, 44}}, {3, {2, 60, 50, 20 + i}}}, i % 2));
  }
  this->write(datums);
  const string samplers =
      "batch_sampler { max_sample: 1 max_trials: 1 } "
      "batch_sampler { sampler { min_scale: 0.4 max_scale: 1 min_aspect_ratio: 0.5 "
      "  max_aspect_ratio: 2 } sample_constraint { min_object_coverage: 0.3 } max_sample: 2 "
      "  max_trials: 50 }";
  const string nearest = " interp_mode: NEAREST } mirror: true ";
  const std::vector<string> transforms = {
      "resize_param { height: 64 width: 80" + nearest,
      "expand_param { max_expand_ratio: 2 } emit_constraint { emit_type: CENTER } "
      "resize_param { height: 96 width: 96" +
          nearest,
      "resize_param { resize_mode: FIT_LARGE_SIZE_AND_PAD height: 100 width: 80" + nearest,
      "resize_param { resize_mode: FIT_SMALL_SIZE height: 90 width: 90" + nearest +
          "crop_h: 70 crop_w: 88",
      "resize_param { height: 90 width: 90" + nearest + "crop_size: 60"};
  for (const string& transform : transforms) {
    int boxes = 0, mirrored = 0;
    const auto layer = this->start(this->text("batch_size: 6", transform, samplers));
    for (int batch = 0; batch < 8; ++batch) {
      layer->Forward(this->bottom, this->top);
      this->expect_boxes_on_pixels();
      boxes += this->top[1]->height();
      for (int i = 0; i < this->top[1]->height(); ++i) mirrored += this->row(i)[3] > 0.5;
    }
    EXPECT_GT(boxes, 48) << transform;
    EXPECT_GT(mirrored, 0) << transform;
    EXPECT_FALSE(this->HasFailure()) << transform;
  }
  // In a test, the centre is cropped.
  const auto layer = this->start(
      this->text("batch_size: 1", "resize_param { height: 90 width: 120 } crop_size: 60"), TEST);
  layer->Forward(this->bottom, this->top);
  this->expect_near({this->row(0)[4]}, {0}, 1e-6);         // row 12 is above row 15
  this->expect_near({this->row(0)[6]}, {22. / 60}, 1e-6);  // row 37 of 90
}

TYPED_TEST(AnnotatedDataLayerTest, TheSameForAnyNumberOfThreads) {
  std::vector<AnnotatedDatum> datums;
  for (int i = 0; i < 9; ++i) datums.push_back(scene(40, 50, {{1, {i, 12, 30, 25}}}, i % 2));
  this->write(datums);
  const string text = this->text(
      "batch_size: 5",
      "mirror: true mean_value: [104, 117, 123] scale: 0.5 resize_param { height: 32 width: 32 "
      "interp_mode: [LINEAR, AREA, CUBIC] } noise_param { prob: 0.5 saltpepper: true "
      "saltpepper_param { fraction: 0.1 } } expand_param { prob: 0.5 max_expand_ratio: 3 } "
      "distort_param { brightness_prob: 0.5 brightness_delta: 32 contrast_prob: 0.5 "
      "contrast_lower: 0.5 contrast_upper: 1.5 saturation_prob: 0.5 saturation_lower: 0.5 "
      "saturation_upper: 1.5 hue_prob: 0.5 hue_delta: 18 random_order_prob: 0.3 }",
      "batch_sampler { sampler { min_scale: 0.3 } max_sample: 1 }");
  const auto run = [&](const char* threads, int seed) {
    setenv("CAFFE_DATA_THREADS", threads, 1);
    Caffe::set_random_seed(seed);
    const auto layer = this->start(text);
    std::vector<double> all;
    for (int i = 0; i < 4; ++i) {
      layer->Forward(this->bottom, this->top);
      for (const Blob<typename TypeParam::Dtype>* const blob : this->top) {
        const auto values = this->data(*blob);
        all.insert(all.end(), values.begin(), values.end());
      }
    }
    unsetenv("CAFFE_DATA_THREADS");
    return all;
  };
  const std::vector<double> one = run("1", 1);
  EXPECT_EQ(run("3", 1), one);
  EXPECT_EQ(run("4", 1), one);
  EXPECT_NE(run("1", 2), one);
}

/// Two ranks read in turn, and change an image as one rank with a batch of both does.
TYPED_TEST(AnnotatedDataLayerTest, RanksDrawWhatOneRankDraws) {
  std::vector<AnnotatedDatum> datums;
  for (int i = 0; i < 5; ++i) datums.push_back(scene(40, 50, {{1, {i, 12, 30, 25}}}, i % 2));
  this->write(datums);
  const auto images = [&](int rank, int ranks) {
    Caffe::set_solver_count(ranks);
    Caffe::set_solver_rank(rank);
    Caffe::set_random_seed(1);
    const auto layer = this->start(
        this->text("batch_size: " + std::to_string(2 / ranks), "mirror: true crop_size: 32",
                   "batch_sampler { sampler { min_scale: 0.9 } max_sample: 1 }"));
    std::vector<std::vector<double>> all;
    for (int i = 0; i < 4; ++i) {
      layer->Forward(this->bottom, this->top);
      const std::vector<double> batch = this->data(*this->top[0]);
      const size_t image = batch.size() / this->top[0]->num();
      for (size_t n = 0; n < batch.size(); n += image) {
        all.emplace_back(batch.begin() + n, batch.begin() + n + image);
      }
    }
    Caffe::set_solver_rank(0);
    Caffe::set_solver_count(1);
    return all;
  };
  const auto one = images(0, 1), even = images(0, 2), odd = images(1, 2);
  ASSERT_EQ(one.size(), 8u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(even[i], one[2 * i]) << i;
    EXPECT_EQ(odd[i], one[2 * i + 1]) << i;
  }
}

/// mean_file's image is cropped and mirrored with the pixels.
TYPED_TEST(AnnotatedDataLayerTest, MeanFile) {
  const AnnotatedDatum datum = scene(20, 24, {{1, {4, 5, 8, 10}}}, true);
  this->write({datum});
  Datum pixels = datum.datum();
  DecodeDatumNative(&pixels);
  BlobProto mean;
  mean.set_num(1);
  mean.set_channels(3);
  mean.set_height(20);
  mean.set_width(24);
  for (const char c : pixels.data()) mean.add_data(static_cast<unsigned char>(c) - 3.f);
  WriteProtoToBinaryFile(mean, this->dir_ / "mean.binaryproto");
  const string mean_file = "mean_file: '" + (this->dir_ / "mean.binaryproto") + "' ";
  const auto layer =
      this->start(this->text("batch_size: 4", mean_file + "mirror: true crop_h: 10 crop_w: 12"));
  for (int i = 0; i < 3; ++i) {
    layer->Forward(this->bottom, this->top);
    for (const double x : this->data(*this->top[0])) ASSERT_EQ(x, 3);
  }
}

TYPED_TEST(AnnotatedDataLayerTest, Errors) {
  this->write({scene(8, 10, {{2, {1, 1, 4, 4}}}, false)});
  const string mine = "layer 'under_test' (AnnotatedData): ";
  const auto start = [&](const string& transform, const string& annotated = "") {
    this->start(this->text("batch_size: 2", transform, annotated));
  };
  EXPECT_ERROR(start("crop_size: 9"), mine + "record 'key100'");
  EXPECT_ERROR(start("crop_size: 4 crop_h: 4 crop_w: 4"), "crop_size and crop_h");
  EXPECT_ERROR(start("crop_h: 4"), "give both");
  EXPECT_ERROR(start("crop_h: 4 crop_w: 11"), "crop_h x crop_w = 4 x 11");
  EXPECT_ERROR(start("resize_param { }"), "give height and width");
  EXPECT_ERROR(start("resize_param { resize_mode: FIT_SMALL_SIZE height: 4 width: 4 }"),
               "batch_size: 1");
  EXPECT_ERROR(start("distort_param { hue_prob: 2 }"), mine + "distort_param.hue_prob");
  EXPECT_ERROR(start("expand_param { max_expand_ratio: 0 }"), "max_expand_ratio");
  EXPECT_ERROR(start("", "batch_sampler { use_original_image: false }"), "use_original_image");
  EXPECT_ERROR(start("", "label_map_file: 'none.prototxt'"), "none.prototxt");
  write_file(this->dir_ / "map.prototxt", "item { name: 'a' label: 1 }");
  EXPECT_ERROR(start("", "label_map_file: '" + (this->dir_ / "map.prototxt") + "'"),
               "an object has class 2");
  std::filesystem::remove_all(this->path());
  write_database(this->path(), std::vector<Datum>{raw(picture(3, 4, 4), 1)});
  EXPECT_ERROR(start(""), "a database of Datums is for Data");
  std::filesystem::remove_all(this->path());
  AnnotatedDatum of_floats;
  *of_floats.mutable_datum() = floats(picture(3, 4, 4), 1);
  this->write({of_floats});
  EXPECT_ERROR(start(""), "float_data");
}

}  // namespace caffe
