#include "caffe/util/io_image.hpp"

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "caffe/util/image_kind.hpp"
#include "fixtures.hpp"
#include "image_kinds.hpp"
#include "images.hpp"
#include "temp_dir.hpp"

namespace caffe {
namespace {

/// The value of a Datum's pixel.
int at(const Datum& datum, int c, int h, int w) {
  return static_cast<unsigned char>(datum.data()[(c * datum.height() + h) * datum.width() + w]);
}

bool equal(const cv::Mat& a, const cv::Mat& b) {
  return a.size() == b.size() && a.type() == b.type() && cv::norm(a, b, cv::NORM_INF) == 0;
}

bool equal(const Datum& datum, const cv::Mat& image) {
  if (datum.channels() != image.channels() || datum.height() != image.rows ||
      datum.width() != image.cols) {
    return false;
  }
  for (int c = 0; c < image.channels(); ++c) {
    for (int h = 0; h < image.rows; ++h) {
      for (int w = 0; w < image.cols; ++w) {
        if (at(datum, c, h, w) != image.ptr(h)[w * image.channels() + c]) return false;
      }
    }
  }
  return true;
}

class IOImageTest : public ::testing::Test {
 protected:
  string save(const string& name, const cv::Mat& image) {
    EXPECT_TRUE(cv::imwrite(dir_ / name, image));
    return dir_ / name;
  }
  TempDir dir_;
  const cv::Mat image_ = picture(3, 37, 52);
};

TEST_F(IOImageTest, ReadsPixels) {
  const string png = save("a.png", image_);
  EXPECT_TRUE(equal(ReadImageToCVMat(png), image_));
  EXPECT_TRUE(equal(ReadImageToCVMat(png, true), image_));
  EXPECT_TRUE(equal(ReadImageToCVMat(png, false), cv::imread(png, cv::IMREAD_GRAYSCALE)));
  const string jpg = save("a.jpg", image_);
  EXPECT_TRUE(equal(ReadImageToCVMat(jpg), cv::imread(jpg)));
}

TEST_F(IOImageTest, Resizes) {
  cv::Mat expected;
  cv::resize(image_, expected, cv::Size(20, 10));
  EXPECT_TRUE(equal(ReadImageToCVMat(save("a.png", image_), 10, 20), expected));
}

TEST_F(IOImageTest, ADatumHasItsPixelsPlaneByPlane) {
  Datum datum;
  datum.set_label(3);
  datum.add_float_data(1);
  CVMatToDatum(image_, &datum);
  EXPECT_TRUE(equal(datum, image_));
  EXPECT_EQ(datum.label(), 3);
  EXPECT_EQ(datum.float_data_size(), 0);
  EXPECT_FALSE(datum.encoded());
  CVMatToDatum(image_(cv::Rect(3, 4, 20, 10)), &datum);  // rows that are not contiguous
  EXPECT_TRUE(equal(datum, image_(cv::Rect(3, 4, 20, 10))));
  EXPECT_ERROR(CVMatToDatum(cv::Mat(2, 2, CV_16UC1), &datum), "8 bits");
}

TEST_F(IOImageTest, ReadsIntoADatum) {
  const string png = save("a.png", image_);
  Datum datum;
  ASSERT_TRUE(ReadImageToDatum(png, 7, &datum));
  EXPECT_TRUE(equal(datum, image_));
  EXPECT_EQ(datum.label(), 7);
  ASSERT_TRUE(ReadImageToDatum(png, 7, 10, 20, false, &datum));
  EXPECT_EQ(datum.channels(), 1);
  EXPECT_EQ(datum.height(), 10);
  EXPECT_EQ(datum.width(), 20);
}

TEST_F(IOImageTest, TakesAFileUnchangedIfTheEncodingIsTheSame) {
  const string png = save("a.PNG", image_);
  Datum datum;
  ASSERT_TRUE(ReadImageToDatum(png, 7, string("png"), &datum));
  EXPECT_TRUE(datum.encoded());
  EXPECT_EQ(datum.label(), 7);
  EXPECT_TRUE(datum.data() == read_file(png));
  EXPECT_FALSE(datum.has_channels());
  const string jpeg = save("a.jpeg", image_);
  ASSERT_TRUE(ReadImageToDatum(jpeg, 7, string("jpg"), &datum));
  EXPECT_TRUE(datum.data() == read_file(jpeg));
}

TEST_F(IOImageTest, Encodes) {
  const string jpg = save("a.jpg", image_);
  Datum datum;
  ASSERT_TRUE(ReadImageToDatum(jpg, 7, string("png"), &datum));
  EXPECT_TRUE(datum.encoded());
  EXPECT_TRUE(equal(DecodeDatumToCVMatNative(datum), cv::imread(jpg)));
  ASSERT_TRUE(ReadImageToDatum(jpg, 7, 10, 20, true, "jpg", &datum));
  EXPECT_EQ(DecodeDatumToCVMatNative(datum).size(), cv::Size(20, 10));
  EXPECT_ERROR(ReadImageToDatum(jpg, 7, string("xyz"), &datum), "encoded as 'xyz'");
}

TEST_F(IOImageTest, ReadsEveryKindOfFileInColorAndGray) {
  for (const ImageFile& file : image_files()) {
    for (const bool is_color : {true, false}) {
      EXPECT_LE(distance(ReadImageToCVMat(file.path(), is_color), picture_of(file, is_color)),
                tolerance_of(file, is_color))
          << file.name << " " << is_color;
    }
  }
}

TEST_F(IOImageTest, WhatIsStoredDecodesToTheChannelsAskedFor) {
  for (const ImageFile& file : image_files()) {
    for (const bool is_color : {true, false}) {
      for (const string encoding : {"png", "jpg", "bmp"}) {
        SCOPED_TRACE(file.name + " as " + encoding + (is_color ? " in color" : " in gray"));
        Datum datum;
        ASSERT_TRUE(ReadImageToDatum(file.path(), 7, 0, 0, is_color, encoding, &datum));
        EXPECT_TRUE(datum.encoded());
        const cv::Mat decoded = DecodeDatumToCVMatNative(datum);
        const cv::Mat expected = picture_of(file, is_color);
        const int tolerance = tolerance_of(file, is_color);
        if (encoding == "jpg") {
          EXPECT_LE(distance_in_blocks(decoded, expected), tolerance + kEncodedAsJpeg);
        } else {
          EXPECT_LE(distance(decoded, expected), tolerance);
        }
        EXPECT_EQ(
            datum.data() == read_file(file.path()),
            file.plain && file.is_color() == is_color && encoding_of_file(file.path()) == encoding);
        EXPECT_EQ(DecodeDatumToCVMat(datum, true).channels(), 3);
        EXPECT_EQ(DecodeDatumToCVMat(datum, false).channels(), 1);
      }
    }
  }
}

TEST_F(IOImageTest, AFilesNameDoesNotTellItsEncoding) {
  const string png = save("a.png", image_), jpg = save("a.jpg", image_);
  std::filesystem::rename(png, dir_ / "b.JPG");
  std::filesystem::rename(jpg, dir_ / "photo");
  EXPECT_EQ(encoding_of_file(dir_ / "b.JPG"), "png");
  EXPECT_EQ(encoding_of_file(dir_ / "photo"), "jpg");
  write_file(dir_ / "c.TIFF", "text");
  EXPECT_EQ(encoding_of_file(dir_ / "c.TIFF"), "tif");
  EXPECT_EQ(encoding_of_file(dir_ / "none"), "");
  Datum datum;
  ASSERT_TRUE(ReadImageToDatum(dir_ / "b.JPG", 7, string("png"), &datum));
  EXPECT_TRUE(datum.data() == read_file(dir_ / "b.JPG"));
  ASSERT_TRUE(ReadImageToDatum(dir_ / "b.JPG", 7, string("jpg"), &datum));
  EXPECT_EQ(kind_of_image(datum.data()).encoding, "jpg");
  ASSERT_TRUE(ReadImageToDatum(dir_ / "photo", 7, string("jpeg"), &datum));
  EXPECT_TRUE(datum.data() == read_file(dir_ / "photo"));
}

TEST_F(IOImageTest, AnEncodingMustHoldTheImage) {
  const string color = save("color.png", image_), gray = save("gray.png", picture(1, 5, 6));
  Datum datum;
  EXPECT_ERROR(ReadImageToDatum(gray, 7, 0, 0, false, "webp", &datum),
               "does not hold images of 1 channels");
  EXPECT_ERROR(ReadImageToDatum(gray, 7, 0, 0, false, "pbm", &datum), "does not hold images");
  EXPECT_ERROR(ReadImageToDatum(color, 7, 0, 0, true, "pgm", &datum), "encoded as 'pgm'");
  ASSERT_TRUE(ReadImageToDatum(color, 7, 0, 0, true, "webp", &datum));
  EXPECT_EQ(DecodeDatumToCVMatNative(datum).channels(), 3);
}

TEST_F(IOImageTest, AnEncodedDatumHasNoPixelsOfTheLastOne) {
  const string png = save("a.png", image_);
  Datum datum;
  ASSERT_TRUE(ReadImageToDatum(png, 7, &datum));
  ASSERT_TRUE(ReadImageToDatum(png, 7, string("png"), &datum));
  EXPECT_FALSE(datum.has_channels() || datum.has_height() || datum.has_width());
  datum.add_float_data(1);
  ASSERT_TRUE(ReadFileToDatum(png, 7, &datum));
  EXPECT_EQ(datum.float_data_size(), 0);
}

TEST_F(IOImageTest, DecodesADatum) {
  const string gray = save("gray.png", picture(1, 5, 6));
  Datum datum;
  ASSERT_TRUE(ReadFileToDatum(gray, 9, &datum));
  EXPECT_EQ(DecodeDatumToCVMatNative(datum).channels(), 1);
  EXPECT_EQ(DecodeDatumToCVMat(datum, true).channels(), 3);
  Datum color = datum;
  EXPECT_TRUE(DecodeDatum(&color, true));
  EXPECT_EQ(color.channels(), 3);
  EXPECT_EQ(color.label(), 9);
  EXPECT_FALSE(color.encoded());
  EXPECT_FALSE(DecodeDatum(&color, true));
  EXPECT_FALSE(DecodeDatumNative(&color));
  EXPECT_TRUE(DecodeDatumNative(&datum));
  EXPECT_TRUE(equal(datum, picture(1, 5, 6)));
}

TEST_F(IOImageTest, UnreadableFilesGiveNothing) {
  Datum datum;
  EXPECT_TRUE(ReadImageToCVMat(dir_ / "none.jpg").empty());
  EXPECT_TRUE(ReadImageToCVMat(dir_.path()).empty());
  EXPECT_FALSE(ReadImageToDatum(dir_ / "none.jpg", 1, &datum));
  EXPECT_FALSE(ReadFileToDatum(dir_ / "none.jpg", &datum));
  write_file(dir_ / "empty.jpg", "");
  EXPECT_TRUE(ReadImageToCVMat(dir_ / "empty.jpg").empty());
  write_file(dir_ / "text.jpg", "no image");
  EXPECT_TRUE(ReadImageToCVMat(dir_ / "text.jpg").empty());
  ASSERT_TRUE(ReadFileToDatum(dir_ / "text.jpg", &datum));
  EXPECT_TRUE(DecodeDatumToCVMatNative(datum).empty());
  EXPECT_ERROR(DecodeDatumNative(&datum), "cannot be decoded as an image");
}

TEST_F(IOImageTest, ATruncatedJpegIsNotAnImage) {
  const string jpg = read_file(save("a.jpg", picture(3, 100, 100)));
  for (size_t length = jpg.size() - 1; length > 0; length -= 1 + length / 5) {
    write_file(dir_ / "cut.jpg", jpg.substr(0, length));
    EXPECT_TRUE(ReadImageToCVMat(dir_ / "cut.jpg").empty()) << length << " bytes";
  }
  write_file(dir_ / "more.jpg", jpg + "what a camera adds \xFF");
  EXPECT_FALSE(ReadImageToCVMat(dir_ / "more.jpg").empty());
  vector<unsigned char> progressive;
  cv::imencode(".jpg", picture(3, 100, 100), progressive,
               {cv::IMWRITE_JPEG_PROGRESSIVE, 1, cv::IMWRITE_JPEG_RST_INTERVAL, 2});
  write_file(dir_ / "progressive.jpg", string(progressive.begin(), progressive.end()));
  EXPECT_FALSE(ReadImageToCVMat(dir_ / "progressive.jpg").empty());
}

}  // namespace
}  // namespace caffe
