// Each row of the table of what layers' Backwards read: a net gives up all other values before the
// layer's backward pass, and the gradients are those of a net that keeps them. To read a value that
// was given up is an error, and its memory is full of NaN.

#include "caffe/layers/backward_reads.hpp"

#include <cmath>
#include <set>
#include <utility>

#include "caffe/util/buffer_cache.hpp"
#include "caffe/util/value_order.hpp"
#include "tests/cpp/devices.hpp"
#include "toy_net.hpp"

namespace caffe {

namespace {

/// A layer `layer` whose bottoms are made by convolutions.
struct Case {
  string type;
  string more = "";       // its fields
  int bottoms = 1;        // 2 images of 16 x 8 x 8 each
  string extra = "";      // the shape of one more bottom, of zeros
  bool in_place = false;  // whether it may work so
  bool is_image = true;   // whether its top has four axes
  bool is_loss = false;
  int tops = 1;
};

vector<Case> cases() {
  const string conv =
      "convolution_param { num_output: 16 kernel_size: 3 pad: 1 "
      "weight_filler { type: 'xavier' } ENGINE } ";
  const string scores = "inner_product_param { num_output: 5 weight_filler { type: 'xavier' } } ";
  const string rows = "dim: 3 dim: 5";
  Case halves = {"Slice"}, copies = {"Split"};
  halves.tops = copies.tops = 2;
  return {
      {"AbsVal"},
      {"BN", "dialect: 'pspnet' bn_param { slope_filler { type: 'constant' value: 1.5 } } ", 1, "",
       true},
      {"BN",
       "dialect: 'segnet' param { lr_mult: 0 } bn_param { bn_mode: INFERENCE scale_filler { type: "
       "'constant' value: 1.5 } } ",
       1, "", true},
      {"BNLL"},
      {"BatchNorm", "", 1, "", true},
      {"BatchNorm", "batch_norm_param { use_global_stats: true eps: 1 } ", 1, "", true},
      {"BatchNorm", "batch_norm_param { scale_bias: true } ", 1, "", true},
      {"Bias", "", 1, "", true},
      {"Bias", "bias_param { axis: 0 } ", 2, "", true},
      {"ChannelShuffle", "channel_shuffle_param { group: 4 } "},
      {"Clip", "clip_param { min: -0.2 max: 0.3 } "},
      {"Concat", "", 2},
      {"Concat", "concat_param { axis: 2 } ", 2},
      {"Concat"},
      {"Convolution", conv},
      {"Convolution",
       "convolution_param { num_output: 16 kernel_size: 3 stride: 2 group: 2 "
       "weight_filler { type: 'xavier' } ENGINE } "},
      {"ConvolutionDepthwise", conv},
      {"Crop", "crop_param { axis: 2 offset: 1 } ", 1, "dim: 2 dim: 16 dim: 5 dim: 6"},
      {"Deconvolution", conv},
      {"DepthwiseConvolution",
       "convolution_param { num_output: 16 group: 16 kernel_size: 3 pad: 1 "
       "weight_filler { type: 'xavier' } } "},
      {"Dropout", "", 1, "", true},
      {"Eltwise", "", 2},
      {"Eltwise", "eltwise_param { coeff: 2 coeff: -1 coeff: 0.5 } ", 3},
      {"Eltwise", "eltwise_param { operation: MAX } ", 2},
      {"Eltwise", "eltwise_param { operation: PROD } ", 2},
      {"EuclideanLoss", "", 2, "", false, true, true},
      {"Exp", "", 1, "", true},
      {"Flatten", "", 1, "", false, false},
      {"HardSwish", "", 1, "", true},
      {"Im2col", "convolution_param { kernel_size: 3 } "},
      {"InnerProduct", scores, 1, "", false, false},
      {"Interp", "interp_param { zoom_factor: 2 } "},
      {"Log", "log_param { shift: 9 } "},
      {"Mish", "", 1, "", true},
      {"PReLU", "", 1, "", true},
      {"PSROIPooling", "psroi_pooling_param { spatial_scale: 1 output_dim: 4 group_size: 2 } ", 1,
       rows},
      {"Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 } "},
      {"Permute", "permute_param { order: 0 } "},
      {"PixelShuffle"},
      {"Pooling", "pooling_param { kernel_size: 3 stride: 2 } "},
      {"Pooling", "pooling_param { pool: AVE kernel_size: 2 stride: 2 } "},
      {"Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } "},
      {"Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 } "},
      {"Power", "power_param { scale: 0.5 shift: 1 } ", 1, "", true},
      {"Power", "power_param { power: 3 shift: 1 } "},
      {"Power", "power_param { power: 0 } "},
      {"ROIPooling", "roi_pooling_param { pooled_h: 2 pooled_w: 2 } ", 1, rows},
      {"ReLU", "", 1, "", true},
      {"ReLU", "relu_param { negative_slope: 0.1 } ", 1, "", true},
      {"ReLU6", "", 1, "", true},
      {"Reorg", "reorg_param { stride: 2 } "},
      {"Reshape", "reshape_param { shape { dim: 0 dim: 8 dim: -1 } } ", 1, "", false, false},
      {"Reverse", "reverse_param { axis: 1 } "},
      {"Scale", "scale_param { bias_term: true } ", 1, "", true},
      {"Scale", "param { lr_mult: 0 } param { lr_mult: 1 } scale_param { bias_term: true } ", 1, "",
       true},
      {"Scale", "scale_param { axis: 0 } ", 2, "", true},
      {"ShuffleChannel", "shuffle_channel_param { group: 4 } "},
      {"Sigmoid", "", 1, "", true},
      halves,
      {"Slice"},
      {"Softmax", "", 1, "", true},
      {"SoftmaxWithLoss", "", 1, "dim: 2 dim: 1 dim: 8 dim: 8", false, true, true},
      copies,
      {"Swish", "", 1, "", true},
      {"TanH", "", 1, "", true},
      {"Tile", "tile_param { tiles: 2 } "},
      {"Transpose", "transpose_param { dim: 0 dim: 1 dim: 3 dim: 2 } "},
  };
}

/// How the layer's neighbours leave their values.
enum class Form { kPlain, kOwn };

string replaced(string text, const string& from, const string& to) {
  for (size_t at; (at = text.find(from)) != string::npos;) text.replace(at, from.size(), to);
  return text;
}

string conv_layer(const string& bottom, const string& top) {
  return "layer { name: 'make_" + top + "' type: 'Convolution' bottom: '" + bottom + "' top: '" +
         top + "' convolution_param { num_output: 16 kernel_size: 3 pad: 1 weight_filler { type: " +
         "'xavier' } bias_filler { type: 'constant' value: 0.1 } ENGINE } } ";
}

/// Behind the layer's top: a convolution, if it is an image, and a loss. Both read their bottoms.
string loss_of(const string& top, bool is_image) {
  const string last = is_image ? top + "_next" : top;
  return (is_image ? conv_layer(top, last) : string()) + "layer { name: 's_" + top +
         "' type: 'InnerProduct' bottom: '" + last + "' top: 's_" + top +
         "' inner_product_param { num_output: 3 weight_filler { type: 'xavier' } } } layer { name: "
         "'loss_" +
         top + "' type: 'Reduction' bottom: 's_" + top + "' top: 'loss_" + top +
         "' loss_weight: 1 reduction_param { operation: SUMSQ } } ";
}

string net_text(const Case& one, bool in_place, Form form) {
  const bool has_extra = !one.extra.empty();
  string text = "layer { name: 'data' type: 'Input' top: 'data' ";
  if (has_extra) text += "top: 'extra' ";
  text += "input_param { shape { dim: 2 dim: 16 dim: 8 dim: 8 } ";
  if (has_extra) text += "shape { " + one.extra + " } ";
  text += "} } ";
  string layer = "layer { name: 'layer' type: '" + one.type + "' ", losses;
  for (int b = 0; b < one.bottoms; ++b) {
    text += conv_layer("data", "x" + std::to_string(b));
    layer += "bottom: 'x" + std::to_string(b) + "' ";
  }
  if (has_extra) layer += "bottom: 'extra' ";
  for (int t = 0; t < one.tops; ++t) {
    const string top = in_place ? "x0" : "y" + std::to_string(t);
    layer += "top: '" + top + "' ";
    if (!one.is_loss) losses += loss_of(top, one.is_image);
  }
  return replaced(text + layer + one.more + "} " + losses, "ENGINE",
                  form == Form::kPlain ? "engine: CAFFE" : "");
}

template <typename Dtype>
void fill(Net<Dtype>* net, int iteration) {
  Blob<Dtype>& data = *net->blob_by_name("data");
  for (int i = 0; i < data.count(); ++i) {
    data.mutable_cpu_data()[i] =
        static_cast<Dtype>(std::sin(0.37 * i + 0.11 * iteration) + 0.5 * std::cos(0.013 * i * i));
  }
  net->ClearParamDiffs();
  Caffe::set_random_seed(7 + iteration);
}

template <typename Dtype>
bool is_given_up(const Net<Dtype>& net, const string& blob) {
  return net.blob_by_name(blob)->data()->is_given_up();
}

/// Whether a bottom has a top's memory.
template <typename Dtype>
bool shares(const Net<Dtype>& net, int layer, const Blob<Dtype>& bottom) {
  for (const Blob<Dtype>* const top : net.top_vecs()[layer]) {
    if (top->data() == bottom.data()) return true;
  }
  return false;
}

/// A training step in two parts. Each value is given up before the layer's backward pass if, and
/// only if, the table says that it is not read.
template <typename Dtype>
void step(Net<Dtype>* net, bool looks) {
  const int at = net->layer_names_index().at("layer");
  const auto &bottoms = net->bottom_vecs()[at], &tops = net->top_vecs()[at];
  const BackwardReads reads(*net->layers()[at], bottoms, tops);
  net->Forward();
  for (size_t b = 0; looks && b < bottoms.size(); ++b) {
    const string name = net->blob_names()[net->bottom_ids(at)[b]];
    if (name == "extra" || shares(*net, at, *bottoms[b])) continue;
    EXPECT_EQ(is_given_up(*net, name), !reads.bottom(b)) << name;
  }
  if (at + 1 < static_cast<int>(net->layers().size())) {
    net->BackwardTo(at + 1);
    for (size_t t = 0; looks && t < tops.size(); ++t) {
      const bool read = reads.top() || (shares(*net, at, *bottoms[0]) && reads.bottom(0));
      const string name = net->blob_names()[net->top_ids(at)[t]];
      EXPECT_EQ(is_given_up(*net, name), !read) << name;
    }
  }
  net->BackwardFrom(at);
}

template <typename Dtype>
void compare(const string& text) {
  const QuietLog quiet;
  const auto all = make_net<Dtype>(text), some = make_net<Dtype>(text);
  NetParameter param;
  all->ToProto(&param);
  some->CopyTrainedLayersFrom(param);
  some->KeepOnly({});
  for (int iteration = 0; iteration < 2; ++iteration) {
    for (Net<Dtype>* const net : {all.get(), some.get()}) {
      fill(net, iteration);
      step(net, net == some.get() && iteration > 0);  // the first pass finds what blobs share
    }
    double size = 0;
    for (size_t i = 0; i < all->learnable_params().size(); ++i) {
      EXPECT_EQ(gradient(*all->learnable_params()[i]), gradient(*some->learnable_params()[i])) << i;
      size += static_cast<double>(all->learnable_params()[i]->asum_diff());
    }
    EXPECT_TRUE(std::isfinite(size) && size > 0) << size;
  }
}

}  // namespace

template <typename TypeParam>
class BackwardReadsTest : public DeviceTest<TypeParam> {
 protected:
  void SetUp() override {
    DeviceTest<TypeParam>::SetUp();
    BufferCache::poison(true);
  }
  void TearDown() override {
    BufferCache::poison(false);
    set_gpu_order(Order::kNchw);
    DeviceTest<TypeParam>::TearDown();
  }
};
TYPED_TEST_SUITE(BackwardReadsTest, DtypesAndDevices);

TYPED_TEST(BackwardReadsTest, IsTrue) {
  typedef typename TypeParam::Dtype Dtype;
  for (const Case& one : cases()) {
    for (const bool in_place : {false, true}) {
      if (in_place && !one.in_place) continue;
      for (const Form form : {Form::kPlain, Form::kOwn}) {
        if (TypeParam::mode == Caffe::GPU) {
          set_gpu_order(form == Form::kOwn ? Order::kNhwc : Order::kNchw);
        }
        SCOPED_TRACE(one.type + (in_place ? ", in place, " : ", ") +
                     (form == Form::kOwn ? "as a library leaves it: " : "plain: ") + one.more);
        compare<Dtype>(net_text(one, in_place, form));
      }
    }
  }
}

TEST(BackwardReads, EveryRowHasACase) {
  std::set<string> tested;
  for (const Case& one : cases()) tested.insert(one.type);
  const vector<string> types = BackwardReads::types();
  EXPECT_EQ(tested, std::set<string>(types.begin(), types.end()));
}

}  // namespace caffe
