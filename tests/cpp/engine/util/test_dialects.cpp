#include "caffe/util/dialects.hpp"

#include <algorithm>

#include "caffe/net.hpp"
#include "caffe/util/dialect_table.hpp"
#include "caffe/util/fork_text.hpp"
#include "caffe/util/io.hpp"
#include "google/protobuf/descriptor.h"
#include "tests/cpp/engine/fixtures.hpp"
#include "tests/cpp/engine/log_lines.hpp"

namespace caffe {

namespace {

typedef vector<string> Names;

/// Chooses a dialect for the time of a test.
class Choice {
 public:
  explicit Choice(const string& name) { set_dialect(name); }
  ~Choice() { set_dialect(""); }
};

NetParameter read(const string& text) {
  NetParameter net;
  ReadProtoFromText(text, "net.prototxt", &net);
  return net;
}

string read_error(const string& text) {
  return error_of([&] { read(text); });
}

DialectFound found(const string& text) {
  return find_dialect(read(text));
}

/// The dialects of a net's layers.
Names resolved(const string& text) {
  NetParameter net = read(text);
  resolve_dialect(find_dialect(net), &net);
  Names names;
  for (const LayerParameter& layer : net.layer()) names.push_back(layer.dialect());
  return names;
}

string resolved_one(const string& layer) {
  return resolved("layer { " + layer + " }").at(0);
}

bool is_in(const Names& names, const string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

// ---- the table

TEST(DialectsTest, NamesTypesFieldsAndValues) {
  EXPECT_EQ(known_dialects().size(), 64);
  EXPECT_EQ(known_dialects()[0], "ssd");
  EXPECT_EQ(dialects_of_type("CenterLoss")[0], "caffe_face");
  EXPECT_EQ(dialects_of_type("Reorg")[0], "yolo_eric612");
  EXPECT_EQ(dialects_of_type("Convolution"), Names());
  EXPECT_EQ(dialects_of_field("LayerParameter", "norm_param")[0], "ssd");
  EXPECT_EQ(dialects_of_field("LayerParameter", "forward_type"), Names({"nv017", "nv016"}));
  EXPECT_EQ(dialects_of_field("LayerParameter", "bottom"), Names());
  EXPECT_EQ(dialects_of_value("PoolingParameter.Engine", "MKL2017"), Names({"intel", "sophgo"}));
  EXPECT_EQ(dialects_of_value("PoolingParameter.PoolMethod", "MAX"), Names());
}

TEST(DialectsTest, NamesAFewInASentence) {
  EXPECT_EQ(dialects_text({}), "");
  EXPECT_EQ(dialects_text({"a"}), "a");
  EXPECT_EQ(dialects_text({"a", "b", "c", "d"}), "a, b, c and d");
  EXPECT_EQ(dialects_text({"a", "b", "c", "d", "e"}), "a, b, c and 2 more");
}

// ---- reading a text

TEST(DialectsTest, FieldsOfForksAreSkippedWithOneWarningEach) {
  LogLines log;
  const NetParameter net = read(
      "layer { name: 'a' forward_type: FLOAT16 forward_math: FLOAT\n"
      "  detectnet_groundtruth_param { stride: 4 no_such_thing { deeper: [1, 2] } } }\n"
      "layer { name: 'b' forward_type: FLOAT }");
  EXPECT_EQ(net.layer_size(), 2);
  EXPECT_EQ(net.layer(1).name(), "b");
  EXPECT_TRUE(log.has(
      "net.prototxt:1:31: 'forward_type' is a field of LayerParameter in nv017 and nv016; it has "
      "no effect here"));
  log.expect(
      {".*'forward_type'.*", ".*'forward_math'.*", ".*:2:31: 'detectnet_groundtruth_param.*"});
}

TEST(DialectsTest, OtherFieldsStayErrors) {
  const string typo = read_error("layer { forward_type: FLOAT\n  botom: 'a' }");
  EXPECT_PRED2(contains, typo, "net.prototxt:2:8: ");
  EXPECT_PRED2(contains, typo, "no field named \"botom\". Did you mean 'bottom'?");
  // A field of another message is a typo here.
  EXPECT_PRED2(contains, read_error("forward_type: FLOAT"), "no field named \"forward_type\"");
  const string solver = read_error("net: 'a.prototxt' base_lr: 0.1 eval_type: 'detection'");
  EXPECT_PRED2(contains, solver, "the prototxt of a solver, not of a net: give the net's, 'a.p");
}

TEST(DialectsTest, SolversOfForksAreRead) {
  LogLines log;
  SolverParameter solver;
  ReadProtoFromText(
      "net: 'a.prototxt' lr_policy: 'poly' rampup_interval: 10 min_lr: 0.1 "
      "eval_type: 'detection' net_param { layer { debug: true } }",
      "solver.prototxt", &solver);
  EXPECT_EQ(solver.eval_type(), "detection");
  log.expect({".*'rampup_interval' is a field of SolverParameter in nv017.*", ".*'min_lr'.*",
              ".*'debug' is a field of LayerParameter in nv017.*"});
}

TEST(DialectsTest, EnginesOfForksAreTheDefault) {
  LogLines log;
  const NetParameter net = read(
      "# engine: MLU\n"
      "name: \"engine: MKLDNN\"\n"
      "layer { name: 'a' pooling_param { engine: MKL2017 pool: AVE } }\n"
      "layer { name: 'b' convolution_param { engine : # why\n MKLDNN num_output: 3 } }\n"
      "layer { name: 'c' convolution_param { engine: MKLDNN } }");
  EXPECT_EQ(net.name(), "engine: MKLDNN");
  EXPECT_FALSE(net.layer(0).pooling_param().has_engine());
  EXPECT_EQ(net.layer(0).pooling_param().pool(), PoolingParameter_PoolMethod_AVE);
  EXPECT_EQ(net.layer(1).convolution_param().num_output(), 3);
  EXPECT_FALSE(net.layer(2).convolution_param().has_engine());
  log.expect({"net.prototxt:3: engine MKL2017 is one of intel and sophgo; it has no effect here",
              "net.prototxt:4: engine MKLDNN is one of intel and sophgo; it has no effect here"});
}

TEST(DialectsTest, EnginesKeepTheirPlaces) {
  string text = "a engine:\nNNPACK b 'engine: NNPACK' engine : MLU";
  const QuietLog quiet;
  EXPECT_EQ(remove_fork_engines("x", &text).size(), 2);
  EXPECT_EQ(text, "a        \n       b 'engine: NNPACK'             ");
  for (const string open : {"engine: MLU 'open \\", "engine: MLU \"open\\", "engine: MLU # open",
                            "engine:", "engine: MLU"}) {
    text = open;
    remove_fork_engines("x", &text);
    EXPECT_EQ(text.size(), open.size());
  }
}

TEST(DialectsTest, OtherValuesOfForksAreErrorsThatNameTheFork) {
  EXPECT_PRED2(contains, read_error("layer { pooling_param { pool: LOWRES } }"),
               "It is a value of happynear, which is not built here.");
  EXPECT_PRED2(contains, read_error("layers { type: BIN_ACCURACY }"), "It is a value of deconvnet");
  EXPECT_PRED2(contains, read_error("layer { pooling_param { pool: MAXX } }"), "mean 'MAX'?");
}

// Types in upper case belong to the form of 2014.
TEST(DialectsTest, TypesOfForksInTheOldForm) {
  const string built = read_error("layers { name: 'a' type: ROI_POOLING }");
  EXPECT_PRED2(contains, built, "write layer { type: \"ROIPooling\" ... } for layers { ... }");
  EXPECT_PRED2(contains, built, "(the old form of cambricon has it)");
  EXPECT_PRED2(contains, read_error("layers { type: PERMUTE }"), "layer { type: \"Permute\"");
  EXPECT_PRED2(contains, read_error("layers { type: UNPOOLING }"),
               "form of deconvnet and cambricon");
  EXPECT_PRED2(contains, read_error("layers { type: ELTWISE_ACCURACY }"), "not built here");
  EXPECT_PRED2(contains, read_error("layers { type: CONVOLUTIN }"), "mean 'CONVOLUTION'?");
}

TEST(DialectsTest, OneSizeOrSeveral) {
  const NetParameter net = read(
      "layer { prior_box_param { min_size: 30 max_size: 60 } }"
      "layer { prior_box_param { min_size: 30 min_size: 60 max_size: [60, 111] } }");
  EXPECT_EQ(net.layer(0).prior_box_param().min_size(0), 30);
  EXPECT_EQ(net.layer(1).prior_box_param().max_size(1), 111);
}

// ---- which dialect

TEST(DialectsTest, MostPartsDecide) {
  const DialectFound ssd = found(
      "layer { type: 'Permute' permute_param { order: 0 } } layer { type: 'PriorBox' } "
      "layer { type: 'Convolution' convolution_param { num_output: 3 } }");
  EXPECT_EQ(ssd.name, "ssd");
  EXPECT_EQ(ssd.from, Names({"Permute", "PriorBox", "permute_param", "order"}));
  EXPECT_EQ(found("layer { type: 'ROIPooling' } layer { type: 'PSROIPooling' }").name, "rfcn");
  EXPECT_EQ(found("layer { type: 'Axpy' }").name, "senet");
  EXPECT_EQ(found("layer { type: 'Interp' interp_param { height: 3 } }").name, "pspnet");
  const string roi =
      "layer { type: 'ROIPooling' } layer { type: 'SmoothL1Loss' bottom: 'a' "
      "bottom: 'b' bottom: 'c' ";
  EXPECT_EQ(found(roi + "}").name, "fast_rcnn");
  EXPECT_EQ(found(roi + "bottom: 'd' }").name, "faster_rcnn");
  EXPECT_EQ(found("layer { type: 'Convolution' }").name, "");
  EXPECT_EQ(found("").from, Names());
}

TEST(DialectsTest, WhatWasSkippedCounts) {
  const NetParameter net = read("layer { type: 'PriorBox' }");
  EXPECT_EQ(find_dialect(net).name, "ssd");
  EXPECT_EQ(find_dialect(net, {{"debug", {"nv017", "nv016"}}}).name, "nv017");
  // Set by the reader, which alone saw the engine.
  const QuietLog quiet;
  EXPECT_EQ(read("layer { type: 'SmoothL1Loss' convolution_param { engine: MKLDNN } }")
                .layer(0)
                .dialect(),
            "faster_rcnn");
}

TEST(DialectsTest, FieldsAndBottomsTellMeaningsApart) {
  EXPECT_EQ(resolved_one("type: 'BN' bn_param { scale_filler { value: 1 } }"), "segnet");
  EXPECT_EQ(resolved_one("type: 'BN' bn_param { bn_mode: INFERENCE }"), "segnet");
  EXPECT_EQ(resolved_one("type: 'BN' bn_param { slope_filler { value: 1 } }"), "pspnet");
  EXPECT_EQ(resolved_one("type: 'BN' bn_param { frozen: true }"), "pspnet");
  EXPECT_EQ(resolved_one("type: 'BN' blobs { } blobs { }"), "segnet");
  EXPECT_EQ(resolved_one("type: 'Upsample' bottom: 'a'"), "yolo_eric612");
  EXPECT_EQ(resolved_one("type: 'Upsample' bottom: 'a' bottom: 'mask'"), "segnet");
  EXPECT_EQ(resolved_one("type: 'Normalize' norm_param { }"), "ssd");
  EXPECT_EQ(resolved_one("type: 'Normalize' normalize_param { }"), "happynear");
  EXPECT_EQ(resolved_one("type: 'Normalize'"), "ssd");
  EXPECT_EQ(resolved_one("type: 'SmoothL1Loss' bottom: 'a' bottom: 'b' bottom: 'c'"), "ssd");
  EXPECT_EQ(resolved_one("type: 'SmoothL1Loss' bottom: 'a' bottom: 'b' bottom: 'c' bottom: 'd'"),
            "faster_rcnn");
  EXPECT_EQ(resolved_one("type: 'L1Loss' bottom: 'a' bottom: 'b'"), "nv017");
  EXPECT_EQ(resolved_one("type: 'L1Loss' l1_loss_param { plateau: 1 }"), "flownet2");
  EXPECT_EQ(resolved_one("type: 'CTCLoss'"), "textboxes");
  EXPECT_EQ(resolved_one("type: 'FocalLoss' focal_loss_param { gamma: 2 axis: 1 }"),
            "focal_chuanqi305");
  EXPECT_EQ(resolved_one("type: 'FocalLoss' focal_loss_param { type: ONEADDP }"), "happynear");
  EXPECT_EQ(resolved_one("type: 'BatchNorm' batch_norm_param { scale_bias: true }"), "nv017");
  EXPECT_EQ(resolved_one("type: 'BatchNorm' batch_norm_param { eps: 1 }"), "");
  EXPECT_EQ(resolved_one("type: 'Convolution'"), "");
}

TEST(DialectsTest, TheOtherLayersDecideWhereALayerDoesNot) {
  EXPECT_EQ(resolved("layer { type: 'BN' } layer { type: 'Upsample' bottom: 'a' bottom: 'b' } "
                     "layer { type: 'DenseImageData' }")[0],
            "segnet");
  EXPECT_EQ(resolved("layer { type: 'BN' } layer { type: 'Interp' }")[0], "pspnet");
  EXPECT_EQ(resolved("layer { type: 'CTCLoss' } layer { type: 'ReverseTime' }")[0], "caffe_ocr");
  EXPECT_EQ(resolved("layer { type: 'FocalLoss' } layer { type: 'Flip' } "
                     "layer { type: 'NCALoss' }")[0],
            "happynear");
  const string norm = "layer { type: 'BatchNorm' batch_norm_param { bias_filler { } } } ";
  EXPECT_EQ(resolved(norm)[0], "nv017");
  EXPECT_EQ(resolved(norm + "layer { type: 'Flip' } layer { type: 'NCALoss' }")[0], "intel");
  EXPECT_EQ(resolved("layer { type: 'SmoothL1Loss' bottom: 'a' bottom: 'b' } "
                     "layer { type: 'Proposal' }")[0],
            "faster_rcnn");
}

TEST(DialectsTest, ADefaultOfTheDialectIsWrittenOut) {
  const string text =
      "layer { type: 'PriorBox' } layer { type: 'PriorBox' "
      "prior_box_param { clip: false } }";
  const auto clips = [&] {
    NetParameter net = read(text);
    resolve_dialect(find_dialect(net), &net);
    return std::make_pair(net.layer(0).prior_box_param().clip(),
                          net.layer(1).prior_box_param().clip());
  };
  EXPECT_EQ(clips(), std::make_pair(false, false));
  const Choice choice("yolo9000");
  EXPECT_EQ(clips(), std::make_pair(true, false));
}

TEST(DialectsTest, ChosenByHand) {
  const string bn = "type: 'BN' bn_param { slope_filler { value: 1 } }";
  {
    const Choice choice("enet");
    EXPECT_EQ(chosen_dialect(), "enet");
    EXPECT_EQ(resolved_one(bn), "segnet");
    EXPECT_EQ(resolved_one("type: 'Normalize'"), "");  // no type of it: nothing is known
    EXPECT_EQ(resolved_one("dialect: 'pspnet' " + bn), "pspnet");
    EXPECT_EQ(found("layer { " + bn + " }").name, "enet");
    EXPECT_EQ(found("layer { }").name, "");
  }
  EXPECT_EQ(resolved_one(bn), "pspnet");
  EXPECT_ERROR(set_dialect("segnett"),
               "unknown dialect 'segnett'; did you mean 'segnet'? (known: ");
  EXPECT_EQ(chosen_dialect(), "");
}

TEST(DialectsTest, ALayerNamesItsOwn) {
  EXPECT_EQ(resolved_one("type: 'BN' dialect: 'deconvnet' bn_param { frozen: true }"), "segnet");
  EXPECT_EQ(resolved_one("type: 'Upsample' dialect: 'ssd' bottom: 'a'"), "ssd");
  EXPECT_EQ(resolved_one("type: 'BN' dialect: '' bn_param { frozen: true }"), "pspnet");
  EXPECT_ERROR(resolved("layer { name: 'b' type: 'BN' dialect: 'pspnett' }"),
               "layer 'b': unknown dialect 'pspnett'; did you mean 'pspnet'?");
  NetParameter net = read("layer { type: 'PriorBox' dialect: 'yolo9000' }");
  resolve_dialect(find_dialect(net), &net);
  EXPECT_TRUE(net.layer(0).prior_box_param().clip());
}

// ---- making a net

TEST(DialectsTest, ANetLogsItsDialect) {
  const string reorg =
      "layer { type: 'DummyData' top: 'x' dummy_data_param { shape { dim: 1 } } } "
      "layer { type: 'Silence' bottom: 'x' relu6_param { } reorg_param { } "
      "upsample_param { } normalize_param { } norm_param { } }";
  LogLines log;
  Net<float> net(read(reorg));
  EXPECT_TRUE(
      log.has("Dialect: yolo_eric612 (from norm_param, relu6_param, upsample_param, "
              "reorg_param)"))
      << log.lines[0];
  log.clear();
  Net<float> plain(read("layer { type: 'DummyData' top: 'x' dummy_data_param { shape { } } }"));
  for (const string& line : log.lines) EXPECT_EQ(line.find("Dialect"), string::npos);
  log.clear();
  const Choice choice("segnet");
  Net<float> chosen(read(reorg));
  EXPECT_TRUE(log.has("Dialect: segnet (chosen by hand)"));
}

// ---- the file against the schema

TEST(DialectsTest, TheTableFitsTheSchema) {
  const auto* const pool = NetParameter::descriptor()->file()->pool();
  const Names dialects = known_dialects();
  std::istringstream lines(kDialectTable);
  string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "kind\towner\tname\tdialects");
  set<string> seen;
  int fields = 0, values = 0;
  while (std::getline(lines, line)) {
    std::istringstream row(line);
    string kind, owner, name, names, one;
    std::getline(row, kind, '\t');
    std::getline(row, owner, '\t');
    std::getline(row, name, '\t');
    std::getline(row, names);
    EXPECT_TRUE(seen.insert(kind + owner + "." + name).second) << line;
    if (kind == "dialect") continue;
    std::istringstream list(names);
    while (std::getline(list, one, '|')) EXPECT_TRUE(is_in(dialects, one)) << line;
    if (kind == "field") {
      EXPECT_NE(pool->FindMessageTypeByName("caffe." + owner), nullptr) << line;
      ++fields;
    } else if (kind == "value") {
      const auto* const type = pool->FindEnumTypeByName("caffe." + owner);
      ASSERT_NE(type, nullptr) << line;
      EXPECT_EQ(type->FindValueByName(name), nullptr) << line;
      ++values;
    } else {
      EXPECT_EQ(kind, "type") << line;
    }
  }
  EXPECT_GT(fields, 1100);
  EXPECT_GT(values, 100);
}

}  // namespace caffe
