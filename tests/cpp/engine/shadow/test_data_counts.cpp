// What data layers ask of a GPU, counted by the shadow device.

#include "caffe/filler.hpp"
#include "caffe/layers/memory_data_layer.hpp"
#include "caffe/util/hdf5.hpp"
#include "google/protobuf/text_format.h"
#include "tests/cpp/engine/datums.hpp"
#include "tests/cpp/engine/fixtures.hpp"
#include "tests/cpp/engine/images.hpp"
#include "tests/cpp/engine/temp_dir.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {
namespace {

class DataCounts : public ::testing::Test {
 protected:
  static constexpr int kRounds = 20, kAhead = 4;

  void SetUp() override {
    Caffe::SetDevice(0);
    Caffe::set_mode(Caffe::GPU);
  }
  void TearDown() override { Caffe::set_mode(Caffe::CPU); }

  std::shared_ptr<Layer<float>> start(const string& text) {
    LayerParameter param;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param)) << text;
    param.set_phase(TRAIN);
    const auto layer = LayerRegistry<float>::CreateLayer(param);
    layer->SetUp({}, top_);
    return layer;
  }
  std::shared_ptr<Layer<float>> start_data(const std::vector<Datum>& datums) {
    std::filesystem::remove_all(dir_ / "db");
    write_database(dir_ / "db", datums);
    return start("name: 'data' type: 'Data' top: 'data' top: 'label' data_param { source: '" +
                 dir_ / "db" + "' backend: LMDB batch_size: 8 } " +
                 "transform_param { crop_size: 64 mirror: true mean_value: 104 }");
  }
  /// What kRounds forward passes do after the first ones, in which the batches that are loaded
  /// ahead get their memory, and are sent from it for the first time. A net's first layer takes the
  /// values.
  shadow::Counts count(Layer<float>* layer) {
    constexpr int kFirst = 2 * kAhead + 2;
    for (int i = 0; i < kFirst + kRounds; ++i) {
      if (i == kFirst) shadow::reset_counts();
      layer->Forward({}, top_);
      for (Blob<float>* blob : top_) blob->gpu_data();
    }
    return shadow::counts();
  }
  /// The thread is up to kAhead batches ahead of the net.
  static void expect_batches(int64_t bytes, int64_t batch) {
    EXPECT_GE(bytes, (kRounds - kAhead) * batch);
    EXPECT_LE(bytes, (kRounds + kAhead) * batch);
  }
  static void expect_no_wait(const shadow::Counts& counts) {
    EXPECT_EQ(counts.synchronisations, 0);
    EXPECT_EQ(counts.allocations, 0);
    EXPECT_EQ(counts.pinned_allocations, 0);
    EXPECT_EQ(counts.bytes_to_host, 0);
  }

  TempDir dir_;
  Blob<float> data_, label_;
  std::vector<Blob<float>*> top_{&data_, &label_};
};

TEST_F(DataCounts, ImagesGoAsBytesWithOneLaunchAndNoWait) {
  const auto layer = start_data({raw(picture(3, 70, 80), 1), encoded(picture(3, 90, 66), 2)});
  const shadow::Counts counts = count(layer.get());
  expect_no_wait(counts);
  EXPECT_EQ(counts.launches, kRounds);
  const int64_t pixels = 3 * 64 * 64, rest = 32 + sizeof(float);  // what to do with it; the label
  expect_batches(counts.bytes_to_device, 8 * (pixels + rest));
  EXPECT_EQ(label_.cpu_data()[0] + label_.cpu_data()[1], 3) << "they are on the CPU as well";
  EXPECT_EQ(shadow::counts().bytes_to_host, 0);
}

TEST_F(DataCounts, FloatsGoAsValuesWithoutAWait) {
  const auto layer = start_data({floats(picture(3, 70, 80), 1), floats(picture(3, 90, 66), 2)});
  const shadow::Counts counts = count(layer.get());
  expect_no_wait(counts);
  EXPECT_EQ(counts.launches, 0);
  expect_batches(counts.bytes_to_device, 8 * (3 * 64 * 64 + 1) * sizeof(float));
}

TEST_F(DataCounts, AnArrayOfTheProgramGoesWithoutAWait) {
  const auto layer = std::dynamic_pointer_cast<MemoryDataLayer<float>>(
      start("name: 'data' type: 'MemoryData' top: 'data' top: 'label' "
            "memory_data_param { batch_size: 2 channels: 3 height: 64 width: 64 }"));
  std::vector<float> data(4 * 3 * 64 * 64, 5), labels(4, 3);
  layer->Reset(data.data(), labels.data(), 4);
  const shadow::Counts counts = count(layer.get());
  expect_no_wait(counts);
  EXPECT_EQ(counts.bytes_to_device, kRounds * 2 * (3 * 64 * 64 + 1) * sizeof(float));
  EXPECT_EQ(data_.cpu_data(), data.data() + 2 * 3 * 64 * 64) << "the top uses the array itself";
}

TEST_F(DataCounts, RowsOfFilesGoWithoutAWait) {
  {
    const Hdf5File file(dir_ / "rows.h5", Hdf5File::kCreate);
    Blob<float> data(6, 3, 64, 64), label({6});
    hdf5_save_nd_dataset<float>(file.id(), "data", data);
    hdf5_save_nd_dataset<float>(file.id(), "label", label);
  }
  write_file(dir_ / "list.txt", dir_ / "rows.h5\n");
  const auto layer = start("name: 'data' type: 'HDF5Data' top: 'data' top: 'label' " +
                           ("hdf5_data_param { batch_size: 2 source: '" + dir_ / "list.txt'}"));
  const shadow::Counts counts = count(layer.get());
  EXPECT_EQ(counts.allocations, 0);
  EXPECT_EQ(counts.bytes_to_host, 0);
  EXPECT_EQ(counts.bytes_to_device, kRounds * 2 * (3 * 64 * 64 + 1) * sizeof(float));
}

TEST_F(DataCounts, ConstantsGoOnce) {
  const auto layer = start("name: 'data' type: 'DummyData' top: 'data' top: 'label' " +
                           string("dummy_data_param { shape { dim: 2 dim: 5 } data_filler { ") +
                           "type: 'constant' value: 3 } }");
  const shadow::Counts counts = count(layer.get());
  expect_no_wait(counts);
  EXPECT_EQ(counts.bytes_to_device, 0);
}

/// Even if a layer in place has written the last ones on the GPU.
TEST_F(DataCounts, ValuesThatAreReplacedDoNotComeBack) {
  const auto layer = start("name: 'data' type: 'DummyData' top: 'data' top: 'label' " +
                           string("dummy_data_param { shape { dim: 2 dim: 5 } data_filler { ") +
                           "type: 'uniform' } }");
  for (int i = 0; i < 4; ++i) {
    layer->Forward({}, top_);
    data_.mutable_gpu_data();
    shadow::reset_counts();
  }
  layer->Forward({}, top_);
  EXPECT_EQ(shadow::counts().bytes_to_host, 0);
}

}  // namespace
}  // namespace caffe
