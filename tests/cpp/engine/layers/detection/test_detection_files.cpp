#include "caffe/layers/detection/detection_files.hpp"

#include <gtest/gtest.h>

#include "fixtures.hpp"
#include "google/protobuf/text_format.h"
#include "temp_dir.hpp"

namespace caffe {

namespace {

const char* const kLabels =
    "item { name: 'none_of_the_above' label: 0 } item { name: 'bird' label: 1 } "
    "item { name: '7' label: 2 }";

class DetectionFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_file(folder_ / "labels", kLabels);
    write_file(folder_ / "sizes", "first 100 200\n\n000042 50 80\nthird 10 10\n");
  }
  /// `more` changes what stands in the others' places.
  SaveOutputParameter param(const std::string& format, const std::string& more = "") {
    SaveOutputParameter param, changes;
    param.set_output_directory(folder_ / "out/results");
    param.set_output_name_prefix("det_");
    param.set_output_format(format);
    param.set_label_map_file(folder_ / "labels");
    param.set_name_size_file(folder_ / "sizes");
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(more, &changes)) << more;
    param.MergeFrom(changes);
    return param;
  }
  /// Two images, three detections.
  void detect(DetectionFiles* files) {
    files->add(1, 0.875, {0.1, 0.2, 0.50339, 1.2});
    files->add(2, 0.25, {-0.1, 0, 0.25, 0.5});
    files->next_image();
    files->add(1, 0.5, {0.5, 0.5, 0.75, 0.75});
    files->next_image();
  }
  std::string result(const std::string& name) { return read_file(folder_ / "out/results/" + name); }

  TempDir folder_;
};

}  // namespace

TEST_F(DetectionFilesTest, Voc) {
  DetectionFiles files(param("VOC", "num_test_image: 2"), 3, 0);
  detect(&files);
  EXPECT_EQ(result("det_bird.txt"), "first 0.875 20 20 100 100\n000042 0.5 40 25 60 37\n");
  EXPECT_EQ(result("det_7.txt"), "first 0.25 0 0 50 50\n");
  EXPECT_EQ(result("det_none_of_the_above.txt"), "");
}

TEST_F(DetectionFilesTest, Ilsvrc) {
  DetectionFiles files(param("ILSVRC", "num_test_image: 2"), 3, 0);
  detect(&files);
  EXPECT_EQ(result("det_.txt"),
            "first 1 0.875 20 20 100 100\nfirst 2 0.25 0 0 50 50\n000042 1 0.5 40 25 60 37\n");
}

TEST_F(DetectionFilesTest, Coco) {
  DetectionFiles files(param("COCO", "num_test_image: 2"), 3, 0);
  detect(&files);
  EXPECT_EQ(result("det_.json"),
            "[\n{\"image_id\": \"first\", \"category_id\": \"bird\", "
            "\"bbox\": [20, 20, 80.68, 80], \"score\": 0.875},\n"
            "{\"image_id\": \"first\", \"category_id\": 7, "
            "\"bbox\": [0, 0, 50, 50], \"score\": 0.25},\n"
            "{\"image_id\": 42, \"category_id\": \"bird\", "
            "\"bbox\": [40, 25, 20, 12.5], \"score\": 0.5}\n]\n");
}

TEST_F(DetectionFilesTest, WritesBehindTheLastImageAndStartsAgain) {
  DetectionFiles files(param("ILSVRC"), 3, 0);  // three images
  detect(&files);
  EXPECT_EQ(result("det_.txt"), "");
  files.next_image();
  EXPECT_NE(result("det_.txt"), "");
  files.add(2, 1, {0, 0, 1, 1});
  for (int i = 0; i < 3; ++i) files.next_image();
  EXPECT_EQ(result("det_.txt"), "first 2 1 0 0 200 100\n");
}

TEST_F(DetectionFilesTest, Errors) {
  const auto open = [&](const SaveOutputParameter& param) { DetectionFiles(param, 3, 0); };
  EXPECT_ERROR(open(param("XML")), "output_format is \"XML\"; it may be VOC, COCO or ILSVRC");
  EXPECT_ERROR(open(param("VOC", "num_test_image: 4")), "num_test_image is 4, and ");
  EXPECT_ERROR(open(param("VOC", "resize_param { resize_mode: FIT_SMALL_SIZE }")), "only resize_");
  EXPECT_ERROR(DetectionFiles(param("VOC"), 4, 0), "has no name for class 3");
  EXPECT_ERROR(open(param("COCO", "output_name_prefix: ''")), "needs output_name_prefix");
  EXPECT_ERROR(open(param("VOC", "name_size_file: ''")), "needs name_size_file");
  EXPECT_ERROR(open(param("VOC", "name_size_file: '/nowhere'")), "'/nowhere' cannot be read");
  EXPECT_ERROR(open(param("VOC", "label_map_file: ''")), "needs label_map_file");
  write_file(folder_ / "sizes", "first 100 200\nsecond 0 80\n");
  EXPECT_ERROR(open(param("VOC")), "sizes:2: 'second 0 80' is not a name, a height and a width");
  write_file(folder_ / "sizes", "first 100 200\n");
  write_file(folder_ / "file", "");
  DetectionFiles files(param("VOC", "output_directory: '" + folder_ / "file/under" + "'"), 3, 0);
  EXPECT_ERROR(files.next_image(), "cannot be written");
}

}  // namespace caffe
