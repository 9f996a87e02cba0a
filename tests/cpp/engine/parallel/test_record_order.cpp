// Which records and which random crops the data layers of several ranks take: in turn, those of one
// rank with a batch of all.

#include <opencv2/imgcodecs.hpp>
#include <set>

#include "caffe/net.hpp"
#include "caffe/util/hdf5.hpp"
#include "fixtures.hpp"
#include "images.hpp"
#include "log_lines.hpp"
#include "parallel/rank_training.hpp"

namespace caffe {
namespace {

constexpr int kRecords = 7, kRanks = 3, kBatch = 2, kIterations = 8;

class RecordOrder : public ::testing::Test {
 protected:
  typedef std::vector<double> Record;  // its label, and its values

  void SetUp() override {
    std::vector<Datum> datums;
    std::string list;
    for (int i = 0; i < kRecords; ++i) {
      const cv::Mat image = picture(3, 10, 12, i + 1);
      datums.push_back(raw(image, i));
      cv::imwrite(folder_ / (std::to_string(i) + ".png"), image);
      list += std::to_string(i) + ".png " + std::to_string(i) + "\n";
    }
    write_database(folder_ / "images", datums);
    write_file(folder_ / "list.txt", list);
  }
  void TearDown() override {
    Caffe::set_solver_count(1);
    Caffe::set_solver_rank(0);
  }

  /// The records of a rank in their order.
  std::vector<Record> read(const std::string& layer, int rank, int ranks, Phase phase = TRAIN) {
    Caffe::set_solver_count(ranks);
    Caffe::set_solver_rank(rank);
    Caffe::set_random_seed(11);
    const int batch = ranks == 1 ? kBatch * kRanks : kBatch;
    NetParameter param;
    ReadProtoFromText("layer { name: 'input' top: 'data' top: 'label' " + layer + " }", "test",
                      &param);
    LayerParameter* const input = param.mutable_layer(0);
    if (input->type() == "HDF5Data") input->mutable_hdf5_data_param()->set_batch_size(batch);
    if (input->type() == "Data") input->mutable_data_param()->set_batch_size(batch);
    if (input->type() == "ImageData") input->mutable_image_data_param()->set_batch_size(batch);
    param.mutable_state()->set_phase(phase);
    Net<float> net(param);
    std::vector<Record> records;
    for (int i = 0; i < kIterations; ++i) {
      net.Forward();
      const Blob<float>&data = *net.blob_by_name("data"), &label = *net.blob_by_name("label");
      for (int n = 0; n < batch; ++n) {
        const int size = data.count(1);
        Record record{label.cpu_data()[n]};
        record.insert(record.end(), data.cpu_data() + n * size, data.cpu_data() + (n + 1) * size);
        records.push_back(record);
      }
    }
    return records;
  }

  void expect_in_turn(const std::string& layer) {
    SCOPED_TRACE(layer);
    const std::vector<Record> all = read(layer, 0, 1);
    std::vector<std::vector<Record>> of_rank;
    for (int rank = 0; rank < kRanks; ++rank) of_rank.push_back(read(layer, rank, kRanks));
    ASSERT_EQ(all.size(), size_t(kRanks * kBatch * kIterations));
    for (size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(of_rank[i % kRanks][i / kRanks], all[i]) << "record " << i;
    }
    for (size_t epoch = 0; epoch + kRecords <= all.size() && !skips(layer); epoch += kRecords) {
      std::set<double> labels;
      for (size_t i = epoch; i < epoch + kRecords; ++i) labels.insert(all[i][0]);
      EXPECT_EQ(labels.size(), size_t(kRecords)) << "epoch from " << epoch;
    }
    // A test net reads everything.
    EXPECT_EQ(read(layer, 1, kRanks, TEST)[1][0], read(layer, 0, kRanks, TEST)[1][0]);
  }
  static bool skips(const std::string& layer) { return contains(layer, "rand_skip"); }

  TempDir folder_;
  const QuietLog quiet_;
};

const char kCrops[] = " transform_param { crop_size: 6 mirror: true }";

TEST_F(RecordOrder, Data) {
  const std::string source =
      "type: 'Data' data_param { backend: LMDB source: '" + (folder_ / "images") + "' ";
  expect_in_turn(source + "}");
  expect_in_turn(source + "rand_skip: 6 }");
  expect_in_turn(source + "rand_skip: 6 }" + kCrops);
}

TEST_F(RecordOrder, ImageData) {
  const std::string source = "type: 'ImageData' image_data_param { source: '" +
                             (folder_ / "list.txt") + "' root_folder: '" + folder_.path() + "/' ";
  expect_in_turn(source + "}");
  expect_in_turn(source + "shuffle: true }");
  expect_in_turn(source + "shuffle: true rand_skip: 6 }" + kCrops);
}

TEST_F(RecordOrder, Hdf5Data) {
  Blob<float> data(std::vector<int>{kRecords, 2}), label(std::vector<int>{kRecords});
  for (int i = 0; i < kRecords; ++i) {
    label.mutable_cpu_data()[i] = static_cast<float>(i);
    data.mutable_cpu_data()[2 * i] = data.mutable_cpu_data()[2 * i + 1] = static_cast<float>(-i);
  }
  {
    const Hdf5File file(folder_ / "rows.h5", Hdf5File::kCreate);
    hdf5_save_nd_dataset(file.id(), "data", data);
    hdf5_save_nd_dataset(file.id(), "label", label);
  }
  write_file(folder_ / "files.txt", folder_ / "rows.h5\n");
  for (const char* more : {"}", "shuffle: true }"}) {
    expect_in_turn("type: 'HDF5Data' hdf5_data_param { source: '" + (folder_ / "files.txt") + "' " +
                   more);
  }
}

}  // namespace
}  // namespace caffe
