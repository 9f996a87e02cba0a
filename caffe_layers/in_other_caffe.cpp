// The two layers as a plugin for a Caffe that does not know them. in_engine.cpp is the counterpart;
// a build compiles one of the two.

#include "caffe/layer_factory.hpp"
#include "caffe_layers/elimination_layer.hpp"
#include "caffe_layers/elimination_param.hpp"
#include "caffe_layers/enhancement_layer.hpp"
#include "caffe_layers/layer_support.hpp"

namespace maap {

const caffe::EliminationParameter* elimination_field(const caffe::LayerParameter&) {
  return nullptr;
}

void check_flags(caffe::SyncedMemory* flags, int, Device,
                 const std::function<void(const int*)>& check) {
  check(static_cast<const int*>(flags->cpu_data()));
}

}  // namespace maap

namespace caffe {

REGISTER_LAYER_CLASS(Enhancement);
REGISTER_LAYER_CLASS(Elimination);

}  // namespace caffe
