// convert_imageset and compute_image_mean, started as by a user.

#include <sys/wait.h>

#include <cstdlib>
#include <opencv2/imgcodecs.hpp>

#include "caffe/net.hpp"
#include "caffe/util/db.hpp"
#include "caffe/util/image_kind.hpp"
#include "caffe/util/io.hpp"
#include "google/protobuf/text_format.h"
#include "test_paths.hpp"
#include "tests/cpp/engine/fixtures.hpp"
#include "tests/cpp/engine/image_kinds.hpp"
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

TEST_F(DataToolsTest, EncodedImagesOfEveryKindAreReadByADataLayer) {
  string list;
  for (size_t i = 0; i < image_files().size(); ++i) {
    list += image_files()[i].name + " " + std::to_string(i) + "\n";
  }
  write_file(dir_ / "kinds.txt", list);
  const string from = string(GOLDEN) + "/images/ kinds.txt ";
  const std::map<string, string> flags{{"color", "-encoded"},
                                       {"gray", "-encoded -gray"},
                                       {"color_png", "-encoded -encode_type png"},
                                       {"gray_png", "-encoded -gray -encode_type png"}};
  for (const auto& [name, flag] : flags) {
    SCOPED_TRACE(name);
    const bool is_color = !contains(name, "gray");
    ASSERT_EQ(convert(flag + " -check_size " + from + name), 0) << log_;
    NetParameter net;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        "layer { type: 'Data' name: 'data' top: 'data' top: 'label' data_param { backend: LMDB "
        "source: '" +
            (dir_ / name) + "' batch_size: " + std::to_string(image_files().size()) + " } }",
        &net));
    Net<float> reader(net);
    reader.Forward();
    const Blob<float>& data = *reader.blob_by_name("data");
    ASSERT_EQ(data.shape(1), is_color ? 3 : 1);
    for (size_t i = 0; i < image_files().size(); ++i) {
      const ImageFile& file = image_files()[i];
      cv::Mat image(16, 24, CV_8UC(data.shape(1)));
      for (int value = 0; value < data.count(1); ++value) {
        const int c = value / (16 * 24), h = value / 24 % 16, w = value % 24;
        image.ptr(h)[w * data.shape(1) + c] =
            static_cast<unsigned char>(data.data_at(static_cast<int>(i), c, h, w));
      }
      const cv::Mat expected = picture_of(file, is_color);
      const int tolerance = tolerance_of(file, is_color);
      if (contains(file.name, "jpg")) {  // it may have been encoded again
        EXPECT_LE(distance_in_blocks(image, expected), tolerance + kEncodedAsJpeg) << file.name;
      } else {
        EXPECT_LE(distance(image, expected), tolerance) << file.name;
      }
    }
    ASSERT_EQ(mean(name), 0) << log_;
    EXPECT_TRUE(contains(log_, is_color ? "channels: 3" : "channels: 1"));
  }
}

TEST_F(DataToolsTest, TheEncodingIsGuessedFromTheContent) {
  std::filesystem::copy(dir_ / "a.png", dir_ / "e.jpg");
  std::filesystem::copy(dir_ / "a.png", dir_ / "photo");
  std::filesystem::copy(string(GOLDEN) + "/images/color.webp", dir_ / "f.webp");
  write_file(dir_ / "names.txt", "e.jpg 1\nphoto 2\nd.JPG 3\nf.webp 4\n");
  ASSERT_EQ(convert("-encoded ./ names.txt color"), 0) << log_;
  const auto color = records("color");
  ASSERT_EQ(color.size(), 4u);
  EXPECT_TRUE(color[0].second.data() == read_file(dir_ / "a.png"));
  EXPECT_TRUE(color[1].second.data() == read_file(dir_ / "a.png"));
  EXPECT_TRUE(color[2].second.data() == read_file(dir_ / "d.JPG"));
  EXPECT_TRUE(color[3].second.data() == read_file(dir_ / "f.webp"));
  ASSERT_EQ(convert("-encoded -gray ./ names.txt gray"), 0) << log_;
  EXPECT_TRUE(contains(log_, "'./f.webp' cannot be encoded as 'webp'")) << log_;
  EXPECT_TRUE(contains(log_, "it is stored as png"));
  std::vector<string> encodings;
  for (const auto& record : records("gray")) {
    encodings.push_back(kind_of_image(record.second.data()).encoding);
    EXPECT_EQ(DecodeDatumToCVMatNative(record.second).channels(), 1) << record.first;
  }
  EXPECT_EQ(encodings, (std::vector<string>{"png", "png", "jpg", "png"}));
  EXPECT_EQ(convert("-encoded -gray -encode_type webp ./ names.txt webp"), 1);
  EXPECT_TRUE(contains(log_, "error: './e.jpg' cannot be encoded as 'webp'")) << log_;
}

TEST_F(DataToolsTest, CheckSizeComparesShapes) {
  cv::imwrite(dir_ / "tall.png", picture(3, 8, 6, 1));  // as many values as a.png
  write_file(dir_ / "shapes.txt", "a.png 1\ntall.png 2\n");
  for (const string flags : {"", "-encoded", "-gray", "-encoded -gray"}) {
    std::filesystem::remove_all(dir_ / "db");
    EXPECT_EQ(convert(flags + " -check_size ./ shapes.txt db"), 1) << flags;
    const string channels = contains(flags, "gray") ? "1" : "3";
    EXPECT_TRUE(contains(log_, "error: 'tall.png' has shape " + channels +
                                   " 8 6, the first image has shape " + channels + " 6 8"))
        << log_;
    EXPECT_EQ(convert(flags + " -check_size ./ two.txt db" + std::to_string(flags.size())), 0)
        << log_;
  }
}

TEST_F(DataToolsTest, ErrorsOfConvert) {
  EXPECT_EQ(convert("./ all.txt"), 1);
  EXPECT_TRUE(contains(log_, "Usage:")) << log_;
  EXPECT_TRUE(contains(log_, "-resize_height"));
  EXPECT_EQ(convert("./ none.txt db"), 1);
  EXPECT_TRUE(contains(log_, "error: the list of images 'none.txt'")) << log_;
  EXPECT_EQ(convert("nowhere/ all.txt db"), 1);
  EXPECT_TRUE(contains(log_, "error: none of the images could be read")) << log_;
  EXPECT_EQ(convert("./ all.txt db"), 0) << log_;  // nothing is left that blocks the next attempt
  EXPECT_EQ(convert("-check_size ./ all.txt db2"), 1);
  EXPECT_TRUE(contains(log_, "error: 'd.JPG' has shape 3 9 5, the first image has shape 3 6 8"))
      << log_;
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
  EXPECT_TRUE(contains(log_, "-resize_height"));
  const std::unique_ptr<db::DB> db(db::GetDB("lmdb"));  // as BVLC Caffe makes it
  db->Open(dir_ / "mixed", db::NEW);
  const std::unique_ptr<db::Transaction> transaction(db->NewTransaction());
  int label = 0;
  for (const string name : {"color.png", "alpha.png", "gray16.png"}) {
    Datum datum;
    ASSERT_TRUE(ReadFileToDatum(string(GOLDEN) + "/images/" + name, label++, &datum));
    transaction->Put("key" + std::to_string(label), datum.SerializeAsString());
  }
  transaction->Commit();
  EXPECT_EQ(mean("mixed"), 1);
  EXPECT_TRUE(contains(log_, "it has shape 4 16 24")) << log_;
  EXPECT_TRUE(contains(log_, "stores all images with the same channels"));
}

}  // namespace
}  // namespace caffe
