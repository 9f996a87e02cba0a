// The two layers as part of the engine: code for what the engine has and other Caffes do not.
// in_other_caffe.cpp is the counterpart; a build compiles one of the two.

#include "caffe/layer_factory.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe_layers/elimination_layer.hpp"
#include "caffe_layers/elimination_param.hpp"
#include "caffe_layers/enhancement_layer.hpp"

namespace maap {

const caffe::EliminationParameter* elimination_field(const caffe::LayerParameter& layer) {
  return layer.has_elimination_param() ? &layer.elimination_param() : nullptr;
}

}  // namespace maap

namespace caffe {

REGISTER_LAYER_WITH_ADAPTER(Enhancement);
REGISTER_LAYER_CLASS(Elimination);

}  // namespace caffe
