#include "caffe/util/hdf5.hpp"
#include "files.hpp"
#include "toy_net.hpp"

namespace caffe {

namespace {

typedef vector<double> Values;

/// Two layers; the first one's parameters are `first` up to first + 2.
template <typename Dtype = float>
std::unique_ptr<Net<Dtype>> trained(double first = 1, const string& w2 = "w2") {
  auto net = make_net<Dtype>(kToyData + toy_weights("w1", "data", "a") + toy_weights(w2, "a", "b"));
  for (int i = 0; i < 3; ++i) {
    net->params()[0]->mutable_cpu_data()[i] = static_cast<Dtype>(first + i);
  }
  return net;
}

string shared(const string& w1, const string& w2, const string& more2 = "") {
  return kToyData + toy_weights("w1", "data", "a", "param { name: 'p' " + w1 + " } ") +
         "layer { name: 'w2' type: 'ToyWeights' bottom: 'a' top: 'b' param { name: 'p' " + w2 +
         " } inner_product_param { num_output: 3 " + more2 + "} } " + toy_loss("l", "b");
}

template <typename Dtype>
void save(const Net<Dtype>& net, const string& name, bool diffs = false) {
  NetParameter param;
  net.ToProto(&param, diffs);
  WriteProtoToBinaryFile(param, name);
}

}  // namespace

// ---- sharing

template <typename Dtype>
class NetParamsTest : public ::testing::Test {};
TYPED_TEST_SUITE(NetParamsTest, Dtypes);

TYPED_TEST(NetParamsTest, Lists) {
  auto net = make_net<TypeParam>(
      kToyData + toy_weights("w1", "data", "a", "param { lr_mult: 3 } param { decay_mult: 0 } ") +
      toy_weights("w2", "a", "b", "param { name: 'p' } ") +
      toy_weights("w3", "b", "c", "param { name: 'p' lr_mult: 2 decay_mult: 4 } "));
  EXPECT_EQ(net->params().size(), 6u);
  EXPECT_EQ(net->param_owners(), vector<int>({-1, -1, -1, -1, 2, -1}));
  EXPECT_EQ(net->param_display_names(), vector<string>({"0", "1", "p", "1", "p", "1"}));
  EXPECT_EQ(net->param_names_index(), (map<string, int>{{"p", 2}}));
  ASSERT_EQ(net->learnable_params().size(), 5u);
  EXPECT_EQ(net->learnable_params()[4], net->params()[5].get());
  EXPECT_EQ(net->params_lr(), vector<float>({3, 1, 2, 1, 1}));
  EXPECT_EQ(net->has_params_lr(), vector<bool>({true, false, true, false, false}));
  EXPECT_EQ(net->params_weight_decay(), vector<float>({1, 0, 4, 1, 1}));
  EXPECT_EQ(net->has_params_decay(), vector<bool>({false, true, true, false, false}));
}

TYPED_TEST(NetParamsTest, SharersAreOneParameter) {
  auto net = make_net<TypeParam>(shared("", ""));
  EXPECT_EQ(net->params()[0]->cpu_data(), net->params()[2]->cpu_data());
  fill<TypeParam>(net->input_blobs()[0], 1);
  net->ForwardBackward();
  EXPECT_EQ(gradient(*net->params()[0]), Values({8, 8, 8}));
  EXPECT_EQ(gradient(*net->params()[2]), Values({8, 8, 8}));
  net->Update();
  EXPECT_EQ(values(*net->params()[2]), Values({-6, -6, -6})) << "updated once";
  net->ClearParamDiffs();
  EXPECT_EQ(gradient(*net->params()[2]), Values({0, 0, 0}));
}

/// A layer that learns one blob and, when it is set up, counts the earlier ones' memory.
template <typename Dtype>
class CountedWeightLayer : public ToyWeightsLayer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using ToyWeightsLayer<Dtype>::ToyWeightsLayer;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override {
    alive.push_back(0);
    for (const auto& memory : memories) alive.back() += memory.expired() ? 0 : 1;
    ToyWeightsLayer<Dtype>::LayerSetUp(bottom, top);
    memories.push_back(this->blobs_[0]->data());
  }
  const char* type() const override { return "CountedWeight"; }

  static vector<std::weak_ptr<SyncedMemory>> memories;
  static vector<int> alive;
};
template <typename Dtype>
vector<std::weak_ptr<SyncedMemory>> CountedWeightLayer<Dtype>::memories;
template <typename Dtype>
vector<int> CountedWeightLayer<Dtype>::alive;
REGISTER_LAYER_CLASS(CountedWeight);

/// Only the owner's memory stays while the rest of the net is made: an unrolled net has a sharer
/// for every step.
TYPED_TEST(NetParamsTest, SharersKeepNoMemory) {
  typedef CountedWeightLayer<TypeParam> Counted;
  Counted::memories.clear();
  Counted::alive.clear();
  string text = kToyData;
  for (const char* name : {"a", "b", "c", "d"}) {
    text += string("layer { name: '") + name + "' type: 'CountedWeight' bottom: 'data' top: '" +
            name +
            "' param { name: 'p' } inner_product_param { num_output: 3 bias_term: false } } ";
  }
  make_net<TypeParam>(text);
  EXPECT_EQ(Counted::alive, vector<int>({0, 1, 1, 1}));
}

TYPED_TEST(NetParamsTest, SharersMustAgree) {
  const auto make = [](const string& text) { make_net<TypeParam>(text); };
  make(shared("lr_mult: 2", ""));
  make(shared("lr_mult: 2", "lr_mult: 2"));
  EXPECT_ERROR(make(shared("lr_mult: 2", "lr_mult: 3")),
               "layer 'w2' (ToyWeights): parameter 'p' is shared and has lr_mult 3 here and 2");
  EXPECT_ERROR(make(shared("decay_mult: 2", "decay_mult: 0")), "has decay_mult 0 here and 2");
  EXPECT_ERROR(make(shared("", "", "transpose: true ")),
               "layer 'w2' (ToyWeights): cannot share parameter 'p', 1 3 (3) here, with layer "
               "'w1', where it is 3 (3): share_mode: PERMISSIVE");
  make(shared("", "share_mode: PERMISSIVE", "transpose: true "));
  EXPECT_ERROR(make(kToyData + toy_weights("w", "data", "a",
                                           "param { name: 'p' } "
                                           "param { name: 'p' share_mode: "
                                           "PERMISSIVE } ")),
               "1 (1) here, with layer 'w', where it is 3 (3): give it another name");
}

TYPED_TEST(NetParamsTest, LogsSharing) {
  const NetParameter param = net_param(shared("", ""));
  LogLines log;
  Net<TypeParam> net(param);
  EXPECT_TRUE(log.has("Sharing parameters 'p' owned by layer 'w1', param index 0"));
}

TYPED_TEST(NetParamsTest, SharesTrainedLayers) {
  auto from = trained<TypeParam>(5, "other"), to = trained<TypeParam>();
  LogLines log;
  to->ShareTrainedLayersWith(from.get());
  EXPECT_EQ(to->params()[0]->cpu_data(), from->params()[0]->cpu_data());
  EXPECT_NE(to->params()[2]->cpu_data(), from->params()[2]->cpu_data());
  EXPECT_TRUE(log.has("Ignoring source layer other"));
}

// ---- files

TYPED_TEST(NetParamsTest, CaffemodelRoundTrip) {
  auto from = trained<TypeParam>(5, "gone"), to = trained<TypeParam>();
  const string name = temp_name(".caffemodel");
  save(*from, name);
  LogLines log;
  to->CopyTrainedLayersFrom(name);
  EXPECT_EQ(values(*to->params()[0]), Values({5, 6, 7}));
  EXPECT_EQ(values(*to->params()[2]), Values({2, 2, 2}));
  EXPECT_TRUE(log.has("Ignoring source layer gone"));
}

TYPED_TEST(NetParamsTest, Hdf5RoundTrip) {
  auto from = trained<TypeParam>(5, "gone"), to = trained<TypeParam>();
  const string name = temp_name();  // recognised by its content
  from->params()[1]->mutable_cpu_diff()[0] = 3;
  from->ToHDF5(name, true);
  LogLines log;
  to->CopyTrainedLayersFrom(name);
  EXPECT_EQ(values(*to->params()[0]), Values({5, 6, 7}));
  EXPECT_TRUE(log.has("Ignoring source layer gone"));
  const Hdf5File file(name, Hdf5File::kRead);
  Blob<TypeParam> diff;
  hdf5_load_nd_dataset(file.id(), "diff/w1/1", 1, 1, &diff, true);
  EXPECT_EQ(values(diff), Values({3}));
  from->ToHDF5(name);
  EXPECT_FALSE(hdf5_exists(Hdf5File(name, Hdf5File::kRead).id(), "diff"));
}

TYPED_TEST(NetParamsTest, Hdf5OfLayersWithSlashesAndSharers) {
  const string text = kToyData + toy_weights("in/a", "data", "a", "param { name: 'p' } ") +
                      toy_weights("in/b", "a", "b", "param { name: 'p' } ");
  auto from = make_net<TypeParam>(text), to = make_net<TypeParam>(text);
  fill<TypeParam>(from->params()[0].get(), 9);
  fill<TypeParam>(from->params()[3].get(), 8);
  const string name = temp_name(".h5");
  from->ToHDF5(name);
  EXPECT_FALSE(hdf5_exists(Hdf5File(name, Hdf5File::kRead).id(), "data/in/b/0"));
  LogLines log;
  to->CopyTrainedLayersFrom(name);
  EXPECT_EQ(values(*to->params()[2]), Values({9, 9, 9}));
  EXPECT_EQ(values(*to->params()[3]), Values({8}));
  EXPECT_TRUE(log.lines.empty()) << log.lines[0];
  auto apart = make_net<TypeParam>(kToyData + toy_weights("in/b", "data", "a"));
  EXPECT_ERROR(apart->CopyTrainedLayersFrom(name), "the weights have no blob 0 for it");
}

TEST(NetFilesTest, BothPrecisions) {
  const string name = temp_name(".caffemodel"), h5 = temp_name(".h5");
  auto twice = trained<double>(0.1);
  save(*twice, name);
  twice->ToHDF5(h5);
  for (const string& file : {name, h5}) {
    auto net = trained();
    net->CopyTrainedLayersFrom(file);
    EXPECT_EQ(net->params()[0]->cpu_data()[0], 0.1f);
  }
}

TEST(NetFilesTest, ToProto) {
  auto net = trained();
  net->params()[1]->mutable_cpu_diff()[0] = 4;
  NetParameter param;
  net->ToProto(&param, true);
  EXPECT_EQ(param.layer_size(), 3);
  EXPECT_EQ(param.layer(1).name(), "w1");
  EXPECT_EQ(param.layer(1).blobs(0).data(2), 3);
  EXPECT_EQ(param.layer(1).blobs(1).diff(0), 4);
  net->ToProto(&param);
  EXPECT_EQ(param.layer(1).blobs(1).diff_size(), 0);
}

TEST(NetFilesTest, WeightsOfOldFormats) {
  auto net = trained();
  NetParameter v1;
  ReadProtoFromText(
      "layers { name: 'w1' type: INNER_PRODUCT "
      "blobs { num: 1 channels: 1 height: 1 width: 3 data: 4 data: 5 data: 6 }"
      "blobs { num: 1 channels: 1 height: 1 width: 1 data: 7 } }",
      "test", &v1);
  const string name = temp_name(".caffemodel");
  WriteProtoToBinaryFile(v1, name);
  const QuietLog quiet;
  net->CopyTrainedLayersFrom(name);
  EXPECT_EQ(values(*net->params()[0]), Values({4, 5, 6}));
  net = trained();
  net->CopyTrainedLayersFrom(v1);
  EXPECT_EQ(values(*net->params()[1]), Values({7}));
}

TEST(NetFilesTest, MisfitsAreErrorsAndCopyNothing) {
  auto net = trained();
  NetParameter param;
  trained(5)->ToProto(&param);
  const auto refuses = [&](const string& message) {
    const string name = temp_name(".caffemodel");
    WriteProtoToBinaryFile(param, name);
    const string error = error_of([&] { net->CopyTrainedLayersFrom(name); });
    EXPECT_EQ(error.substr(0, name.size() + 2), name + ": ");
    EXPECT_PRED2(contains, error, message);
    EXPECT_EQ(values(*net->params()[0]), Values({1, 2, 3}));
  };
  BlobProto* const last = param.mutable_layer(2)->mutable_blobs(0);
  last->add_data(1);
  refuses("layer 'w2' (ToyWeights): parameter blob 0 of the weights has 4 values and a shape of 3");
  last->mutable_shape()->set_dim(0, 4);
  refuses(
      "layer 'w2' (ToyWeights): parameter blob 0 has shape 3; the weights have shape 4 for it: "
      "rename the layer");
  last->clear_shape();
  last->set_num(1 << 30);
  last->set_channels(1 << 30);
  refuses("the weights have shape 1073741824 1073741824 0 0");
  param.mutable_layer(2)->add_blobs();
  refuses("has 2 parameter blobs; the weights have 3");
}

TEST(NetFilesTest, MisfitsInHdf5AreErrorsAndCopyNothing) {
  auto net = trained();
  const auto refuses = [&](const string& w2, const string& message) {
    auto other = make_net(kToyData + toy_weights("w1", "data", "a") + w2);
    const string name = temp_name(".h5");
    other->ToHDF5(name);
    const string error = error_of([&] { net->CopyTrainedLayersFrom(name); });
    EXPECT_EQ(error.substr(0, name.size() + 2), name + ": ");
    EXPECT_PRED2(contains, error, message);
    EXPECT_EQ(values(*net->params()[0]), Values({1, 2, 3}));
  };
  const auto w2 = [](const string& param) {
    return "layer { name: 'w2' type: 'ToyWeights' bottom: 'a' top: 'b' inner_product_param { " +
           param + " } }";
  };
  refuses(w2("num_output: 2"),
          "layer 'w2' (ToyWeights): parameter blob 0 has shape 3; the weights "
          "have shape 2 for it");
  refuses(w2("num_output: 3 bias_term: false"),
          "has 2 parameter blobs; the weights have no blob 1");
  net = make_net(kToyData + toy_weights("w1", "data", "a") + w2("num_output: 3 bias_term: false"));
  for (int i = 0; i < 3; ++i) net->params()[0]->mutable_cpu_data()[i] = static_cast<float>(i + 1);
  refuses(w2("num_output: 3"), "has 1 parameter blobs; the weights have more");
  const string name = temp_name(".h5");
  Hdf5File(name, Hdf5File::kCreate).Close();
  EXPECT_ERROR(net->CopyTrainedLayersFrom(name), name + ": has no group 'data'");
}

TEST(NetFilesTest, DamagedFilesAreErrors) {
  auto net = trained();
  const string model = temp_name(), h5 = temp_name(".h5");
  save(*net, model);
  net->ToHDF5(h5);
  for (const string& file : {model, h5}) {
    const string whole = contents(file);
    for (const size_t length : {size_t(0), size_t(1), whole.size() / 2, whole.size() - 1}) {
      const string cut = file_with(whole.substr(0, length), file == h5 ? ".h5" : "");
      EXPECT_ERROR(net->CopyTrainedLayersFrom(cut), cut + ": ");
    }
  }
  EXPECT_ERROR(net->CopyTrainedLayersFrom("/nowhere.h5"), "/nowhere.h5: cannot be opened");
  EXPECT_ERROR(net->CopyTrainedLayersFrom("/nowhere"), "/nowhere: cannot be opened");
  EXPECT_ERROR(net->ToHDF5("/nowhere/a.h5"), "/nowhere/a.h5");
}

/// Names that HDF5 reads as other paths, or cannot hold.
const char* const kOddNames[] = {"b",  "./b", "a/./b", "a/b", "a//b", "/b",
                                 "b/", "b/0", ".",     "",    "0"};

TEST(NetFilesTest, Hdf5KeepsEveryName) {
  string text = kToyData, bottom = "data";
  for (const string name : kOddNames) {
    text += toy_weights(name, bottom, "top of " + name);
    bottom = "top of " + name;
  }
  text += toy_weights("b", bottom, "c") + toy_weights("", "c", "d");  // two of a name
  auto from = make_net(text), to = make_net(text);
  for (size_t i = 0; i < from->params().size(); ++i) {
    fill(from->params()[i].get(), static_cast<float>(i) + 3);
  }
  const string h5 = temp_name(".h5"), model = temp_name(".caffemodel");
  from->ToHDF5(h5);
  save(*from, model);
  for (const string& file : {h5, model}) {
    to = make_net(text);
    const LogLines log;
    to->CopyTrainedLayersFrom(file);
    for (size_t i = 0; i < from->params().size(); ++i) {
      EXPECT_EQ(values(*to->params()[i]), values(*from->params()[i])) << file << " " << i;
    }
    EXPECT_TRUE(log.lines.empty()) << log.lines[0];
  }
  const Hdf5File file(h5, Hdf5File::kRead);
  for (const string path : {"data/b/0", "data/a/b/0", "data/0/0"}) {  // as Caffe writes them
    EXPECT_TRUE(hdf5_exists(file.id(), path)) << path;
  }
}

TEST(NetFilesTest, EquallyNamedLayersShareInTheirOrder) {
  const string text = kToyData + toy_weights("same", "data", "a") + toy_weights("same", "a", "b");
  auto train = make_net(text), test = make_net(text, TEST);
  test->ShareTrainedLayersWith(train.get());
  for (const int i : {0, 2}) {
    EXPECT_EQ(test->params()[i]->cpu_data(), train->params()[i]->cpu_data()) << i;
  }
  auto one = make_net(kToyData + toy_weights("same", "data", "a"));
  one->ShareTrainedLayersWith(train.get());  // as in Caffe, the last one
  EXPECT_EQ(one->params()[0]->cpu_data(), train->params()[2]->cpu_data());
}

TEST(NetFilesTest, TheContentTellsAFilesKindNotItsName) {
  auto from = trained(5), to = trained();
  const string model = temp_name(".h5"), h5 = temp_name(".caffemodel");
  save(*from, model);
  from->ToHDF5(h5);
  for (const string& file : {model, h5}) {
    fill(to->params()[0].get(), 0.f);
    to->CopyTrainedLayersFrom(file);
    EXPECT_EQ(values(*to->params()[0]), Values({5, 6, 7})) << file;
  }
  EXPECT_ERROR(to->CopyTrainedLayersFrom(file_with("layer { name: 'x' }", ".h5")), "it is text");
  EXPECT_ERROR(to->CopyTrainedLayersFrom(file_with("\x93NUMPY\1", ".h5")), "it is a NumPy array");
}

TEST(NetFilesTest, WeightsThatLoadNothingSaySo) {
  auto from = make_net(kToyData + toy_weights("u", "data", "a") + toy_weights("v", "a", "b"));
  auto to = trained();
  const string model = temp_name(".caffemodel"), h5 = temp_name(".h5");
  save(*from, model);
  from->ToHDF5(h5);
  for (const string& file : {model, h5}) {
    const LogLines log;
    to->CopyTrainedLayersFrom(file);
    EXPECT_TRUE(log.has(file +
                        ": nothing was loaded: its layers with weights ('u', 'v') have other "
                        "names than this net's ('w1', 'w2')"))
        << log.lines.back();
  }
  const string empty = temp_name(".caffemodel");
  save(*make_net(kToyData), empty);
  BlobProto mean;
  mean.add_data(1);
  const string blob = temp_name(".binaryproto");
  WriteProtoToBinaryFile(mean, blob);
  const LogLines log;
  to->CopyTrainedLayersFrom(empty);
  to->CopyTrainedLayersFrom(blob);
  EXPECT_TRUE(log.has(empty + ": nothing was loaded: it holds no weights"));
  EXPECT_TRUE(
      log.has(blob + ": nothing was loaded: it holds no weights; it is a mean or another blob"))
      << log.lines.back();
}

TEST(NetFilesTest, AFailedSaveLeavesTheOldFile) {
  auto net = make_net(kToyData + toy_weights(".", "data", "a") + toy_weights("%2E", "a", "b"));
  const string name = file_with("old", ".h5");
  EXPECT_ERROR(net->ToHDF5(name), "layers '.' and '%2E' would be one group, '%2E'");
  EXPECT_EQ(contents(name), "old");
}

}  // namespace caffe
