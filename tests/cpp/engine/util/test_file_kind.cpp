#include "caffe/util/file_kind.hpp"

#include <opencv2/imgcodecs.hpp>

#include "caffe/util/io.hpp"
#include "tests/cpp/engine/files.hpp"
#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

TEST(FileKind, IsToldByTheFirstBytes) {
  const map<string, string> images = {{"png", "a PNG image"},
                                      {"jpg", "a JPEG image"},
                                      {"tiff", "a TIFF image"},
                                      {"webp", "a WebP image"}};
  for (const auto& image : images) {
    vector<unsigned char> bytes;
    ASSERT_TRUE(cv::imencode("." + image.first, cv::Mat::zeros(9, 9, CV_8UC3), bytes));
    EXPECT_EQ(kind_of_bytes(string(bytes.begin(), bytes.end())), image.second);
  }
  EXPECT_EQ(kind_of_bytes("\x1f\x8b\x08"), "a gzip archive");
  EXPECT_EQ(kind_of_bytes(string("PK\x03\x04\x14\0", 6)), "a zip archive");
  EXPECT_EQ(kind_of_bytes("<!DOCTYPE html><html>"), "a web page");
  EXPECT_EQ(kind_of_bytes("version https://git-lfs.github.com/spec/v1\n"),
            "a pointer of Git LFS, not the file");
  EXPECT_EQ(kind_of_bytes(string("\xff\xfel\0", 4)), "text in UTF-16");
  EXPECT_EQ(kind_of_bytes("layer {\r\n\tname: 'gr\xc3\xbcn' }"), "text");
  EXPECT_EQ(kind_of_bytes("GIF8.png 3\n"), "text");  // a line of a list
  EXPECT_EQ(kind_of_bytes(""), "");
  EXPECT_EQ(kind_of_bytes(string("\x0a\x03\0", 3)), "");
  EXPECT_EQ(kind_of_file("/"), "a folder");
  EXPECT_EQ(kind_of_file("/nowhere"), "");
}

TEST(FileKind, OfMessages) {
  NetParameter net;
  net.set_name("n");
  net.add_layer()->set_name("l");
  SolverState state;
  state.set_iter(3);
  state.set_learned_net("model");
  BlobProto blob;
  blob.add_data(1);
  const string name = temp_name();
  WriteProtoToBinaryFile(net, name);
  EXPECT_EQ(kind_of_message(name), "a net's weights");
  WriteProtoToBinaryFile(state, name);
  EXPECT_EQ(kind_note(name), "; it is a solver state");
  WriteProtoToBinaryFile(blob, name);
  EXPECT_EQ(kind_note(name), "; it is a mean or another blob");
  EXPECT_EQ(kind_note(file_with("text")), "; it is text");
  EXPECT_EQ(kind_note(file_with("\x0a\x7f\x01")), "");
}

/// A mean that is no mean, and text where a binary file is expected.
TEST(FileKind, IsInTheMessages) {
  BlobProto blob;
  EXPECT_ERROR(ReadProtoFromBinaryFile(file_with("\x93NUMPY\x01"), &blob), "it is a NumPy array");
  EXPECT_ERROR(ReadProtoFromBinaryFile(file_with("<html>not found"), &blob), "it is a web page");
  NetParameter net;
  EXPECT_ERROR(ReadProtoFromTextFile(file_with(string("\xff\xd8\xff\xe0\0", 5)), &net),
               "is not a prototxt; it is a JPEG image");
  EXPECT_ERROR(ReadProtoFromTextFile(file_with(string("\xff\xfel\0", 4)), &net),
               "it is text in UTF-16: save it as UTF-8");
}

TEST(ByteOrderMark, IsNoPartOfAText) {
  NetParameter net;
  ReadProtoFromTextFile(file_with("\xef\xbb\xbfname: 'n'\r\n"), &net);
  EXPECT_EQ(net.name(), "n");
  const auto lines =
      read_image_list(file_with("\xef\xbb\xbf"
                                "a b.png 3\r\nc.png 4\n"));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].file, "a b.png");
  EXPECT_ERROR(ReadProtoFromTextFile(file_with("\xef\xbb\xbfname: n"), &net), ":1:7: ");
}

TEST(Prototxt, OfAnotherKindIsNamed) {
  NetParameter net;
  SolverParameter solver;
  const string of_net = file_with("name: 'n' layer { name: 'l' }");
  const string of_solver = file_with("net: 'n.prototxt' base_lr: 1");
  EXPECT_ERROR(ReadProtoFromTextFile(of_net, &solver), "the prototxt of a net, not of a solver");
  EXPECT_ERROR(ReadProtoFromTextFile(of_solver, &net),
               "the prototxt of a solver, not of a net: give the net's, 'n.prototxt'");
  EXPECT_FALSE(contains(error_of([&] { ReadProtoFromTextFile(file_with("x: 1"), &net); }), "kind"));
}

}  // namespace caffe
