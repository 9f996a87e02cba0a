#include <opencv2/imgcodecs.hpp>

#include "caffe/layers/base_data_layer.hpp"
#include "caffe/layers/data_layer.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/math_functions.hpp"
#include "datums.hpp"
#include "fixtures.hpp"
#include "google/protobuf/text_format.h"
#include "images.hpp"
#include "temp_dir.hpp"

namespace caffe {
namespace {

/// Data layers for a net on a GPU, to which images go as bytes, beside the same on the CPU.
template <typename T>
class DataOnGpuTest : public ::testing::Test {
 protected:
  typedef std::vector<std::vector<T>> Batches;  // data, labels, data ...

  void SetUp() override {
    if (Caffe::FindDevice() < 0) GTEST_SKIP() << "no GPU";
  }
  void TearDown() override { Caffe::set_mode(Caffe::CPU); }

  std::shared_ptr<Layer<T>> start(const string& text, Caffe::Brew mode, Phase phase = TRAIN) {
    LayerParameter param;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param)) << text;
    param.set_name("under_test");
    param.set_phase(phase);
    return start(LayerRegistry<T>::CreateLayer(param), mode);
  }
  std::shared_ptr<Layer<T>> start(std::shared_ptr<Layer<T>> layer, Caffe::Brew mode) {
    Caffe::set_mode(mode);
    Caffe::set_random_seed(1701);
    layer->SetUp({}, top_);
    return layer;
  }
  void next(Layer<T>* layer, Batches* batches) {
    layer->Forward({}, top_);
    for (const Blob<T>* blob : top_) {
      batches->push_back(values(*blob));
      batches->back().insert(batches->back().begin(), blob->shape().begin(), blob->shape().end());
    }
  }
  Batches run(const string& text, Caffe::Brew mode, Phase phase = TRAIN, int count = 6) {
    const auto layer = start(text, mode, phase);
    Batches batches;
    for (int i = 0; i < count; ++i) next(layer.get(), &batches);
    return batches;
  }
  void expect_the_same(const string& text) {
    for (const Phase phase : {TRAIN, TEST}) {
      const Batches expected = run(text, Caffe::CPU, phase);
      EXPECT_EQ(run(text, Caffe::GPU, phase), expected) << text << " phase " << phase;
    }
  }
  static std::vector<T> values(const Blob<T>& blob) {
    return std::vector<T>(blob.cpu_data(), blob.cpu_data() + blob.count());
  }

  string data_text(const string& param, const string& transform = "") const {
    return "type: 'Data' data_param { source: '" + dir_ / "db" + "' backend: LMDB " + param +
           "} transform_param {" + transform + "}";
  }
  void write_records(const std::vector<Datum>& datums) {
    std::filesystem::remove_all(dir_ / "db");
    write_database(dir_ / "db", datums);
  }
  /// A mean image, as a setting.
  string mean_file(int height, int width) {
    BlobProto mean;
    mean.set_num(1);
    mean.set_channels(3);
    mean.set_height(height);
    mean.set_width(width);
    for (int i = 0; i < 3 * height * width; ++i) mean.add_data(0.37f * (i % 311));
    WriteProtoToBinaryFile(mean, dir_ / "mean");
    return "mean_file: '" + dir_ / "mean" + "'";
  }
  /// The list of images that ImageData reads: pictures of these sizes.
  string write_images(const std::vector<cv::Size>& sizes) {
    string list;
    for (size_t i = 0; i < sizes.size(); ++i) {
      const string name = std::to_string(i) + ".png";
      cv::imwrite(dir_ / name, picture(3, sizes[i].height, sizes[i].width, int(i) + 1));
      list += name + " " + std::to_string(i) + "\n";
    }
    write_file(dir_ / "list.txt", list);
    return "source: '" + dir_ / "list.txt" + "' root_folder: '" + dir_.path() + "/' ";
  }

  TempDir dir_;
  Blob<T> data_, label_;
  std::vector<Blob<T>*> top_{&data_, &label_};
};
TYPED_TEST_SUITE(DataOnGpuTest, Dtypes);

TYPED_TEST(DataOnGpuTest, EveryTransformation) {
  std::vector<Datum> datums;
  for (int i = 0; i < 7; ++i) {
    datums.push_back(i % 3 == 1 ? raw(picture(3, 11, 13, i + 1), i)
                                : encoded(picture(3, 11, 13, i + 1), i));
  }
  this->write_records(datums);
  const string values = "mean_value: 103.939 mean_value: 116.779 mean_value: 123.68";
  for (const string& mean :
       {string(), string("mean_value: 7.7"), values, this->mean_file(11, 13)}) {
    for (const string crop : {"", " crop_size: 6"}) {
      for (const string rest : {"", " mirror: true scale: 0.017"}) {
        this->expect_the_same(this->data_text("batch_size: 4", mean + crop + rest));
      }
    }
  }
}

TYPED_TEST(DataOnGpuTest, EveryKindOfRecord) {
  const cv::Mat color = picture(3, 9, 10), gray = picture(1, 9, 10, 2);
  const std::vector<std::vector<Datum>> kinds = {
      {raw(color, 1), raw(picture(3, 9, 10, 3), 2)},
      {encoded(gray, 1), raw(gray, 2), encoded(picture(1, 9, 10, 4), 3)},
      {floats(color, 1), floats(picture(3, 9, 10, 3), 2)},
      {raw(color, 1), floats(picture(3, 9, 10, 3), 2), encoded(color, 3)},
      {floats(color, 1), encoded(picture(3, 9, 10, 3), 2), raw(color, 3)}};
  for (const std::vector<Datum>& datums : kinds) {
    this->write_records(datums);
    this->expect_the_same(this->data_text("batch_size: 4", "crop_size: 5 mirror: true scale: 0.3"));
  }
  this->write_records({encoded(color, 1), encoded(gray, 2)});
  for (const string force : {"force_color: true", "force_gray: true"}) {
    this->expect_the_same(this->data_text("batch_size: 3", force + " mean_value: 8"));
  }
}

TYPED_TEST(DataOnGpuTest, AnyNumberOfBatchesAhead) {
  std::vector<Datum> datums;
  for (int i = 0; i < 5; ++i) datums.push_back(raw(picture(3, 8, 8, i + 1), i));
  this->write_records(datums);
  for (const string prefetch : {"prefetch: 1", "prefetch: 2", "prefetch: 7"}) {
    const string text = this->data_text("batch_size: 2 " + prefetch, "mirror: true");
    EXPECT_EQ(this->run(text, Caffe::GPU, TRAIN, 20), this->run(text, Caffe::CPU, TRAIN, 20));
  }
}

TYPED_TEST(DataOnGpuTest, ShapesThatChange) {
  this->write_records({raw(picture(3, 4, 5), 0), encoded(picture(1, 9, 3), 1),
                       floats(picture(3, 2, 2), 2), raw(picture(3, 12, 12), 3)});
  this->expect_the_same(this->data_text("batch_size: 1", "mirror: true mean_value: 2"));
}

TYPED_TEST(DataOnGpuTest, ImageFiles) {
  const string files = this->write_images({{12, 10}, {30, 9}, {8, 8}, {17, 23}, {9, 40}});
  for (const string param : {"is_color: true", "is_color: false", "new_height: 9 new_width: 11"}) {
    for (const string transform : {"crop_size: 8 mirror: true mean_value: 4", "crop_size: 5"}) {
      this->expect_the_same("type: 'ImageData' image_data_param {" + files + param +
                            " batch_size: 4 shuffle: true} transform_param {" + transform + "}");
    }
  }
}

TYPED_TEST(DataOnGpuTest, WindowsOfImages) {
  cv::imwrite(this->dir_ / "a.png", picture(3, 40, 50));
  write_file(this->dir_ / "windows.txt",
             "# 0\na.png\n3\n40\n50\n4\n7 0.9 10 5 29 34\n3 0.1 0 0 9 19\n1 1 0 10 19 29\n"
             "2 1 45 3 49 39\n");
  for (const string param : {"", "context_pad: 2", "context_pad: 3 crop_mode: 'square'"}) {
    for (const string& mean : {string("mean_value: 9"), this->mean_file(21, 19)}) {
      this->expect_the_same("type: 'WindowData' window_data_param { source: '" +
                            this->dir_ / "windows.txt" + "' root_folder: '" + this->dir_.path() +
                            "/' batch_size: 6 fg_fraction: 0.6 scale: 0.7 " + param +
                            "} transform_param { crop_size: 16 mirror: true " + mean + "}");
    }
  }
}

TYPED_TEST(DataOnGpuTest, TheModeMayChangeBetweenBatches) {
  std::vector<Datum> datums;
  for (int i = 0; i < 9; ++i) datums.push_back(encoded(picture(3, 7, 8, i + 1), i));
  this->write_records(datums);
  const string text = this->data_text("batch_size: 2", "crop_size: 4 mirror: true scale: 3");
  const auto expected = this->run(text, Caffe::CPU, TRAIN, 30);
  for (const Caffe::Brew first : {Caffe::CPU, Caffe::GPU}) {
    const auto layer = this->start(text, first);
    typename TestFixture::Batches batches;
    for (int i = 0; i < 30; ++i) {
      Caffe::set_mode((i / 7 % 2 == 0) == (first == Caffe::GPU) ? Caffe::GPU : Caffe::CPU);
      this->next(layer.get(), &batches);
    }
    EXPECT_EQ(batches, expected);
  }
}

TYPED_TEST(DataOnGpuTest, ANetMayDoWithItsBlobsWhatItLikes) {
  std::vector<Datum> datums;
  for (int i = 0; i < 5; ++i) datums.push_back(raw(picture(3, 6, 6, i + 1), i));
  this->write_records(datums);
  const string text = this->data_text("batch_size: 2");
  const auto expected = this->run(text, Caffe::CPU, TRAIN, 12);
  const auto layer = this->start(text, Caffe::GPU);
  Blob<TypeParam> shared;
  typename TestFixture::Batches batches;
  for (int i = 0; i < 12; ++i) {
    this->next(layer.get(), &batches);
    if (i > 0) {
      EXPECT_EQ(this->values(shared), this->values(this->data_)) << "it shares the blob's memory";
    }
    shared.ReshapeLike(this->data_);
    shared.ShareData(this->data_);
    this->data_.scale_data(TypeParam(-1));  // as a layer in place does
    this->label_.mutable_cpu_data()[0] = 77;
  }
  EXPECT_EQ(batches, expected);
}

TYPED_TEST(DataOnGpuTest, MemoryThatSomeoneHoldsKeepsItsValues) {
  std::vector<Datum> datums;
  for (int i = 0; i < 5; ++i) datums.push_back(raw(picture(3, 6, 6, i + 1), i));
  this->write_records(datums);
  for (const string prefetch : {"prefetch: 1", "prefetch: 3"}) {
    const auto layer = this->start(this->data_text("batch_size: 2 " + prefetch), Caffe::GPU);
    std::vector<std::shared_ptr<void>> data, labels;
    typename TestFixture::Batches batches;
    for (int i = 0; i < 8; ++i) {
      layer->Forward({}, this->top_);
      data.push_back(this->data_.data()->share_gpu_data());
      labels.push_back(this->label_.data()->share_cpu_data());
    }
    const auto expected = this->run(this->data_text("batch_size: 2"), Caffe::CPU, TRAIN, 8);
    for (int i = 0; i < 8; ++i) {
      Caffe::set_mode(Caffe::GPU);
      std::vector<TypeParam> values(this->data_.count());
      device::copy(values.data(), data[i].get(), values.size() * sizeof(values[0]));
      EXPECT_TRUE(std::equal(values.begin(), values.end(), expected[2 * i].begin() + 4)) << i;
      EXPECT_EQ(static_cast<TypeParam*>(labels[i].get())[1], expected[2 * i + 1][2]) << i;
    }
  }
}

/// As an array in Python does; a layer in place may have changed the GPU's values since.
TYPED_TEST(DataOnGpuTest, AnArrayOfATopKeepsItsValues) {
  std::vector<Datum> bytes, values;
  for (int i = 0; i < 7; ++i) {
    bytes.push_back(raw(picture(3, 6, 6, i + 1), i));
    values.push_back(floats(picture(3, 6, 6, i + 1), i));
  }
  for (const std::vector<Datum>& datums : {bytes, values}) {
    this->write_records(datums);
    const string text = this->data_text("batch_size: 2");
    const auto expected = this->run(text, Caffe::CPU, TRAIN, 12);
    const auto layer = this->start(text, Caffe::GPU);
    std::vector<std::shared_ptr<void>> arrays;
    for (int i = 0; i < 12; ++i) {
      Caffe::set_mode(i % 5 == 3 ? Caffe::CPU : Caffe::GPU);
      layer->Forward({}, this->top_);
      for (Blob<TypeParam>* blob : this->top_) {
        arrays.push_back(blob->data()->share_cpu_data());
        Caffe::set_mode(Caffe::GPU);
        if (i % 2 == 0) caffe_gpu_set(blob->count(), TypeParam(-5), blob->mutable_gpu_data());
      }
    }
    for (size_t i = 0; i < arrays.size(); ++i) {
      const TypeParam* const array = static_cast<const TypeParam*>(arrays[i].get());
      const size_t axes = i % 2 == 0 ? 4 : 1;
      EXPECT_TRUE(std::equal(expected[i].begin() + axes, expected[i].end(), array)) << i;
    }
  }
}

/// A user's layer, written for Caffe, that changes what DataLayer has loaded.
template <typename T>
class BrighterLayer : public DataLayer<T> {
 public:
  using DataLayer<T>::DataLayer;
  ~BrighterLayer() override { this->StopInternalThread(); }

 protected:
  void load_batch(Batch<T>* batch) override {
    DataLayer<T>::load_batch(batch);
    T* const data = batch->data_.mutable_cpu_data();
    for (int i = 0; i < batch->data_.count(); ++i) data[i] += 1000;
    batch->label_.mutable_cpu_data()[0] += 10;
  }
};

TYPED_TEST(DataOnGpuTest, ADerivedClassFindsValuesInTheBatch) {
  std::vector<Datum> datums;
  for (int i = 0; i < 5; ++i) datums.push_back(raw(picture(3, 6, 6, i + 1), i));
  this->write_records(datums);
  const auto batches = [&](Caffe::Brew mode) {
    LayerParameter param;
    const string text = this->data_text("batch_size: 2", "mirror: true");
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param));
    const auto layer = this->start(std::make_shared<BrighterLayer<TypeParam>>(param), mode);
    typename TestFixture::Batches found;
    for (int i = 0; i < 10; ++i) this->next(layer.get(), &found);
    return found;
  };
  const auto expected = batches(Caffe::CPU);
  EXPECT_GE(*std::min_element(expected[0].begin() + 4, expected[0].end()), 1000);
  EXPECT_EQ(batches(Caffe::GPU), expected);
}

}  // namespace
}  // namespace caffe
