#include "caffe/util/weights.hpp"

#include "caffe/util/file_kind.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/unknown_field_set.h"
#include "tests/cpp/engine/files.hpp"
#include "tests/cpp/engine/log_lines.hpp"
#include "tests/cpp/engine/toy_net.hpp"

namespace caffe {

namespace {

using google::protobuf::UnknownFieldSet;

typedef vector<double> Values;

string bytes_of(const UnknownFieldSet& fields) {
  string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    fields.SerializeToCodedStream(&coded);
  }
  return bytes;
}

/// A blob of one value, in the form of today.
string blob(float value) {
  BlobProto proto;
  proto.mutable_shape()->add_dim(1);
  proto.add_data(value);
  return proto.SerializeAsString();
}

/// Fields whose numbers other forks give to other things: as another message, with another wire
/// type, or none of ours.
void add_clashes(UnknownFieldSet* layer) {
  layer->AddLengthDelimited(143, "\x08\x05\x10\xff");  // input_param: not a message that parses
  layer->AddVarint(137, 3);                            // embed_param
  layer->AddVarint(200, 1);                            // annotated_data_param
  layer->AddFixed32(106, 7);                           // convolution_param
  layer->AddLengthDelimited(10, "phase");
  layer->AddLengthDelimited(8003, "\xff\xfe");
  layer->AddLengthDelimited(100017, "?");
}

/// A file with layer w1, V1 or today's, with parameters of another fork.
string clashing(bool v1) {
  UnknownFieldSet layer, net;
  layer.AddLengthDelimited(v1 ? 4 : 1, "w1");
  if (v1) {
    layer.AddVarint(5, 1000);  // a type that only a fork has
  } else {
    layer.AddLengthDelimited(2, "BN");
  }
  add_clashes(&layer);
  layer.AddLengthDelimited(v1 ? 6 : 7, blob(4));
  layer.AddLengthDelimited(v1 ? 6 : 7, blob(5));
  net.AddLengthDelimited(1, "fork");
  net.AddVarint(8, 1);  // input_shape
  net.AddLengthDelimited(9, "MKLDNN");
  net.AddLengthDelimited(v1 ? 2 : 100, bytes_of(layer));
  return file_with(bytes_of(net), ".caffemodel");
}

/// A file with layer w1, whose two blobs are stored as raw bytes of a type of NVIDIA's Caffe.
string raw_weights(int type, const string& first, const string& second) {
  UnknownFieldSet layer, net;
  layer.AddLengthDelimited(1, "w1");
  for (const string& raw : {first, second}) {
    UnknownFieldSet blob;
    BlobShape shape;
    shape.add_dim(1);
    blob.AddLengthDelimited(7, shape.SerializeAsString());
    blob.AddVarint(10, static_cast<uint64_t>(type));
    blob.AddLengthDelimited(12, raw);
    layer.AddLengthDelimited(7, bytes_of(blob));
  }
  net.AddLengthDelimited(100, bytes_of(layer));
  return file_with(bytes_of(net), ".caffemodel");
}

template <typename Value>
string raw(Value value) {
  return string(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

TEST(WeightsTest, NumbersOfOtherForksDoNotMatter) {
  for (const bool v1 : {false, true}) {
    const string name = clashing(v1);
    NetParameter full;
    EXPECT_ERROR(ReadProtoFromBinaryFile(name, &full), "it is a net's weights");
    const QuietLog quiet;
    NetParameter weights;
    ReadWeightsFromBinaryFile(name, &weights);
    ASSERT_EQ(weights.layer_size(), 1);
    EXPECT_EQ(weights.name(), "fork");
    EXPECT_EQ(weights.layer(0).name(), "w1");
    EXPECT_EQ(weights.layer(0).type(), v1 ? "" : "BN");
    EXPECT_EQ(weights.layer(0).blobs(1).data(0), 5);
    auto net = make_net(string(kToyData) +
                        "layer { name: 'w1' type: 'ToyWeights' bottom: 'data' top: 'a' "
                        "inner_product_param { num_output: 1 } }");
    net->CopyTrainedLayersFrom(name);
    EXPECT_EQ(values(*net->params()[0]), Values({4}));
    EXPECT_EQ(values(*net->params()[1]), Values({5}));
    EXPECT_EQ(kind_of_message(name), "a net's weights");
  }
}

TEST(WeightsTest, ANetWithForeignNumbersKeepsItsWeights) {
  const string name = clashing(false);
  LogLines log;
  NetParameter net;
  ReadNetParamsFromBinaryFileOrDie(name, &net);
  EXPECT_EQ(net.layer(0).blobs(0).data(0), 4);
  log.expect({name + ": only names, types and blobs could be read.*"});
  const string damaged = file_with("\xff\xff\xff", ".caffemodel");
  EXPECT_ERROR(ReadNetParamsFromBinaryFileOrDie(damaged, &net), damaged + ": is not a binary");
}

TEST(WeightsTest, TypesOfV1HaveTheirNames) {
  NetParameter v1;
  ReadProtoFromText(
      "layers { name: 'a' type: CONVOLUTION blobs { num: 1 channels: 1 height: 1 "
      "width: 1 data: 4 } }",
      "test", &v1);
  const string name = temp_name(".caffemodel");
  WriteProtoToBinaryFile(v1, name);
  LogLines log;
  NetParameter weights;
  ReadWeightsFromBinaryFile(name, &weights);
  EXPECT_EQ(weights.layer(0).type(), "Convolution");
  EXPECT_EQ(weights.layers_size(), 0);
  log.expect({"Upgraded " + name + " from V1LayerParameter"});
}

TEST(WeightsTest, LayersOf2013AreUpgraded) {
  NetParameter v0;
  ReadProtoFromText(
      "layers { layer { name: 'old' type: 'conv' num_output: 1 kernelsize: 1 "
      "blobs { num: 1 channels: 1 height: 1 width: 1 data: 4 } } }",
      "test", &v0);
  const string name = temp_name(".caffemodel");
  WriteProtoToBinaryFile(v0, name);
  const QuietLog quiet;
  NetParameter weights;
  ReadWeightsFromBinaryFile(name, &weights);
  EXPECT_EQ(weights.layer(0).name(), "old");
  EXPECT_EQ(weights.layer(0).blobs(0).data(0), 4);
}

TEST(WeightsTest, RawValues) {
  const auto read = [](const string& name) {
    NetParameter weights;
    ReadWeightsFromBinaryFile(name, &weights);
    return weights.layer(0);
  };
  EXPECT_EQ(read(raw_weights(1, raw(1.5f), raw(2.f))).blobs(0).data(0), 1.5f);
  EXPECT_EQ(read(raw_weights(0, raw(0.1), raw(2.))).blobs(0).double_data(0), 0.1);
  // 1, -2, the smallest and the largest, a number without the hidden bit, infinity.
  const vector<std::pair<uint16_t, float>> halves = {
      {0x3c00, 1.f},     {0xc000, -2.f},           {0x0001, 5.9604645e-8f},
      {0x7bff, 65504.f}, {0x8200, -3.0517578e-5f}, {0x7c00, INFINITY}};
  for (const auto& half : halves) {
    EXPECT_EQ(read(raw_weights(2, raw(half.first), raw(half.first))).blobs(1).data(0), half.second);
  }
  EXPECT_TRUE(std::isnan(read(raw_weights(2, raw<uint16_t>(0x7e00), "")).blobs(0).data(0)));
  const string odd = raw_weights(1, "abc", "");
  EXPECT_ERROR(read(odd), odd + ": layer 'w1': its raw weights end inside a value");
  EXPECT_ERROR(read(raw_weights(3, raw(1), "")), "stored as raw values of type 3");
  auto net = make_net(string(kToyData) +
                      "layer { name: 'w1' type: 'ToyWeights' bottom: 'data' top: 'a' "
                      "inner_product_param { num_output: 1 } }");
  net->CopyTrainedLayersFrom(raw_weights(2, raw<uint16_t>(0x3c00), raw<uint16_t>(0xc000)));
  EXPECT_EQ(values(*net->params()[1]), Values({-2}));
}

}  // namespace caffe
