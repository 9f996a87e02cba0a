#include "caffe/util/io.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "files.hpp"
#include "fixtures.hpp"

namespace caffe {

namespace {

string text_error(const string& text) {
  NetParameter net;
  return error_of([&] { ReadProtoFromText(text, "net.prototxt", &net); });
}

NetParameter small_net() {
  NetParameter net;
  net.set_name("small");
  BlobProto* blob = net.add_layer()->add_blobs();
  blob->mutable_shape()->add_dim(1000);
  for (int i = 0; i < 1000; ++i) blob->add_data(static_cast<float>(i));
  return net;
}

}  // namespace

TEST(IoTest, TextRoundTrip) {
  const NetParameter net = small_net();
  const string name = temp_name(".prototxt");
  WriteProtoToTextFile(net, name);
  NetParameter read;
  read.set_force_backward(true);  // the old value is replaced
  EXPECT_TRUE(ReadProtoFromTextFile(name, &read));
  EXPECT_EQ(read.DebugString(), net.DebugString());
}

TEST(IoTest, BinaryRoundTrip) {
  const NetParameter net = small_net();
  const string name = temp_name(".caffemodel");
  WriteProtoToBinaryFile(net, name);
  EXPECT_EQ(contents(name), net.SerializeAsString());
  NetParameter read;
  read.set_force_backward(true);
  EXPECT_TRUE(ReadProtoFromBinaryFile(name, &read));
  EXPECT_EQ(read.DebugString(), net.DebugString());
}

TEST(IoTest, TextErrorsSayWhereAndWhatWasMeant) {
  const string field = text_error("name: 'x'\nlayer {\n  convolution_parm { }\n}\n");
  EXPECT_EQ(field.substr(0, 18), "net.prototxt:3:20:") << field;
  EXPECT_PRED2(contains, field, "\"convolution_parm\". Did you mean 'convolution_param'?");
  const string value = text_error("layer {\n  pooling_param {\n    pool: MAXX } }");
  EXPECT_PRED2(contains, value, "net.prototxt:3:");
  EXPECT_PRED2(contains, value, "Did you mean 'MAX'?");
  EXPECT_PRED2(contains, text_error("layer { include { phase: TRIAN } }"), "mean 'TRAIN'?");
  EXPECT_PRED2(contains, text_error("layer { name: }"), "net.prototxt:1:15: ");
  EXPECT_PRED2(contains, text_error("layer {\n name: 'x'\n"), "net.prototxt:3:");
  EXPECT_PRED2(contains, text_error("layer { name: 'a' name: 'b' }"), "specified multiple times");
  EXPECT_PRED2(contains, text_error("layer { clip_param { min: 1 } }"), "max");
  EXPECT_PRED2(contains, text_error(string("layer\0 { }", 10)), "is a binary file");
  EXPECT_PRED2(contains, text_error("\xff\xfe<html>"), "net.prototxt:1:1: ");
  EXPECT_EQ(text_error(""), "");
}

TEST(IoTest, NamesAMessageThatIsNotClosed) {
  const auto error = [](const string& text) {
    NetParameter net;
    return error_of([&] { ReadProtoFromText(text, "net.prototxt", &net); });
  };
  const string end = "layer { # {\n name: '{' }\nlayer {\n convolution_param { num_output: 3 }\n";
  EXPECT_PRED2(contains, error(end), "got: ; the '{' of 'layer' in line 3 is never closed");
  const string next = "layer {\n convolution_param: {\n num_output: 3\n}\nlayer { name: 'b' }";
  EXPECT_PRED2(contains, error(next), "no field named \"layer\"");
  EXPECT_PRED2(contains, error(next), "; the '{' of 'layer' in line 1 is never closed");
  EXPECT_EQ(error("layer { name: 'a' } }").find("never closed"), string::npos);
  EXPECT_EQ(error("layer { nam: 'a' }").find("never closed"), string::npos);
}

TEST(IoTest, ErrorsNameTheFile) {
  NetParameter net;
  EXPECT_ERROR(ReadProtoFromTextFile("/nowhere/a.prototxt", &net),
               "/nowhere/a.prototxt: cannot be opened: No such file");
  EXPECT_ERROR(ReadProtoFromBinaryFile("/nowhere/a", &net),
               "/nowhere/a: cannot be opened: No such");
  EXPECT_ERROR(ReadProtoFromTextFile("/tmp", &net), "/tmp: is a folder");
  EXPECT_ERROR(ReadProtoFromBinaryFile("/tmp", &net), "/tmp: is a folder");
  const string text = file_with("name: 'x'\nnme: 'x'");
  EXPECT_ERROR(ReadProtoFromTextFile(text, &net), text + ":2:");
  EXPECT_ERROR(ReadProtoFromBinaryFile(text, &net), "; it is text");
  EXPECT_ERROR(ReadProtoFromBinaryFile(file_with(""), &net), "is empty");
  EXPECT_ERROR(WriteProtoToTextFile(net, "/nowhere/a.prototxt"), "/nowhere/a.prototxt");
  EXPECT_ERROR(WriteProtoToBinaryFile(net, "/nowhere/a"), "cannot be written: No such file");
}

TEST(IoTest, DamagedBinaryFilesAreErrors) {
  const string whole = small_net().SerializeAsString();
  NetParameter net;
  for (const size_t length : {size_t(1), size_t(9), size_t(100), whole.size() - 1}) {
    const string name = file_with(whole.substr(0, length));
    EXPECT_ERROR(ReadProtoFromBinaryFile(name, &net),
                 name + ": is not a binary caffe.NetParameter");
  }
  // A packed field that claims 2 GiB of values, in a file of a few bytes.
  const string claims = string("\xa2\x06\x0c\x3a\x0a\x2a\xf8\xff\xff\xff\x07", 11);
  EXPECT_ERROR(ReadProtoFromBinaryFile(file_with(claims), &net), "is not a binary");
  // An end of a group that never began.
  EXPECT_ERROR(ReadProtoFromBinaryFile(file_with("\x0c"), &net), "is not a binary");
}

TEST(IoTest, NamesTheFileAndNotItsTemporaryOne) {
  const auto write = [](const string& temporary) { std::ofstream(temporary) << "new"; };
  const string message = error_of([&] { ReplaceFile("/nowhere/a", write); });
  EXPECT_PRED2(contains, message, "/nowhere/a: cannot be written: No such file or directory");
}

TEST(IoTest, ReplacesAsAWhole) {
  const string name = file_with("old");
  chmod(name.c_str(), 0640);
  EXPECT_ERROR(ReplaceFile(name,
                           [](const string& temporary) {
                             std::ofstream(temporary) << "half";
                             throw Error("the disk is full");
                           }),
               "the disk is full");
  EXPECT_EQ(contents(name), "old");
  string written;
  ReplaceFile(name, [&](const string& temporary) {
    written = temporary;
    std::ofstream(temporary) << "new";
  });
  EXPECT_EQ(contents(name), "new");
  EXPECT_NE(access(written.c_str(), F_OK), 0) << "the temporary file is left";
  struct stat status;
  ASSERT_EQ(stat(name.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST(IoTest, ReplacesWhatALinkLeadsTo) {
  const string name = file_with("old"), link = temp_name();
  ASSERT_EQ(symlink(name.c_str(), link.c_str()), 0);
  ReplaceFile(link, [&](const string& temporary) { std::ofstream(temporary) << "new"; });
  EXPECT_EQ(contents(name), "new");
  WriteProtoToTextFile(NetParameter(), "/dev/null");
  EXPECT_ERROR(WriteProtoToBinaryFile(small_net(), "/dev/full"),
               "/dev/full: writing failed: No sp");
  struct stat status;
  ASSERT_EQ(stat("/dev/null", &status), 0);
  EXPECT_TRUE(S_ISCHR(status.st_mode));
}

TEST(IoTest, TemporaryNamesDiffer) {
  string folder, a, b;
  MakeTempDir(&folder);
  struct stat status;
  ASSERT_EQ(stat(folder.c_str(), &status), 0);
  EXPECT_TRUE(S_ISDIR(status.st_mode));
  rmdir(folder.c_str());
  MakeTempFilename(&a);
  MakeTempFilename(&b);
  EXPECT_NE(a, b);
  rmdir(a.substr(0, a.rfind('/')).c_str());
}

}  // namespace caffe
