#include "caffe/data_transformer.hpp"

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "caffe/util/io.hpp"
#include "fixtures.hpp"
#include "google/protobuf/text_format.h"
#include "images.hpp"
#include "temp_dir.hpp"

namespace caffe {
namespace {

Datum datum_of(const cv::Mat& image) {
  Datum datum;
  CVMatToDatum(image, &datum);
  return datum;
}

/// The same values as float_data, and a half more so that no byte can hold them.
Datum float_datum_of(const cv::Mat& image) {
  Datum datum = datum_of(image);
  for (const char c : datum.data()) datum.add_float_data(static_cast<unsigned char>(c) + 0.5f);
  datum.clear_data();
  return datum;
}

Datum encoded_datum_of(const cv::Mat& image) {
  std::vector<unsigned char> bytes;
  cv::imencode(".png", image, bytes);
  Datum datum;
  datum.set_encoded(true);
  datum.set_data(bytes.data(), bytes.size());
  return datum;
}

template <typename T>
class DataTransformerTest : public ::testing::Test {
 protected:
  typedef DataTransformer<T> Transformer;

  void SetUp() override { Caffe::set_random_seed(1701); }

  std::unique_ptr<Transformer> make(const std::string& text, Phase phase = TEST) {
    TransformationParameter param;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param)) << text;
    std::unique_ptr<Transformer> transformer(new Transformer(param, phase));
    transformer->InitRand();
    return transformer;
  }
  /// The result of transform_param `text` for an image.
  template <typename Image>
  std::vector<T> run(const std::string& text, const Image& image, Phase phase = TEST) {
    const auto transformer = make(text, phase);
    Blob<T> blob(transformer->InferBlobShape(image));
    transformer->Transform(image, &blob);
    return values(blob);
  }
  static std::vector<T> values(const Blob<T>& blob) {
    return std::vector<T>(blob.cpu_data(), blob.cpu_data() + blob.count());
  }
  /// The formula, pixel by pixel.
  template <typename Mean>
  std::vector<T> expected(int size, int top, int left, bool mirror, const Mean& mean, T scale,
                          T add = 0) {
    std::vector<T> y;
    for (int c = 0; c < 3; ++c) {
      for (int h = top; h < top + size; ++h) {
        for (int w = 0; w < size; ++w) {
          const int from = left + (mirror ? size - 1 - w : w);
          y.push_back((image_.ptr(h)[from * 3 + c] + add - mean(c, h, from)) * scale);
        }
      }
    }
    return y;
  }
  static T no_mean(int, int, int) { return 0; }

  const cv::Mat image_ = picture(3, 19, 19);
};
TYPED_TEST_SUITE(DataTransformerTest, Dtypes);

TYPED_TEST(DataTransformerTest, PixelsBecomePlanes) {
  const auto expected = this->expected(19, 0, 0, false, this->no_mean, 1);
  EXPECT_EQ(this->run("", this->image_), expected);
  EXPECT_EQ(this->run("", datum_of(this->image_)), expected);
  EXPECT_EQ(this->run("", encoded_datum_of(this->image_)), expected);
  EXPECT_EQ(this->run("", float_datum_of(this->image_)),
            this->expected(19, 0, 0, false, this->no_mean, 1, 0.5));
}

TYPED_TEST(DataTransformerTest, MeanValueScaleAndTheCropInTheMiddle) {
  const auto one = [](int, int, int) { return TypeParam(100); };
  const auto three = [](int c, int, int) { return TypeParam(101 + c); };
  const TypeParam scale = 0.017f;
  for (const int crop : {12, 13, 19}) {
    const std::string size = " crop_size: " + std::to_string(crop) + " scale: 0.017";
    const int at = (19 - crop) / 2;
    EXPECT_EQ(this->run("mean_value: 100" + size, this->image_),
              this->expected(crop, at, at, false, one, scale));
    const std::string means = "mean_value: 101 mean_value: 102 mean_value: 103";
    const auto expected = this->expected(crop, at, at, false, three, scale);
    EXPECT_EQ(this->run(means + size, this->image_), expected);
    EXPECT_EQ(this->run(means + size, datum_of(this->image_)), expected);
    EXPECT_EQ(this->run(means + size, encoded_datum_of(this->image_)), expected);
  }
}

TYPED_TEST(DataTransformerTest, TheMeanFileIsCroppedWithTheImage) {
  TempDir dir;
  BlobProto mean;
  mean.set_num(1);
  mean.set_channels(3);
  mean.set_height(19);
  mean.set_width(19);
  for (int i = 0; i < 3 * 19 * 19; ++i) mean.add_data(0.25f * i);
  WriteProtoToBinaryFile(mean, dir / "mean.binaryproto");
  const auto at = [](int c, int h, int w) { return TypeParam(0.25) * ((c * 19 + h) * 19 + w); };
  const std::string text = "mean_file: '" + dir / "mean.binaryproto'" + " crop_size: 7 scale: 2";
  const auto expected = this->expected(7, 6, 6, false, at, 2);
  EXPECT_EQ(this->run(text, this->image_), expected);
  EXPECT_EQ(this->run(text, datum_of(this->image_)), expected);
  EXPECT_EQ(this->run(text, float_datum_of(this->image_)),
            this->expected(7, 6, 6, false, at, 2, 0.5));
  EXPECT_ERROR(this->run(text, picture(3, 19, 20)), "mean.binaryproto");
  EXPECT_ERROR(this->run(text, picture(1, 19, 19)), "mean.binaryproto");
  EXPECT_ERROR(this->make(text + " mean_value: 1"), "remove one of them");
  EXPECT_ERROR(this->make("mean_file: '" + dir / "none'"), "none");
  mean.set_num(3);
  mean.set_channels(1);
  WriteProtoToBinaryFile(mean, dir / "other");
  EXPECT_ERROR(this->make("mean_file: '" + dir / "other'"), "does not contain an image");
}

/// In training, every position and both orientations must occur, and nothing else.
TYPED_TEST(DataTransformerTest, RandomCropsAndMirrors) {
  const auto transformer = this->make("crop_size: 17 mirror: true", TRAIN);
  std::map<std::vector<TypeParam>, int> counts;
  for (int top = 0; top < 3; ++top) {
    for (int left = 0; left < 3; ++left) {
      for (const bool mirror : {false, true}) {
        counts[this->expected(17, top, left, mirror, this->no_mean, 1)] = 0;
      }
    }
  }
  ASSERT_EQ(counts.size(), 18u);
  Blob<TypeParam> blob(transformer->InferBlobShape(this->image_));
  for (int i = 0; i < 1800; ++i) {
    transformer->Transform(this->image_, &blob);
    const auto found = counts.find(this->values(blob));
    ASSERT_NE(found, counts.end());
    ++found->second;
  }
  for (const auto& count : counts) EXPECT_NEAR(count.second, 100, 45);
}

TYPED_TEST(DataTransformerTest, TheSameSeedGivesTheSame) {
  const auto run = [&](unsigned int seed) {
    Caffe::set_random_seed(seed);
    const auto transformer = this->make("crop_size: 9 mirror: true", TRAIN);
    const std::vector<cv::Mat> images(20, this->image_);
    Blob<TypeParam> blob(transformer->InferBlobShape(images));
    transformer->Transform(images, &blob);
    return this->values(blob);
  };
  EXPECT_EQ(run(3), run(3));
  EXPECT_NE(run(3), run(4));
}

TYPED_TEST(DataTransformerTest, AnItemsOwnGenerator) {
  const auto transformer = this->make("crop_size: 9 mirror: true", TRAIN);
  const Pixels pixels = transformer->pixels_of(this->image_);
  const std::vector<int> shape = transformer->shape_of(pixels);
  const auto run = [&](int item) {
    std::vector<TypeParam> values(3 * 9 * 9);
    ItemRandom random(5, item);
    transformer->transform(pixels, &random, shape, values.data());
    return values;
  };
  std::set<std::vector<TypeParam>> seen;
  for (int item = 0; item < 20; ++item) {
    EXPECT_EQ(run(item), run(item));
    seen.insert(run(item));
  }
  EXPECT_GT(seen.size(), 15u);
}

TYPED_TEST(DataTransformerTest, Mirrors) {
  // In the TEST phase, random numbers decide only about the mirror.
  const auto transformer = this->make("mirror: true scale: 0.5 mean_value: 3");
  const auto mean = [](int, int, int) { return TypeParam(3); };
  const auto as_it_is = this->expected(19, 0, 0, false, mean, 0.5);
  const auto mirrored = this->expected(19, 0, 0, true, mean, 0.5);
  int mirrors = 0;
  Blob<TypeParam> blob(transformer->InferBlobShape(this->image_));
  for (int i = 0; i < 100; ++i) {
    transformer->Transform(this->image_, &blob);
    ASSERT_TRUE(this->values(blob) == as_it_is || this->values(blob) == mirrored);
    mirrors += this->values(blob) == mirrored;
  }
  EXPECT_NEAR(mirrors, 50, 25);
}

TYPED_TEST(DataTransformerTest, ManyImages) {
  const auto transformer = this->make("crop_size: 4");
  const std::vector<cv::Mat> images{this->image_, picture(3, 8, 5, 2)};  // sizes may differ
  std::vector<Datum> datums;
  for (const cv::Mat& image : images) datums.push_back(datum_of(image));
  EXPECT_EQ(transformer->InferBlobShape(images), (std::vector<int>{2, 3, 4, 4}));
  EXPECT_EQ(transformer->InferBlobShape(datums), (std::vector<int>{2, 3, 4, 4}));
  Blob<TypeParam> of_images(3, 3, 4, 4), of_datums(3, 3, 4, 4), one(1, 3, 4, 4);
  transformer->Transform(images, &of_images);
  transformer->Transform(datums, &of_datums);
  EXPECT_EQ(this->values(of_images), this->values(of_datums));
  transformer->Transform(images[1], &one);
  EXPECT_EQ(std::vector<TypeParam>(of_images.cpu_data() + 48, of_images.cpu_data() + 96),
            this->values(one));
  EXPECT_ERROR(transformer->Transform(images, &one), "more images than the batch's 1");
  EXPECT_ERROR(transformer->Transform(std::vector<Datum>(), &one), "no Datum");
  EXPECT_ERROR(transformer->InferBlobShape(std::vector<cv::Mat>()), "no image");
}

TYPED_TEST(DataTransformerTest, Blobs) {
  const auto transformer = this->make("crop_size: 5 mean_value: 3 scale: 2");
  Blob<TypeParam> input(2, 1, 7, 9), output;
  for (int i = 0; i < input.count(); ++i) input.mutable_cpu_data()[i] = i;
  transformer->Transform(&input, &output);
  ASSERT_EQ(output.shape(), (std::vector<int>{2, 1, 5, 5}));
  for (int n = 0; n < 2; ++n) {
    EXPECT_EQ(output.data_at(n, 0, 2, 3), (input.data_at(n, 0, 3, 5) - 3) * 2);
  }
  EXPECT_EQ(input.cpu_data()[1], 1);
  Blob<TypeParam> small(1, 1, 5, 5);
  EXPECT_ERROR(transformer->Transform(&input, &small), "more images, 2, than");
}

TYPED_TEST(DataTransformerTest, ForcesColors) {
  const cv::Mat gray = picture(1, 6, 6);
  EXPECT_EQ(this->run("", encoded_datum_of(gray)).size(), 36u);
  EXPECT_EQ(this->run("force_color: true", encoded_datum_of(gray)).size(), 108u);
  EXPECT_EQ(this->run("force_gray: true", encoded_datum_of(this->image_)).size(), 361u);
  EXPECT_EQ(this->run("force_gray: true", datum_of(this->image_)).size(), 3 * 361u);
  EXPECT_ERROR(this->make("force_color: true force_gray: true"), "remove one");
}

/// SSD's: crops that are not square, and images that are resized first.
TYPED_TEST(DataTransformerTest, CropsOfHeightAndWidth) {
  const auto values = this->run("crop_h: 5 crop_w: 9", this->image_);
  ASSERT_EQ(values.size(), 3 * 5 * 9u);
  for (int h = 0; h < 5; ++h) {
    for (int w = 0; w < 9; ++w) {
      EXPECT_EQ(values[45 + h * 9 + w], this->image_.ptr(7 + h)[(5 + w) * 3 + 1]);
    }
  }
  std::set<std::vector<TypeParam>> seen;
  const auto transformer = this->make("crop_h: 18 crop_w: 18", TRAIN);
  Blob<TypeParam> blob(transformer->InferBlobShape(this->image_));
  for (int i = 0; i < 60; ++i) {
    transformer->Transform(this->image_, &blob);
    seen.insert(this->values(blob));
  }
  EXPECT_EQ(seen.size(), 4u);
  EXPECT_ERROR(this->make("crop_h: 5"), "give both");
  EXPECT_ERROR(this->make("crop_size: 4000000000"), "longer than any image");
  EXPECT_ERROR(this->make("crop_size: 5 crop_h: 5 crop_w: 5"), "remove one");
  EXPECT_ERROR(this->run("crop_h: 5 crop_w: 20", this->image_),
               "crop_h x crop_w = 5 x 20 is larger than an image of 19 x 19");
}

TYPED_TEST(DataTransformerTest, ResizesFirst) {
  cv::Mat resized;
  cv::resize(this->image_, resized, cv::Size(12, 10));
  const string resize = "resize_param { height: 10 width: 12 } ";
  const auto expected = this->run("crop_size: 8 mean_value: 7", resized);
  const string all = resize + "crop_size: 8 mean_value: 7";
  EXPECT_EQ(this->run(all, this->image_), expected);
  EXPECT_EQ(this->run(all, datum_of(this->image_)), expected);
  EXPECT_EQ(this->run(all, encoded_datum_of(this->image_)), expected);
  cv::Mat inverse;
  cv::bitwise_not(this->image_, inverse);
  EXPECT_EQ(this->run("noise_param { prob: 1 inverse: true }", this->image_),
            this->run("", inverse));
  EXPECT_ERROR(this->make("resize_param { height: 3 }"), "give height and width");
}

TYPED_TEST(DataTransformerTest, ErrorsSayWhatDoesNotFit) {
  EXPECT_ERROR(this->run("crop_size: 20", this->image_),
               "crop_size 20 is larger than an image of 19 x 19");
  EXPECT_ERROR(this->run("mean_value: 1 mean_value: 2", this->image_), "2 mean_value for 3");
  EXPECT_ERROR(this->run("", cv::Mat(3, 3, CV_16UC1, cv::Scalar(0))), "8 bits");
  EXPECT_ERROR(this->run("", cv::Mat()), "empty");
  Datum datum = datum_of(this->image_);
  datum.mutable_data()->pop_back();
  EXPECT_ERROR(this->run("", datum), "a Datum of shape 3 19 19 holds 1082 bytes");
  EXPECT_ERROR(this->run("", Datum()), "a Datum of shape 0 0 0");
  datum = encoded_datum_of(this->image_);
  datum.mutable_data()->resize(20);
  EXPECT_ERROR(this->run("", datum), "an encoded image");
  Blob<TypeParam> blob(1, 3, 19, 18);
  EXPECT_ERROR(this->make("")->Transform(this->image_, &blob), "3 19 19 does not fit into");
  TransformationParameter param;
  param.set_mirror(true);
  blob.Reshape(1, 3, 19, 19);
  EXPECT_ERROR(DataTransformer<TypeParam>(param, TRAIN).Transform(this->image_, &blob),
               "InitRand()");
}

}  // namespace
}  // namespace caffe
