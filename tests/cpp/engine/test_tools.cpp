// The command-line tools other than caffe.

#include "caffe/net.hpp"
#include "caffe/util/db.hpp"
#include "command_test.hpp"
#include "google/protobuf/text_format.h"

namespace caffe {

namespace {

class Tools : public CommandTest {};

const char kOldNet[] =
    "name: 'old' input: 'data' input_dim: 1 input_dim: 3 input_dim: 4 input_dim: 4 "
    "layers { name: 'ip' type: INNER_PRODUCT bottom: 'data' top: 'ip' blobs_lr: 1 blobs_lr: 2 "
    "inner_product_param { num_output: 2 } }";

}  // namespace

TEST_F(Tools, UpgradeANetAsText) {
  write("old.prototxt", kOldNet);
  const Finished run = shell("upgrade_net_proto_text old.prototxt new.prototxt");
  EXPECT_EQ(run.status, 0);
  EXPECT_LOGGED(run, "] Wrote upgraded NetParameter text proto to new.prototxt\n");
  NetParameter net;
  ReadProtoFromTextFile(path("new.prototxt"), &net);
  ASSERT_EQ(net.layer_size(), 2);
  EXPECT_EQ(net.layer(0).type(), "Input");
  EXPECT_EQ(net.layer(1).type(), "InnerProduct");
  EXPECT_EQ(net.layer(1).param(1).lr_mult(), 2);
  EXPECT_EQ(net.layers_size(), 0);
  const Finished again = shell("upgrade_net_proto_text new.prototxt newer.prototxt");
  EXPECT_EQ(again.status, 0);
  EXPECT_LOGGED(again, "File already in latest proto format: new.prototxt\n");
  EXPECT_EQ(read("new.prototxt"), read("newer.prototxt"));
}

TEST_F(Tools, UpgradeANetAsBinary) {
  NetParameter old, net;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(kOldNet, &old));
  old.mutable_layers(0)->add_blobs()->add_data(5);
  WriteProtoToBinaryFile(old, path("old.caffemodel"));
  EXPECT_EQ(shell("upgrade_net_proto_binary old.caffemodel new.caffemodel").status, 0);
  ReadProtoFromBinaryFile(path("new.caffemodel"), &net);
  ASSERT_EQ(net.layer_size(), 2);
  EXPECT_EQ(net.layer(1).blobs(0).data(0), 5);
}

TEST_F(Tools, KeepTheWeightsOfAnotherFork) {
  NetParameter net;
  LayerParameter* const layer = net.add_layer();
  layer->set_name("ip");
  layer->add_blobs()->add_data(5);
  const std::string bytes = net.SerializeAsString();
  // A second layer whose field 143, input_param here, is no message.
  const std::string foreign(
      "\xa2\x06\x08\x0a\x01"
      "b\xfa\x08\x02\xff\xff",
      11);
  write("fork.caffemodel", bytes + foreign);
  const Finished run = shell("upgrade_net_proto_binary fork.caffemodel new.caffemodel");
  EXPECT_EQ(run.status, 0);
  EXPECT_LOGGED(run, "fork.caffemodel: only names, types and blobs could be read");
  ReadProtoFromBinaryFile(path("new.caffemodel"), &net);
  ASSERT_EQ(net.layer_size(), 2);
  EXPECT_EQ(net.layer(0).blobs(0).data(0), 5);
  EXPECT_EQ(net.layer(1).name(), "b");
}

TEST_F(Tools, UpgradeASolver) {
  write("old.prototxt", "net: 'a' solver_type: ADAM");
  EXPECT_EQ(shell("upgrade_solver_proto_text old.prototxt new.prototxt").status, 0);
  SolverParameter solver;
  ReadProtoFromTextFile(path("new.prototxt"), &solver);
  EXPECT_EQ(solver.type(), "Adam");
  EXPECT_FALSE(solver.has_solver_type());
}

TEST_F(Tools, PrintTheirUsageAndErrors) {
  for (const std::string tool : {"upgrade_net_proto_text", "upgrade_net_proto_binary",
                                 "upgrade_solver_proto_text", "extract_features"}) {
    const Finished usage = shell(tool);
    EXPECT_EQ(usage.status, 1);
    EXPECT_LOGGED(usage, "Usage: " + tool);
    if (tool == "extract_features") continue;
    const Finished none = shell(tool + " none out");
    EXPECT_EQ(none.status, 1);
    EXPECT_LOGGED(none, "] error: none: ");
  }
}

TEST_F(Tools, ExtractFeatures) {
  write("net.prototxt",
        "layer { name: 'data' type: 'DummyData' top: 'x' dummy_data_param { shape { dim: 2 dim: 3 "
        "dim: 1 dim: 2 } data_filler { type: 'constant' value: -2 } } } "
        "layer { name: 'act' type: 'ReLU' bottom: 'x' top: 'y' relu_param { negative_slope: 0.5 } "
        "}");
  NetParameter some;
  some.set_name("some");
  WriteProtoToBinaryFile(some, path("some.caffemodel"));
  const Finished run = shell("extract_features some.caffemodel net.prototxt x,y dx,dy 2 lmdb CPU");
  EXPECT_EQ(run.status, 0);
  EXPECT_LOGGED(run, "] Extracted features of 4 query images for feature blob y\n");
  for (const std::string name : {"dx", "dy"}) {
    const std::unique_ptr<db::DB> data(db::GetDB("lmdb"));
    data->Open(path(name), db::READ);
    const std::unique_ptr<db::Cursor> cursor(data->NewCursor());
    int count = 0;
    for (; cursor->valid(); cursor->Next(), ++count) {
      EXPECT_EQ(cursor->key(), "000000000" + std::to_string(count));
      Datum datum;
      ASSERT_TRUE(datum.ParseFromString(cursor->value()));
      EXPECT_EQ(datum.channels(), 3);
      EXPECT_EQ(datum.height(), 1);
      EXPECT_EQ(datum.width(), 2);
      ASSERT_EQ(datum.float_data_size(), 6);
      EXPECT_EQ(datum.float_data(5), name == "dx" ? -2 : -1);
    }
    EXPECT_EQ(count, 4);
  }
  const Finished unknown = shell("extract_features some.caffemodel net.prototxt z dz 1 lmdb");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_LOGGED(unknown, "net.prototxt: the net has no blob 'z'");
  EXPECT_EQ(shell("extract_features some.caffemodel net.prototxt x,y d 1 lmdb").status, 1);
}

}  // namespace caffe
