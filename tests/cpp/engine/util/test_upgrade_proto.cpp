#include "caffe/util/upgrade_proto.hpp"

#include <filesystem>
#include <fstream>

#include "files.hpp"
#include "fixtures.hpp"
#include "test_paths.hpp"

namespace caffe {

namespace {

NetParameter golden(const string& name) {
  NetParameter param;
  ReadProtoFromTextFile(GOLDEN "/upgrade/" + name, &param);
  return param;
}

NetParameter net_of(const string& text) {
  NetParameter param;
  ReadProtoFromText(text, "test", &param);
  return param;
}

/// Upgrades as BVLC Caffe does.
void expect_golden(const string& name, bool needed = true, bool complete = true) {
  NetParameter param = golden(name + ".prototxt");
  EXPECT_EQ(NetNeedsUpgrade(param), needed);
  EXPECT_EQ(UpgradeNetAsNeeded(name, &param), complete);
  EXPECT_EQ(param.DebugString(), golden(name + ".upgraded.prototxt").DebugString());
  EXPECT_FALSE(NetNeedsUpgrade(param));
}

}  // namespace

TEST(UpgradeProtoTest, GoldenV0) {
  expect_golden("v0", true, false);  // one layer has fields that its type never had
}
TEST(UpgradeProtoTest, GoldenV1) {
  expect_golden("v1");
}
TEST(UpgradeProtoTest, GoldenAlexNet) {
  expect_golden("v1_alexnet");
}
TEST(UpgradeProtoTest, GoldenInputShape) {
  expect_golden("input_shape");
}
TEST(UpgradeProtoTest, GoldenBatchNorm) {
  expect_golden("batch_norm");
}
TEST(UpgradeProtoTest, LeavesTheCurrentFormatUnchanged) {
  expect_golden("today", false);
}

TEST(UpgradeProtoTest, EveryV1TypeHasAName) {
  const auto* types = V1LayerParameter_LayerType_descriptor();
  set<string> names;
  for (int i = 0; i < types->value_count(); ++i) {
    names.insert(
        UpgradeV1LayerType(static_cast<V1LayerParameter_LayerType>(types->value(i)->number())));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(types->value_count()));
  EXPECT_EQ(names.count("SoftmaxWithLoss"), 1u);
}

TEST(UpgradeProtoTest, DistinguishesFormats) {
  const NetParameter v0 = golden("v0.prototxt");
  EXPECT_TRUE(NetNeedsV0ToV1Upgrade(v0));
  EXPECT_TRUE(NetNeedsV1ToV2Upgrade(v0));
  EXPECT_TRUE(NetNeedsInputUpgrade(v0));
  EXPECT_FALSE(NetNeedsDataUpgrade(v0));
  const NetParameter v1 = golden("v1.prototxt");
  EXPECT_FALSE(NetNeedsV0ToV1Upgrade(v1));
  EXPECT_TRUE(NetNeedsDataUpgrade(v1));
  EXPECT_TRUE(NetNeedsBatchNormUpgrade(golden("batch_norm.prototxt")));
}

TEST(UpgradeProtoTest, StepByStep) {
  NetParameter v0 = golden("v0.prototxt"), v1, v2;
  EXPECT_FALSE(UpgradeV0Net(v0, &v1));
  EXPECT_EQ(v1.layers(0).type(), V1LayerParameter_LayerType_CONVOLUTION);
  EXPECT_EQ(v1.layers(0).convolution_param().pad(0), 2u);
  EXPECT_TRUE(UpgradeV1Net(v1, &v2));
  UpgradeNetInput(&v2);
  EXPECT_EQ(v2.DebugString(), golden("v0.upgraded.prototxt").DebugString());
}

TEST(UpgradeProtoTest, MovesBlobsOfV1) {
  NetParameter net = net_of("layers { name: 'a' type: RELU blobs { num: 2 data: 1 data: 3 } }");
  LayerParameter layer;
  EXPECT_TRUE(UpgradeV1LayerParameter(net.layers(0), &layer));
  EXPECT_EQ(layer.blobs(0).data(1), 3);
  EXPECT_TRUE(UpgradeNetAsNeeded("test", &net));
  EXPECT_EQ(net.layer(0).blobs(0).data(1), 3);
}

TEST(UpgradeProtoTest, RefusesWhatItCannotUpgrade) {
  const auto upgrade = [](const string& text) {
    NetParameter param = net_of(text);
    UpgradeNetAsNeeded("test", &param);
  };
  EXPECT_ERROR(upgrade("name: 'n' layer { } layers { }"), "net 'n' has both layer");
  EXPECT_ERROR(upgrade("layers { layer { name: 'x' type: 'pol' } }"), "V0 layer type 'pol'");
  EXPECT_ERROR(upgrade("name: 'n' input: 'a' input: 'b' input_dim: 1 input_dim: 2"),
               "2 inputs, 2 input_dim and 0 input_shape");
  EXPECT_ERROR(upgrade("input: 'a'"), "give one input_shape");
  EXPECT_ERROR(upgrade("input: 'a' input_shape { } input_shape { }"), "2 input_shape");
  EXPECT_ERROR(upgrade("layers { layer { name: 'p' type: 'padding' pad: 1 } bottom: 'x' top: 'p' }"
                       "layers { layer { name: 'r' type: 'relu' } bottom: 'p' top: 'r' }"),
               "layer 'r' (relu): reads padding layer 'p'");
  EXPECT_ERROR(upgrade("layers { layer { name: 'p' type: 'padding' pad: 1 } top: 'p' }"),
               "layer 'p' (padding): takes one bottom");
  EXPECT_ERROR(upgrade("layers { layer { type: 'images' new_height: -1 } }"), "below 0");
}

TEST(UpgradeProtoTest, WeightsMayNameInputsWithoutShapes) {
  for (const char* text :
       {"input: 'data' layer { name: 'a' type: 'Scale' blobs { num: 1 data: 3 } }",
        "input: 'data' layers { name: 'a' type: CONVOLUTION blobs { num: 1 data: 3 } }"}) {
    NetParameter net = net_of(text);
    EXPECT_TRUE(UpgradeNetAsNeeded("test", &net));
    EXPECT_EQ(net.input_size(), 0);
    ASSERT_EQ(net.layer_size(), 1);
    EXPECT_EQ(net.layer(0).blobs(0).data(0), 3);
  }
  NetParameter net = net_of("input: 'a' input_dim: 1 layer { blobs { data: 3 } }");
  EXPECT_ERROR(UpgradeNetAsNeeded("test", &net), "1 inputs, 1 input_dim");
}

TEST(UpgradeProtoTest, ReadsFiles) {
  NetParameter param;
  ReadNetParamsFromTextFileOrDie(GOLDEN "/upgrade/v1_alexnet.prototxt", &param);
  EXPECT_EQ(param.layer(0).type(), "Input");
  NetParameter v1 = net_of("layers { name: 'a' type: RELU }");
  const string name = temp_name(".caffemodel");
  WriteProtoToBinaryFile(v1, name);
  ReadNetParamsFromBinaryFileOrDie(name, &param);
  EXPECT_EQ(param.layer(0).type(), "ReLU");
  EXPECT_ERROR(ReadNetParamsFromTextFileOrDie("/nowhere.prototxt", &param), "/nowhere.prototxt: ");
  EXPECT_ERROR(ReadNetParamsFromBinaryFileOrDie("/nowhere", &param), "/nowhere: cannot be opened");
}

/// As BVLC Caffe has it since 2018.
TEST(UpgradeProtoTest, SnapshotPrefix) {
  const TempFolder folder;
  const auto prefix = [&](const string& name, const string& text) {
    const string file = folder.name() + "/" + name;
    std::ofstream(file) << text;
    SolverParameter solver;
    ReadSolverParamsFromTextFileOrDie(file, &solver);
    return solver.snapshot_prefix();
  };
  const string here = folder.name() + "/", in = "snapshot_prefix: '" + folder.name();
  EXPECT_EQ(prefix("my.solver.prototxt", "base_lr: 1"), here + "my.solver");
  EXPECT_EQ(prefix("solver", "base_lr: 1"), here + "solver");
  EXPECT_EQ(prefix("a.b.prototxt", in + "'"), here + "a.b");
  EXPECT_EQ(prefix("slash.prototxt", in + "/'"), here + "slash");
  EXPECT_EQ(prefix("other.prototxt", in + "/other/x'"), here + "other/x");
  EXPECT_EQ(prefix("none.prototxt", "snapshot_prefix: ''"), "");
  std::filesystem::create_directory(here + "with.dot");
  EXPECT_EQ(prefix("with.dot/solver", "base_lr: 1"), here + "with.dot/solver");
  EXPECT_EQ(prefix("s.prototxt", in + "/with.dot'"), here + "with.dot/s");
}

TEST(UpgradeProtoTest, SolverType) {
  const char* const names[] = {"SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"};
  for (int i = 0; i < 6; ++i) {
    SolverParameter solver;
    EXPECT_FALSE(SolverNeedsTypeUpgrade(solver));
    solver.set_solver_type(static_cast<SolverParameter_SolverType>(i));
    EXPECT_TRUE(SolverNeedsTypeUpgrade(solver));
    EXPECT_TRUE(UpgradeSolverAsNeeded("test", &solver));
    EXPECT_EQ(solver.type(), names[i]);
    EXPECT_FALSE(solver.has_solver_type());
  }
  SolverParameter solver;
  ReadSolverParamsFromTextFileOrDie(file_with("base_lr: 1 solver_type: ADAM"), &solver);
  EXPECT_EQ(solver.type(), "Adam");
  EXPECT_ERROR(
      ReadSolverParamsFromTextFileOrDie(file_with("type: 'SGD' solver_type: ADAM"), &solver),
      "both type and solver_type");
}

}  // namespace caffe
