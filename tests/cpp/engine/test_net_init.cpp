#include "files.hpp"
#include "toy_net.hpp"

namespace caffe {

namespace {

typedef vector<int> Ids;
typedef vector<bool> Flags;

/// All log lines after the net's description.
vector<string> lines_of(const string& text, Phase phase = TRAIN) {
  LogLines log;
  Net<float> net(net_param(text, phase));
  for (size_t i = 0; i < log.lines.size(); ++i) {
    if (contains(log.lines[i], "Initializing net from parameters: \n")) {
      return vector<string>(log.lines.begin() + static_cast<int>(i) + 1, log.lines.end());
    }
  }
  return {};
}

vector<string> layers_for(const string& rules, Phase phase, int level = 0,
                          const vector<string>& stages = {}) {
  const QuietLog quiet;
  const string file = file_with(kToyData + toy_weights("w", "data", "w", rules));
  Net<float> net(file, phase, level, &stages);
  return net.layer_names();
}

bool has_w(const string& rules, Phase phase, int level = 0, const vector<string>& stages = {}) {
  return layers_for(rules, phase, level, stages).size() == 2;
}

const char kLabelled[] =
    "layer { name: 'd' type: 'Input' top: 'x' top: 'label' input_param { shape { dim: 3 } } } ";

}  // namespace

TEST(NetInitTest, LogsWhatCaffeLogs) {
  const vector<string> expected = {"Creating layer data",
                                   "Creating Layer data",
                                   "data -> data",
                                   "Setting up data",
                                   "Top shape: 2 3 (6)",
                                   "Memory required for data: 24",
                                   "Creating layer w",
                                   "Creating Layer w",
                                   "w <- data",
                                   "w -> w",
                                   "Setting up w",
                                   "Top shape: 2 3 (6)",
                                   "Memory required for data: 48",
                                   "Creating layer r",
                                   "Creating Layer r",
                                   "r <- w",
                                   "r -> w (in-place)",
                                   "Setting up r",
                                   "Top shape: 2 3 (6)",
                                   "Memory required for data: 72",
                                   "Creating layer w_r_0_split",
                                   "Creating Layer w_r_0_split",
                                   "w_r_0_split <- w",
                                   "w_r_0_split -> w_r_0_split_0",
                                   "w_r_0_split -> w_r_0_split_1",
                                   "Setting up w_r_0_split",
                                   "Top shape: 2 3 (6)",
                                   "Top shape: 2 3 (6)",
                                   "Memory required for data: 120",
                                   "Creating layer l",
                                   "Creating Layer l",
                                   "l <- w_r_0_split_0",
                                   "l -> (automatic)",
                                   "Setting up l",
                                   "Top shape: (1)",
                                   "    with loss weight 0.5",
                                   "Memory required for data: 124",
                                   "Creating layer v",
                                   "Creating Layer v",
                                   "v <- w_r_0_split_1",
                                   "v -> v",
                                   "Setting up v",
                                   "Top shape: 2 3 (6)",
                                   "Memory required for data: 148",
                                   "v does not need backward computation.",
                                   "l needs backward computation.",
                                   "w_r_0_split needs backward computation.",
                                   "r needs backward computation.",
                                   "w needs backward computation.",
                                   "data does not need backward computation.",
                                   "This network produces output v",
                                   "Network initialization done."};
  EXPECT_EQ(lines_of(kToyData + toy_weights("w", "data", "w") +
                     "layer { name: 'r' type: 'ReLU' bottom: 'w' top: 'w' }" +
                     toy_loss("l", "w", "loss_weight: 0.5 ") + toy_weights("v", "w", "v")),
            expected);
}

TEST(NetInitTest, ListsItsParts) {
  auto net =
      make_net("name: 'n' " + string(kLabelled) + toy_weights("w", "x", "w") +
               "layer { name: 'r' type: 'ReLU' bottom: 'w' top: 'w' }" +
               toy_loss("z", "w", "bottom: 'label' top: 'z'") + toy_weights("a", "label", "a"));
  EXPECT_EQ(net->name(), "n");
  EXPECT_EQ(net->phase(), TRAIN);
  EXPECT_EQ(net->layer_names(), vector<string>({"d", "label_d_1_split", "w", "r", "z", "a"}));
  EXPECT_EQ(net->blob_names(), vector<string>({"x", "label", "label_d_1_split_0",
                                               "label_d_1_split_1", "w", "z", "a"}));
  EXPECT_EQ(net->blob_names_index().at("w"), 4);
  EXPECT_EQ(net->layer_names_index().at("r"), 3);
  EXPECT_EQ(net->bottom_ids(3), Ids({4}));
  EXPECT_EQ(net->top_ids(3), Ids({4}));
  EXPECT_EQ(net->bottom_ids(4), Ids({4, 2}));
  EXPECT_EQ(net->bottom_vecs()[4][1], net->blobs()[2].get());
  EXPECT_EQ(net->top_vecs()[1][1], net->blobs()[3].get());
  EXPECT_EQ(net->input_blob_indices(), Ids({0, 1}));
  EXPECT_EQ(net->num_inputs(), 2);
  EXPECT_EQ(net->input_blobs()[1], net->blobs()[1].get());
  EXPECT_EQ(net->output_blob_indices(), Ids({6, 5})) << "in the order of the names";
  EXPECT_EQ(net->num_outputs(), 2);
  EXPECT_EQ(net->output_blobs()[0], net->blobs()[6].get());
  EXPECT_EQ(net->blob_loss_weights(), vector<float>({0, 0, 0, 0, 0, 1, 0}));
  EXPECT_TRUE(net->has_blob("w") && net->has_layer("w"));
  EXPECT_FALSE(net->has_blob("d") || net->has_layer("x"));
  EXPECT_EQ(net->blob_by_name("w"), net->blobs()[4]);
  EXPECT_EQ(net->layer_by_name("r"), net->layers()[3]);
  const QuietLog quiet;
  EXPECT_EQ(net->blob_by_name("d"), nullptr);
  EXPECT_EQ(net->layer_by_name("x"), nullptr);
}

TEST(NetInitTest, AutomaticTopsAreNotOutputs) {
  auto net = make_net(kToyData + toy_loss("l1", "data") + toy_loss("l2", "data"));
  EXPECT_EQ(net->blob_names(), vector<string>({"data", "data_data_0_split_0", "data_data_0_split_1",
                                               "(automatic)", "(automatic)"}));
  EXPECT_EQ(net->num_outputs(), 0);
  EXPECT_FALSE(net->has_blob("(automatic)"));
}

TEST(NetInitTest, PhasesLevelsAndStages) {
  EXPECT_TRUE(has_w("", TEST));
  EXPECT_TRUE(has_w("include { phase: TRAIN } ", TRAIN));
  EXPECT_FALSE(has_w("include { phase: TRAIN } ", TEST));
  EXPECT_TRUE(has_w("exclude { phase: TRAIN } ", TEST));
  EXPECT_FALSE(has_w("exclude { phase: TRAIN } ", TRAIN));
  EXPECT_TRUE(has_w("include { phase: TRAIN } include { stage: 'a' } ", TEST, 0, {"a"}));
  EXPECT_TRUE(has_w("include { } ", TEST));
  EXPECT_FALSE(has_w("exclude { } ", TEST));
  EXPECT_TRUE(has_w("include { min_level: 2 max_level: 3 } ", TEST, 2));
  EXPECT_TRUE(has_w("include { min_level: 2 max_level: 3 } ", TEST, 3));
  EXPECT_FALSE(has_w("include { min_level: 2 } ", TEST, 1));
  EXPECT_FALSE(has_w("include { max_level: 3 } ", TEST, 4));
  EXPECT_TRUE(has_w("include { stage: 'a' stage: 'b' } ", TEST, 0, {"b", "a", "c"}));
  EXPECT_FALSE(has_w("include { stage: 'a' stage: 'b' } ", TEST, 0, {"a"}));
  EXPECT_TRUE(has_w("include { not_stage: 'a' } ", TEST, 0, {"b"}));
  EXPECT_FALSE(has_w("include { not_stage: 'a' } ", TEST, 0, {"a"}));
  EXPECT_FALSE(has_w("exclude { stage: 'a' } exclude { stage: 'b' } ", TEST, 0, {"b"}));
  EXPECT_ERROR(has_w("include { } exclude { } ", TEST),
               "layer 'w' (ToyWeights): has include rules and exclude rules");
}

TEST(NetInitTest, LogsWhyALayerIsOut) {
  LogLines log;
  NetState state;
  state.add_stage("a");
  state.set_level(2);
  const auto meets = [&](const string& text) {
    NetStateRule rule;
    ReadProtoFromText(text, "rule", &rule);
    return Net<float>::StateMeetsRule(state, rule, "x");
  };
  EXPECT_FALSE(meets("phase: TRAIN") || meets("min_level: 3") || meets("max_level: 1") ||
               meets("stage: 'b'") || meets("not_stage: 'a'"));
  EXPECT_TRUE(
      log.has("The NetState phase (1) differed from the phase (0) specified by a rule in "
              "layer x"));
  EXPECT_TRUE(
      log.has("The NetState level (2) is below the min_level (3) specified by a rule in "
              "layer x"));
  EXPECT_TRUE(
      log.has("The NetState level (2) is above the max_level (1) specified by a rule in "
              "layer x"));
  EXPECT_TRUE(log.has("The NetState did not contain stage 'b' specified by a rule in layer x"));
  EXPECT_TRUE(log.has("The NetState contained a not_stage 'a' specified by a rule in layer x"));
}

TEST(NetInitTest, GivesLayersThePhase) {
  auto net = make_net(kToyData + toy_weights("w", "data", "w"), TEST);
  EXPECT_EQ(net->layers()[1]->layer_param().phase(), TEST);
  net = make_net(kToyData + toy_weights("w", "data", "w", "phase: TRAIN "), TEST);
  EXPECT_EQ(net->layers()[1]->layer_param().phase(), TRAIN);
}

// ---- which layers run backward; each as in BVLC Caffe

TEST(NetBackwardTest, OnlyWhatLearnsAndReachesALoss) {
  auto net =
      make_net(string(kLabelled) + toy_weights("w1", "x", "a") + toy_weights("w2", "a", "b") +
               toy_weights("dead", "a", "c") + toy_loss("l", "b", "bottom: 'label' "));
  EXPECT_EQ(net->layer_names(), vector<string>({"d", "w1", "a_w1_0_split", "w2", "dead", "l"}));
  EXPECT_EQ(net->layer_need_backward(), Flags({false, true, true, true, false, true}));
  EXPECT_EQ(net->bottom_need_backward()[1], Flags({false}));
  EXPECT_EQ(net->bottom_need_backward()[2], Flags({true}));
  EXPECT_EQ(net->bottom_need_backward()[4], Flags({false}));
  EXPECT_EQ(net->bottom_need_backward()[5], Flags({true, false}));
  net->ForwardBackward();
  EXPECT_EQ(gradient(*net->blob_by_name("a_w1_0_split_1")), vector<double>(3, 0));
}

TEST(NetBackwardTest, StopsWhereNothingLearns) {
  const string none = "param { lr_mult: 0 } param { lr_mult: 0 } ";
  auto net = make_net(kToyData + toy_weights("w1", "data", "a", none) +
                      toy_weights("w2", "a", "b", "param { lr_mult: 0 } ") + toy_loss("l", "b"));
  EXPECT_EQ(net->layer_need_backward(), Flags({false, false, true, true}));
  EXPECT_EQ(net->bottom_need_backward()[2], Flags({false}));
  EXPECT_FALSE(net->layers()[2]->param_propagate_down(0));
  EXPECT_TRUE(net->layers()[2]->param_propagate_down(1));
  net->ForwardBackward();
  EXPECT_EQ(gradient(*net->layers()[2]->blobs()[0]), vector<double>(3, 0));
  EXPECT_EQ(gradient(*net->layers()[2]->blobs()[1]), vector<double>(1, 6));
  net = make_net(kToyData + toy_weights("w1", "data", "a", none) + toy_loss("l", "a"));
  EXPECT_EQ(net->layer_need_backward(), Flags({false, false, false}));
}

TEST(NetBackwardTest, PropagateDownDecides) {
  const string w2 = toy_weights("w2", "a", "b", "propagate_down: false ");
  auto net = make_net(kToyData + toy_weights("w1", "data", "a") + w2 + toy_loss("l", "b"));
  EXPECT_EQ(net->layer_need_backward(), Flags({false, false, true, true}));
  EXPECT_EQ(net->bottom_need_backward()[2], Flags({false}));
  net = make_net(kToyData + toy_weights("w1", "data", "a", "propagate_down: true ") +
                 toy_loss("l", "a"));
  EXPECT_EQ(net->bottom_need_backward()[1], Flags({true}));
  net->ForwardBackward();
  EXPECT_EQ(gradient(*net->blob_by_name("data")), vector<double>(6, 2));
  EXPECT_ERROR(make_net(kToyData + toy_weights("w", "data", "a",
                                               "propagate_down: true propagate_down: true ")),
               "layer 'w' (ToyWeights): has propagate_down 2 times and bottom 1");
}

TEST(NetBackwardTest, ForceBackward) {
  const string none = "param { lr_mult: 0 } param { lr_mult: 0 } ";
  auto net = make_net("force_backward: true " + string(kLabelled) +
                      toy_weights("w", "x", "a", none + "propagate_down: false ") +
                      toy_loss("l", "a", "bottom: 'label' ") + toy_weights("v", "label", "v"));
  EXPECT_EQ(net->layer_need_backward(), Flags(5, true));
  EXPECT_EQ(net->bottom_need_backward()[2], Flags({true}));
  EXPECT_EQ(net->bottom_need_backward()[3], Flags({true, false})) << "a label takes no gradient";
  EXPECT_TRUE(net->layers()[2]->param_propagate_down(0));
  net->ForwardBackward();
  EXPECT_EQ(gradient(*net->blob_by_name("x")), vector<double>(3, 2));
}

TEST(NetBackwardTest, ForceBackwardSkipsAccuracy) {
  auto net = make_net(
      "force_backward: true layer { name: 'd' type: 'Input' top: 'x' top: 'label' "
      "input_param { shape { dim: 2 dim: 3 } shape { dim: 2 } } } " +
      toy_weights("w", "x", "a") + toy_loss("l", "a") +
      "layer { name: 'acc' type: 'Accuracy' bottom: 'a' bottom: 'label' top: 'acc' }");
  EXPECT_EQ(net->bottom_need_backward().back(), Flags({false, false}));
  net->ForwardBackward();
  EXPECT_EQ(gradient(*net->blob_by_name("x")), vector<double>(6, 2));
}

TEST(NetBackwardTest, ALossThatIsReadCountsOnce) {
  auto net = make_net(kToyData + toy_weights("w", "data", "a", "loss_weight: 0.5 ") +
                      toy_weights("v", "a", "b") + toy_loss("l", "b"));
  EXPECT_EQ(net->layer_names(), vector<string>({"data", "w", "a_w_0_split", "v", "l"}));
  EXPECT_EQ(net->blob_loss_weights()[net->blob_names_index().at("a")], 0);
  EXPECT_EQ(net->blob_loss_weights()[net->blob_names_index().at("a_w_0_split_0")], 0.5);
  fill(net->input_blobs()[0], 1.f);
  EXPECT_FLOAT_EQ(net->ForwardBackward(), 0.5f * 12 + 24);
  EXPECT_EQ(gradient(*net->blob_by_name("a")), vector<double>(6, 2.5));
  // The default weight of a layer, unless the prototxt sets another.
  net = make_net(kToyData + toy_weights("w", "data", "a") +
                 toy_loss("l", "a", "top: 'l' loss_weight: 0.5 ") +
                 "layer { name: 'p' type: 'ToyLoss' bottom: 'l' loss_weight: 0.25 }");
  fill(net->input_blobs()[0], 1.f);
  EXPECT_FLOAT_EQ(net->ForwardBackward(), 0.75f * 12);
  EXPECT_EQ(gradient(*net->blob_by_name("a")), vector<double>(6, 0.75));
}

TEST(NetBackwardTest, WarnsOfALossWeightThatIsOverwritten) {
  const auto warned = [](const string& weight) {
    const NetParameter param =
        net_param(kToyData + toy_weights("w", "data", "a") +
                  toy_loss("l", "a", "top: 'l' " + weight) + toy_loss("m", "l"));
    LogLines log;
    Net<float> net(param);
    return log.has(
        "The gradient of l will be that of m alone, without its loss weight: write "
        "loss_weight: 1 into the layer that makes it");
  };
  EXPECT_TRUE(warned(""));
  EXPECT_FALSE(warned("loss_weight: 1 "));
}

/// Only weights are stored by name.
TEST(NetInitTest, WarnsOfTwoLayersWithWeightsOfOneName) {
  const auto warned = [](const string& text) {
    LogLines log;
    Net<float> net(net_param(kToyData + text));
    return log.has(
        "More than one layer is named 'w': in files of weights only their order tells them apart");
  };
  const string relu = "layer { name: 'w' type: 'ReLU' bottom: 'a' top: 'a' } ";
  EXPECT_TRUE(warned(toy_weights("w", "data", "a") + toy_weights("w", "a", "b")));
  EXPECT_FALSE(warned(toy_weights("w", "data", "a") + relu));
  EXPECT_FALSE(warned(toy_weights("w", "data", "a") + toy_weights("v", "a", "b")));
}

// ---- errors

TEST(NetErrorTest, SaysWhereAndWhatToDo) {
  const QuietLog quiet;
  EXPECT_ERROR(make_net(kToyData + toy_weights("w", "dat", "a")),
               "unknown bottom blob 'dat' (layer 'w', bottom index 0); did you mean 'data'?");
  EXPECT_ERROR(make_net(kToyData + toy_weights("w", "data", "a") + toy_weights("v", "data", "a")),
               "layer 'v' (ToyWeights): top blob 'a' is already made by another layer");
  EXPECT_ERROR(make_net(kToyData + toy_weights("w", "data", "a") + toy_weights("v", "a", "v") +
                        "layer { name: 'r' type: 'ReLU' bottom: 'a' top: 'a' }"),
               "layer 'r' (ReLU): top blob 'a' is already made");
  EXPECT_ERROR(make_net(kToyData + toy_weights("w", "data", "a", "top: 'a' ")),
               "top blob 'a' is already made");
  EXPECT_ERROR(make_net(kToyData + string("layer { name: 'w' type: 'ToyWeight' bottom: 'data' }")),
               "layer 'w': unknown layer type 'ToyWeight'; did you mean 'ToyWeights'?");
  EXPECT_ERROR(make_net(kToyData + toy_weights("w", "data", "a", "param { } param { } param { } ")),
               "layer 'w' (ToyWeights): has param { } 3 times and learns 2 blobs");
  EXPECT_ERROR(make_net(kToyData + string("layer { name: 'w' type: 'ToyWeights' bottom: 'data' "
                                          "top: 'a' }")),
               "layer 'w' (ToyWeights): toy weights need a num_output");
  EXPECT_ERROR(make_net("layer { name: 'd' type: 'Input' top: 'x' top: 'x' }"),
               "layer 'd' (Input): top blob 'x'");
}

TEST(NetErrorTest, NamesTheFile) {
  const QuietLog quiet;
  const string file = file_with(kToyData + toy_weights("w", "dat", "a"), ".prototxt");
  EXPECT_ERROR(Net<float>(file, TRAIN), file + ": unknown bottom blob 'dat'");
  const string typo = file_with("layer {\n  typ: 'ReLU' }", ".prototxt");
  EXPECT_ERROR(Net<float>(typo, TRAIN), typo + ":2:");
  EXPECT_ERROR(Net<float>("/nowhere", TEST), "/nowhere: cannot be opened");
}

TEST(NetErrorTest, OfARunningLayerNamesIt) {
  auto net = make_net(kToyData + toy_weights("w", "data", "a") + toy_loss("l", "a"));
  net->input_blobs()[0]->Reshape({4});
  EXPECT_ERROR(net->Reshape(), "layer 'w' (ToyWeights): 4 values are no multiple of 3");
  EXPECT_ERROR(net->Forward(), "layer 'w' (ToyWeights): 4 values are no multiple of 3");
  struct Thrower : Net<float>::Callback {
    void run(int layer) override {
      if (layer == 1) throw std::logic_error("not of Caffe");
    }
  } thrower;
  net->add_before_forward(&thrower);
  EXPECT_THROW(net->Forward(), std::logic_error) << "others' exceptions pass through";
}

TEST(NetErrorTest, OldFormatsAreAlsoUpgradedInMemory) {
  auto net = make_net(
      "input: 'data' input_dim: 1 input_dim: 1 input_dim: 2 input_dim: 3 "
      "layers { name: 'r' type: RELU bottom: 'data' top: 'r' }");
  EXPECT_EQ(net->layer_names(), vector<string>({"input", "r"}));
  EXPECT_EQ(net->input_blobs()[0]->shape(), vector<int>({1, 1, 2, 3}));
}

}  // namespace caffe
