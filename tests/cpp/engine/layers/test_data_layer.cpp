#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <opencv2/imgproc.hpp>
#include <thread>

#include "caffe/layers/base_data_layer.hpp"
#include "datums.hpp"
#include "images.hpp"
#include "layers/layer_test.hpp"
#include "temp_dir.hpp"

namespace caffe {
namespace {

/// Sets CAFFE_DATA_THREADS while it exists.
class Threads {
 public:
  explicit Threads(int n) { setenv("CAFFE_DATA_THREADS", std::to_string(n).c_str(), 1); }
  ~Threads() { unsetenv("CAFFE_DATA_THREADS"); }
};

}  // namespace

template <typename TypeParam>
class DataLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  typedef std::vector<double> Values;

  void write(const std::vector<Datum>& datums, const string& backend = "lmdb") {
    write_database(path(), datums, backend);
  }
  void write_bytes(const std::vector<string>& values) { write_database(path(), values); }
  /// n different pictures, labels 0, 1, ...
  void write_pictures(int n, int height = 12, int width = 14) {
    std::vector<Datum> datums;
    for (int i = 0; i < n; ++i) datums.push_back(encoded(picture(3, height, width, i + 1), i));
    write(datums);
  }
  string path() const { return dir_ / "db"; }
  string text(const string& data_param, const string& transform = "") const {
    return "type: 'Data' data_param { source: '" + path() + "' backend: LMDB " + data_param +
           "} transform_param {" + transform + "}";
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
  Values labels(Layer<Dtype>* layer) {
    layer->Forward(this->bottom, this->top);
    return this->data(*this->top[1]);
  }
  /// Data of `n` batches in a row.
  Values batches(const string& text, int n, Phase phase = TRAIN) {
    Caffe::set_random_seed(1701);
    const auto layer = start(text, phase);
    Values all;
    for (int i = 0; i < n; ++i) {
      layer->Forward(this->bottom, this->top);
      const Values batch = this->data(*this->top[0]);
      all.insert(all.end(), batch.begin(), batch.end());
    }
    return all;
  }

  TempDir dir_;
};
TYPED_TEST_SUITE(DataLayerTest, DtypesAndDevices);

TYPED_TEST(DataLayerTest, RepeatsTheRecords) {
  for (const string backend : {"lmdb", "leveldb"}) {
    if (contains(error_of([&] { delete db::GetDB(backend); }), "not in this build")) continue;
    std::filesystem::remove_all(this->path());
    std::vector<Datum> datums;
    for (int i = 0; i < 5; ++i) datums.push_back(raw(picture(3, 4, 6, i + 1), i));
    this->write(datums, backend);
    string text = this->text("batch_size: 3", "scale: 0.5");
    if (backend == "leveldb") text.replace(text.find("LMDB"), 4, "LEVELDB");
    const auto layer = this->start(text);
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{3, 3, 4, 6}));
    EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{3}));
    int next = 0;
    for (int batch = 0; batch < 12; ++batch) {
      layer->Forward(this->bottom, this->top);
      for (int n = 0; n < 3; ++n, next = (next + 1) % 5) {
        EXPECT_EQ(this->top[1]->cpu_data()[n], next);
        const cv::Mat image = picture(3, 4, 6, next + 1);
        EXPECT_EQ(this->top[0]->data_at(n, 2, 3, 1), image.ptr(3)[1 * 3 + 2] / 2.);
        EXPECT_EQ(this->top[0]->data_at(n, 0, 1, 5), image.ptr(1)[5 * 3 + 0] / 2.);
      }
    }
  }
}

TYPED_TEST(DataLayerTest, NeedsNoLabelsAndTakesAnyPrefetch) {
  this->write_pictures(3);
  this->add_top();
  for (const int prefetch : {1, 2, 9}) {
    const auto layer =
        this->start(this->text("batch_size: 2 prefetch: " + std::to_string(prefetch)));
    for (int i = 0; i < 5; ++i) layer->Forward(this->bottom, this->top);
    EXPECT_EQ(this->top[0]->data_at(0, 0, 0, 0), picture(3, 12, 14, 3).ptr(0)[0]);
  }
  EXPECT_ERROR(this->start(this->text("batch_size: 2 prefetch: 0")), "prefetch is 0");
}

TYPED_TEST(DataLayerTest, TheSameForAnyNumberOfThreads) {
  this->write_pictures(17);
  const string text = this->text("batch_size: 7", "crop_size: 9 mirror: true mean_value: 3");
  std::vector<double> one;
  {
    const Threads threads(1);
    one = this->batches(text, 8);
  }
  for (const int n : {2, 3, 5}) {
    const Threads threads(n);
    EXPECT_EQ(this->batches(text, 8), one) << n << " threads";
  }
  EXPECT_EQ(this->batches(text, 8), one);
  // Different images are transformed differently, and so is one image in different epochs.
  const size_t image = 3 * 9 * 9, epoch = 17 * image;
  EXPECT_FALSE(
      std::equal(one.begin(), one.begin() + image, one.begin() + epoch) &&
      std::equal(one.begin() + image, one.begin() + 2 * image, one.begin() + epoch + image));
  EXPECT_NE(this->batches(text, 8, TEST), one);
}

/// Images of several sizes, resized to one (SSD's resize_param).
TYPED_TEST(DataLayerTest, ResizesImages) {
  this->write({encoded(picture(3, 12, 14), 0), raw(picture(3, 20, 9), 1)});
  const auto layer =
      this->start(this->text("batch_size: 2", "resize_param { height: 6 width: 7 }"));
  layer->Forward(this->bottom, this->top);
  ASSERT_EQ(this->top[0]->shape(), (std::vector<int>{2, 3, 6, 7}));
  cv::Mat expected;
  cv::resize(picture(3, 20, 9), expected, cv::Size(7, 6));
  EXPECT_EQ(this->top[0]->data_at(1, 2, 3, 4), expected.ptr(3)[4 * 3 + 2]);
}

TYPED_TEST(DataLayerTest, EachSolverHasItsOwnRecords) {
  this->write_pictures(7);
  Caffe::set_solver_count(3);
  for (int rank = 0; rank < 3; ++rank) {
    Caffe::set_solver_rank(rank);
    const auto layer = this->start(this->text("batch_size: 2"));
    for (int i = 0; i < 6; i += 2) {
      EXPECT_EQ(this->labels(layer.get()),
                (std::vector<double>{double((3 * i + rank) % 7), double((3 * i + 3 + rank) % 7)}));
    }
    const auto test = this->start(this->text("batch_size: 2"), TEST);
    EXPECT_EQ(this->labels(test.get()), (std::vector<double>{0, 1}));
  }
  Caffe::set_solver_count(1);
  Caffe::set_solver_rank(0);
}

TYPED_TEST(DataLayerTest, RandSkipStartsAnywhere) {
  this->write_pictures(6);
  std::set<double> first;
  for (int seed = 0; seed < 60; ++seed) {
    Caffe::set_random_seed(seed);
    const auto layer = this->start(this->text("batch_size: 1 rand_skip: 4"));
    first.insert(this->labels(layer.get())[0]);
  }
  EXPECT_EQ(first, (std::set<double>{0, 1, 2, 3}));
}

TYPED_TEST(DataLayerTest, EachBatchHasItsOwnShape) {
  this->write({encoded(picture(3, 5, 6), 0), raw(picture(1, 8, 4), 1)});
  const auto layer = this->start(this->text("batch_size: 1"));
  for (int i = 0; i < 3; ++i) {
    layer->Forward(this->bottom, this->top);
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 3, 5, 6}));
    layer->Forward(this->bottom, this->top);
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 1, 8, 4}));
    EXPECT_EQ(this->top[0]->data_at(0, 0, 7, 3), picture(1, 8, 4).ptr(7)[3]);
  }
}

TYPED_TEST(DataLayerTest, ErrorsOfSetUp) {
  EXPECT_ERROR(this->start(this->text("batch_size: 1")),
               "layer 'under_test' (Data): LMDB '" + this->path());
  EXPECT_ERROR(this->start("type: 'Data' data_param { batch_size: 1 }"), "no source");
  this->write_pictures(1);
  EXPECT_ERROR(this->start(this->text("")), "batch_size is 0");
  EXPECT_ERROR(this->start(this->text("batch_size: 1", "crop_size: 13")),
               "layer 'under_test' (Data): record 'key100' of '" + this->path() +
                   "': crop_size 13 is larger");
  EXPECT_ERROR(this->start(this->text("batch_size: 1", "mean_file: 'none'")),
               "layer 'under_test' (Data): ");
  std::filesystem::remove_all(this->path());
  this->write({});
  EXPECT_ERROR(this->start(this->text("batch_size: 1")), "is empty");
  std::filesystem::remove_all(this->path());
  this->write_bytes({"no Datum"});
  EXPECT_ERROR(this->start(this->text("batch_size: 1")), "record 'key100'");
  std::filesystem::remove_all(this->path());
  AnnotatedDatum with_boxes;
  with_boxes.set_type(AnnotatedDatum_AnnotationType_BBOX);
  *with_boxes.mutable_datum() = raw(picture(3, 4, 4), 1);
  this->write_bytes({with_boxes.SerializeAsString()});
  EXPECT_ERROR(this->start(this->text("batch_size: 1")), "use a layer of type AnnotatedData");
}

/// The net's thread gets the error in order, and can continue.
TYPED_TEST(DataLayerTest, ErrorsOfTheThreads) {
  Datum cut = encoded(picture(3, 30, 30), 2, ".jpg");
  cut.mutable_data()->resize(cut.data().size() / 2);
  string garbage = raw(picture(3, 30, 30), 0).SerializeAsString();
  garbage.resize(garbage.size() / 2);
  this->write_bytes({raw(picture(3, 30, 30), 0).SerializeAsString(),
                     raw(picture(3, 30, 30), 1).SerializeAsString(), cut.SerializeAsString(),
                     raw(picture(3, 30, 30), 3).SerializeAsString(),
                     raw(picture(3, 30, 30), 4).SerializeAsString(),
                     raw(picture(3, 30, 31), 5).SerializeAsString(), garbage,
                     raw(picture(3, 30, 30), 7).SerializeAsString()});
  for (const int n : {1, 4}) {
    const Threads threads(n);
    const auto layer = this->start(this->text("batch_size: 2"));
    for (int epoch = 0; epoch < 3; ++epoch) {
      EXPECT_EQ(this->labels(layer.get()), (std::vector<double>{0, 1}));
      EXPECT_ERROR(this->labels(layer.get()), "layer 'under_test' (Data): record 'key102' of '" +
                                                  this->path() +
                                                  "': an encoded image is a truncated JPEG");
      EXPECT_ERROR(this->labels(layer.get()), "record 'key105'");
      EXPECT_ERROR(this->labels(layer.get()), "record 'key106'");
    }
  }
}

TYPED_TEST(DataLayerTest, EndsAtOnce) {
  this->write_pictures(3);
  for (int i = 0; i < 20; ++i) this->start(this->text("batch_size: 3"));
}

/// A batch that takes a quarter of an hour for one thread; counts the images that it has read.
class LongBatchLayer : public BasePrefetchingDataLayer<float> {
 public:
  static constexpr int kImages = 1000000;
  LongBatchLayer(const LayerParameter& param, std::atomic<int>* read)
      : BasePrefetchingDataLayer<float>(param), read_(read) {}
  ~LongBatchLayer() override { StopInternalThread(); }
  void DataLayerSetUp(const Blobs& bottom, const Blobs& top) override {
    (void)bottom;
    reshape_all({kImages, 1, 1, 1}, top);
  }

 protected:
  void load_batch(Batch<float>* batch) override {
    static constexpr unsigned char kPixel = 1;
    const auto read = [this](int) {
      ++*read_;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      Pixels pixels;
      pixels.channels = pixels.height = pixels.width = 1;
      pixels.bytes = &kPixel;
      return pixels;
    };
    load_images(batch, kImages, read, [](int i) { return "image " + std::to_string(i); });
  }

 private:
  std::atomic<int>* read_;
};

TEST(PrefetchingDataLayer, EndsInTheMiddleOfABatch) {
  std::atomic<int> read{0};
  {
    LayerParameter param;
    param.mutable_data_param()->set_prefetch(1);
    LongBatchLayer layer(param, &read);
    Blob<float> top;
    layer.SetUp({}, {&top});
    while (read == 0) std::this_thread::yield();
  }
  EXPECT_LT(read, LongBatchLayer::kImages);
}

/// A user's layer that implements only load_batch.
template <typename Dtype>
class CountingLayer : public BasePrefetchingDataLayer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using BasePrefetchingDataLayer<Dtype>::BasePrefetchingDataLayer;
  ~CountingLayer() override { this->StopInternalThread(); }
  void DataLayerSetUp(const Blobs& bottom, const Blobs& top) override {
    (void)bottom;
    top[0]->Reshape({2, 1, 1, 1});
    for (auto& batch : this->prefetch_) batch->data_.Reshape({2, 1, 1, 1});
  }

 protected:
  void load_batch(Batch<Dtype>* batch) override {
    if (count_ == 6) CAFFE_FAIL("that is all");
    for (int i = 0; i < 2; ++i) batch->data_.mutable_cpu_data()[i] = count_++;
  }
  int count_ = 0;
};

TYPED_TEST(DataLayerTest, ALayerWithALoadBatchOfItsOwn) {
  LayerParameter param;
  param.set_type("Counting");
  CountingLayer<typename TypeParam::Dtype> layer(param);
  this->add_top();
  layer.SetUp(this->bottom, this->top);
  for (int i = 0; i < 6; i += 2) {
    layer.Forward(this->bottom, this->top);
    EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{double(i), double(i + 1)}));
  }
  EXPECT_ERROR(layer.Forward(this->bottom, this->top), "that is all");
}

}  // namespace caffe
