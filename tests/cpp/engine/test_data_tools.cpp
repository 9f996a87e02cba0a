// convert_imageset and compute_image_mean, started as by a user.

#include <sys/wait.h>

#include <cstdlib>
#include <opencv2/imgcodecs.hpp>

#include "caffe/util/db.hpp"
#include "caffe/util/io.hpp"
#include "test_paths.hpp"
#include "tests/cpp/engine/fixtures.hpp"
#include "tests/cpp/engine/images.hpp"
#include "tests/cpp/engine/temp_dir.hpp"

namespace caffe {
namespace {

class DataToolsTest : public ::testing::Test {
 protected:
  /// Runs a program in the folder; its log is log_.
  int run(const string& program, const string& arguments) {
    const int status = std::system(("cd '" + dir_.path() + "' && GLOG_log_dir=. '" + program +
                                    "' " + arguments + " > log 2>&1")
                                       .c_str());
    log_ = read_file(dir_ / "log");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int convert(const string& arguments) { return run(CONVERT_IMAGESET, arguments); }
  int mean(const string& arguments) { return run(COMPUTE_IMAGE_MEAN, arguments); }

  std::vector<std::pair<string, Datum>> records(const string& name) {
    const std::unique_ptr<db::DB> db(db::GetDB("lmdb"));
    db->Open(dir_ / name, db::READ);
    const std::unique_ptr<db::Cursor> cursor(db->NewCursor());
    std::vector<std::pair<string, Datum>> records;
    for (; cursor->valid(); cursor->Next()) {
      Datum datum;
      EXPECT_TRUE(datum.ParseFromString(cursor->value()));
      records.emplace_back(cursor->key(), datum);
    }
    return records;
  }
  void SetUp() override {
    cv::imwrite(dir_ / "a.png", picture(3, 6, 8, 1));
    cv::imwrite(dir_ / "b c.png", picture(3, 6, 8, 2));
    cv::imwrite(dir_ / "d.JPG", picture(3, 9, 5, 3));
    write_file(dir_ / "two.txt", "a.png 1\nb c.png 2\n");
    write_file(dir_ / "all.txt", "a.png 1\nb c.png 2\nnone.png 7\nd.JPG 3\n");
  }
  TempDir dir_;
  string log_;
};

TEST_F(DataToolsTest, Converts) {
  ASSERT_EQ(convert("./ all.txt db"), 0) << log_;
  const auto all = records("db");
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].first, "00000000_a.png");
  EXPECT_EQ(all[1].first, "00000001_b c.png");
  EXPECT_EQ(all[2].first, "00000003_d.JPG");
  Datum expected;
  CVMatToDatum(picture(3, 6, 8, 2), &expected);
  expected.set_label(2);
  EXPECT_EQ(all[1].second.SerializeAsString(), expected.SerializeAsString());
  EXPECT_TRUE(contains(log_, "A total of 4 images."));
  EXPECT_TRUE(contains(log_, "none.png"));
  EXPECT_TRUE(contains(log_, "Processed 3 files."));
  EXPECT_TRUE(contains(log_, "1 images could not be read and are skipped"));
  EXPECT_EQ(convert("./ all.txt db"), 1);
  EXPECT_TRUE(contains(log_, "'db' exists already"));
}

TEST_F(DataToolsTest, EncodesResizesAndShuffles) {
  ASSERT_EQ(convert("-encoded ./ all.txt encoded"), 0) << log_;
  EXPECT_TRUE(records("encoded")[2].second.data() == read_file(dir_ / "d.JPG"));
  ASSERT_EQ(
      convert("-encoded -encode_type png -gray -resize_height 4 -resize_width 3 ./ all.txt p"), 0);
  for (const auto& record : records("p")) {
    const cv::Mat image = DecodeDatumToCVMatNative(record.second);
    EXPECT_EQ(image.size(), cv::Size(3, 4));
    EXPECT_EQ(image.channels(), 1);
  }
  string list;
  for (int i = 0; i < 30; ++i) list += "a.png " + std::to_string(i) + "\n";
  write_file(dir_ / "thirty.txt", list);
  ASSERT_EQ(convert("-shuffle ./ thirty.txt shuffled"), 0);
  std::vector<int> labels;
  for (const auto& record : records("shuffled")) labels.push_back(record.second.label());
  EXPECT_FALSE(std::is_sorted(labels.begin(), labels.end()));
  std::sort(labels.begin(), labels.end());
  for (int i = 0; i < 30; ++i) EXPECT_EQ(labels[i], i);
}

TEST_F(DataToolsTest, ErrorsOfConvert) {
  EXPECT_EQ(convert("./ all.txt"), 1);
  EXPECT_TRUE(contains(log_, "Usage:")) << log_;
  EXPECT_TRUE(contains(log_, "-resize_height"));
  EXPECT_EQ(convert("./ none.txt db"), 1);
  EXPECT_TRUE(contains(log_, "error: the list of images 'none.txt'")) << log_;
  EXPECT_EQ(convert("nowhere/ all.txt db"), 1);
  EXPECT_TRUE(contains(log_, "error: none of the images could be read")) << log_;
  EXPECT_EQ(convert("-check_size ./ all.txt db2"), 1);
  EXPECT_TRUE(contains(log_, "error: 'd.JPG' has 135 values, the first image has 144")) << log_;
  EXPECT_EQ(convert("-backend oracle ./ all.txt db3"), 1);
  EXPECT_TRUE(contains(log_, "'oracle'"));
}

TEST_F(DataToolsTest, Mean) {
  ASSERT_EQ(convert("./ two.txt raw"), 0);
  ASSERT_EQ(convert("-encoded ./ two.txt encoded"), 0);
  for (const string db : {"raw", "encoded"}) {
    ASSERT_EQ(mean(db + " mean.binaryproto"), 0) << log_;
    EXPECT_TRUE(contains(log_, "Number of channels: 3"));
    EXPECT_TRUE(contains(log_, "mean_value channel [2]: "));
    BlobProto proto;
    ReadProtoFromBinaryFile(dir_ / "mean.binaryproto", &proto);
    EXPECT_EQ(proto.num(), 1);
    EXPECT_EQ(proto.channels(), 3);
    EXPECT_EQ(proto.height(), 6);
    EXPECT_EQ(proto.width(), 8);
    ASSERT_EQ(proto.data_size(), 3 * 6 * 8);
    const int at = 2 * 6 * 8 + 4 * 8 + 5;
    EXPECT_EQ(
        proto.data(at),
        (picture(3, 6, 8, 1).ptr(4)[5 * 3 + 2] + picture(3, 6, 8, 2).ptr(4)[5 * 3 + 2]) / 2.f);
  }
  EXPECT_EQ(mean("raw"), 0);
}

TEST_F(DataToolsTest, ErrorsOfMean) {
  EXPECT_EQ(mean(""), 1);
  EXPECT_TRUE(contains(log_, "Usage:"));
  EXPECT_EQ(mean("none"), 1);
  EXPECT_TRUE(contains(log_, "error: LMDB 'none' does not exist")) << log_;
  ASSERT_EQ(convert("./ all.txt db"), 0);
  EXPECT_EQ(mean("db"), 1);
  EXPECT_TRUE(contains(log_, "error: record '00000003_d.JPG' of 'db': it has shape 3 9 5")) << log_;
}

}  // namespace
}  // namespace caffe
