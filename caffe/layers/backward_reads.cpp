#include "caffe/layers/backward_reads.hpp"

#include <map>

namespace caffe {

namespace {

enum class Reads {
  kAll,
  kNothing,
  kBottoms,
  kTops,
  /// All bottoms but the first, and the tops: prob_ may share a top's memory.
  kAllButScores,
  /// The bottoms, but nothing in place: then the layer keeps what it needs.
  kBottomsUnlessInPlace
};

typedef Reads (*Rule)(const LayerParameter& param, size_t bottoms);

template <Reads kReads>
Reads always(const LayerParameter&, size_t) {
  return kReads;
}

/// A second bottom holds the factors, which the gradient of the first needs.
Reads of_scale(const LayerParameter&, size_t bottoms) {
  return bottoms > 1 ? Reads::kBottoms : Reads::kBottomsUnlessInPlace;
}

/// MAX keeps indices.
Reads of_eltwise(const LayerParameter& param, size_t) {
  const bool product = param.eltwise_param().operation() == EltwiseParameter::PROD;
  return product ? Reads::kBottoms : Reads::kNothing;
}

Reads of_power(const LayerParameter& param, size_t) {
  return param.power_param().power() == 1 ? Reads::kNothing : Reads::kBottoms;
}

const std::map<std::string, Rule>& rules() {
  // Not ReLU's top, which would do as well: a layer in place behind it may change that.
  static const auto* const all = new std::map<std::string, Rule>{
      {"AbsVal", always<Reads::kBottoms>},
      {"BN", always<Reads::kBottomsUnlessInPlace>},
      {"BNLL", always<Reads::kBottoms>},
      {"BatchNorm", always<Reads::kBottomsUnlessInPlace>},
      {"Bias", always<Reads::kNothing>},
      {"ChannelShuffle", always<Reads::kNothing>},
      {"Clip", always<Reads::kBottoms>},
      {"Concat", always<Reads::kNothing>},
      {"Convolution", always<Reads::kBottoms>},
      {"ConvolutionDepthwise", always<Reads::kBottoms>},
      {"Crop", always<Reads::kNothing>},
      {"Deconvolution", always<Reads::kBottoms>},
      {"DepthwiseConvolution", always<Reads::kBottoms>},
      {"Dropout", always<Reads::kNothing>},
      {"Eltwise", of_eltwise},
      {"EuclideanLoss", always<Reads::kNothing>},
      {"Exp", always<Reads::kTops>},
      {"Flatten", always<Reads::kNothing>},
      {"HardSwish", always<Reads::kBottomsUnlessInPlace>},
      {"Im2col", always<Reads::kNothing>},
      {"InnerProduct", always<Reads::kBottoms>},
      {"Interp", always<Reads::kNothing>},
      {"Log", always<Reads::kBottoms>},
      {"Mish", always<Reads::kBottomsUnlessInPlace>},
      {"PReLU", always<Reads::kBottomsUnlessInPlace>},
      {"PSROIPooling", always<Reads::kNothing>},
      {"Permute", always<Reads::kNothing>},
      {"PixelShuffle", always<Reads::kNothing>},
      {"Pooling", always<Reads::kNothing>},
      {"Power", of_power},
      {"ROIPooling", always<Reads::kNothing>},
      {"ReLU", always<Reads::kBottoms>},
      {"ReLU6", always<Reads::kBottoms>},
      {"Reorg", always<Reads::kNothing>},
      {"Reshape", always<Reads::kNothing>},
      {"Reverse", always<Reads::kNothing>},
      {"Scale", of_scale},
      {"ShuffleChannel", always<Reads::kNothing>},
      {"Sigmoid", always<Reads::kTops>},
      {"Slice", always<Reads::kNothing>},
      {"Softmax", always<Reads::kTops>},
      {"SoftmaxWithLoss", always<Reads::kAllButScores>},
      {"Split", always<Reads::kNothing>},
      {"Swish", always<Reads::kBottoms>},
      {"TanH", always<Reads::kTops>},
      {"Tile", always<Reads::kNothing>},
      {"Transpose", always<Reads::kNothing>},
  };
  return *all;
}

}  // namespace

template <typename Dtype>
BackwardReads::BackwardReads(const Layer<Dtype>& layer, const std::vector<Blob<Dtype>*>& bottom,
                             const std::vector<Blob<Dtype>*>& top) {
  const auto found = rules().find(layer.type());
  if (found == rules().end()) return;
  Reads reads = found->second(layer.layer_param(), bottom.size());
  if (reads == Reads::kBottomsUnlessInPlace) {
    reads = bottom[0] == top[0] ? Reads::kNothing : Reads::kBottoms;
  }
  const bool all = reads == Reads::kAll, but_scores = reads == Reads::kAllButScores;
  first_bottom_ = all || reads == Reads::kBottoms;
  other_bottoms_ = first_bottom_ || but_scores;
  tops_ = all || but_scores || reads == Reads::kTops;
}

std::vector<std::string> BackwardReads::types() {
  std::vector<std::string> all;
  for (const auto& rule : rules()) all.push_back(rule.first);
  return all;
}

#define INSTANTIATE(Dtype)                                                                     \
  template BackwardReads::BackwardReads(const Layer<Dtype>&, const std::vector<Blob<Dtype>*>&, \
                                        const std::vector<Blob<Dtype>*>&)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
