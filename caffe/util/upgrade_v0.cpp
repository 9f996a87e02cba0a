// Nets of 2013: layers { layer { name: "conv1" type: "conv" ... } bottom: ... top: ... }.

#include <algorithm>

#include "caffe/util/copy_field.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "google/protobuf/descriptor.h"

namespace caffe {

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

struct TypeName {
  const char* v0;
  V1LayerParameter_LayerType v1;
};

const TypeName kTypes[] = {
    {"accuracy", V1LayerParameter_LayerType_ACCURACY},
    {"bnll", V1LayerParameter_LayerType_BNLL},
    {"concat", V1LayerParameter_LayerType_CONCAT},
    {"conv", V1LayerParameter_LayerType_CONVOLUTION},
    {"data", V1LayerParameter_LayerType_DATA},
    {"dropout", V1LayerParameter_LayerType_DROPOUT},
    {"euclidean_loss", V1LayerParameter_LayerType_EUCLIDEAN_LOSS},
    {"flatten", V1LayerParameter_LayerType_FLATTEN},
    {"hdf5_data", V1LayerParameter_LayerType_HDF5_DATA},
    {"hdf5_output", V1LayerParameter_LayerType_HDF5_OUTPUT},
    {"im2col", V1LayerParameter_LayerType_IM2COL},
    {"images", V1LayerParameter_LayerType_IMAGE_DATA},
    {"infogain_loss", V1LayerParameter_LayerType_INFOGAIN_LOSS},
    {"innerproduct", V1LayerParameter_LayerType_INNER_PRODUCT},
    {"lrn", V1LayerParameter_LayerType_LRN},
    {"multinomial_logistic_loss", V1LayerParameter_LayerType_MULTINOMIAL_LOGISTIC_LOSS},
    {"pool", V1LayerParameter_LayerType_POOLING},
    {"relu", V1LayerParameter_LayerType_RELU},
    {"sigmoid", V1LayerParameter_LayerType_SIGMOID},
    {"softmax", V1LayerParameter_LayerType_SOFTMAX},
    {"softmax_loss", V1LayerParameter_LayerType_SOFTMAX_LOSS},
    {"split", V1LayerParameter_LayerType_SPLIT},
    {"tanh", V1LayerParameter_LayerType_TANH},
    {"window_data", V1LayerParameter_LayerType_WINDOW_DATA}};

/// The new field for a V0 field's value: MESSAGE.FIELD of the V1 layer, for layers of that type (""
/// is any), or FIELD of the layer itself if there is no message.
struct Place {
  const char* v0_field;
  const char* v0_type;
  const char* message;
  const char* field;
};

const Place kPlaces[] = {{"name", "", "", "name"},
                         {"blobs", "", "", "blobs"},
                         {"blobs_lr", "", "", "blobs_lr"},
                         {"weight_decay", "", "", "weight_decay"},
                         {"num_output", "conv", "convolution_param", "num_output"},
                         {"num_output", "innerproduct", "inner_product_param", "num_output"},
                         {"biasterm", "conv", "convolution_param", "bias_term"},
                         {"biasterm", "innerproduct", "inner_product_param", "bias_term"},
                         {"weight_filler", "conv", "convolution_param", "weight_filler"},
                         {"weight_filler", "innerproduct", "inner_product_param", "weight_filler"},
                         {"bias_filler", "conv", "convolution_param", "bias_filler"},
                         {"bias_filler", "innerproduct", "inner_product_param", "bias_filler"},
                         {"pad", "conv", "convolution_param", "pad"},
                         {"pad", "pool", "pooling_param", "pad"},
                         {"kernelsize", "conv", "convolution_param", "kernel_size"},
                         {"kernelsize", "pool", "pooling_param", "kernel_size"},
                         {"group", "conv", "convolution_param", "group"},
                         {"stride", "conv", "convolution_param", "stride"},
                         {"stride", "pool", "pooling_param", "stride"},
                         {"pool", "pool", "pooling_param", "pool"},
                         {"dropout_ratio", "dropout", "dropout_param", "dropout_ratio"},
                         {"local_size", "lrn", "lrn_param", "local_size"},
                         {"alpha", "lrn", "lrn_param", "alpha"},
                         {"beta", "lrn", "lrn_param", "beta"},
                         {"k", "lrn", "lrn_param", "k"},
                         {"source", "data", "data_param", "source"},
                         {"source", "hdf5_data", "hdf5_data_param", "source"},
                         {"source", "images", "image_data_param", "source"},
                         {"source", "infogain_loss", "infogain_loss_param", "source"},
                         {"source", "window_data", "window_data_param", "source"},
                         {"scale", "", "transform_param", "scale"},
                         {"meanfile", "", "transform_param", "mean_file"},
                         {"cropsize", "", "transform_param", "crop_size"},
                         {"mirror", "", "transform_param", "mirror"},
                         {"batchsize", "data", "data_param", "batch_size"},
                         {"batchsize", "hdf5_data", "hdf5_data_param", "batch_size"},
                         {"batchsize", "images", "image_data_param", "batch_size"},
                         {"batchsize", "window_data", "window_data_param", "batch_size"},
                         {"rand_skip", "data", "data_param", "rand_skip"},
                         {"rand_skip", "images", "image_data_param", "rand_skip"},
                         {"det_fg_threshold", "window_data", "window_data_param", "fg_threshold"},
                         {"det_bg_threshold", "window_data", "window_data_param", "bg_threshold"},
                         {"det_fg_fraction", "window_data", "window_data_param", "fg_fraction"},
                         {"det_context_pad", "window_data", "window_data_param", "context_pad"},
                         {"det_crop_mode", "window_data", "window_data_param", "crop_mode"},
                         {"new_height", "images", "image_data_param", "new_height"},
                         {"new_width", "images", "image_data_param", "new_width"},
                         {"shuffle_images", "images", "image_data_param", "shuffle"},
                         {"concat_dim", "concat", "concat_param", "concat_dim"},
                         {"hdf5_output_param", "hdf5_output", "", "hdf5_output_param"}};

/// Copies one field to its new field; false if there is none.
bool place(const V0LayerParameter& from, const FieldDescriptor& field, V1LayerParameter* to) {
  for (const Place& entry : kPlaces) {
    if (field.name() != entry.v0_field) continue;
    if (*entry.v0_type != '\0' && from.type() != entry.v0_type) continue;
    Message* target = to;
    if (*entry.message != '\0') {
      target = to->GetReflection()->MutableMessage(
          to, to->GetDescriptor()->FindFieldByName(entry.message));
    }
    CopyField(from, field, target, *target->GetDescriptor()->FindFieldByName(entry.field));
    return true;
  }
  return false;
}

bool is_padding(const V1LayerParameter& layer) {
  return layer.layer().type() == "padding";
}

}  // namespace

bool NetNeedsV0ToV1Upgrade(const NetParameter& net_param) {
  return std::any_of(net_param.layers().begin(), net_param.layers().end(),
                     [](const V1LayerParameter& layer) { return layer.has_layer(); });
}

bool UpgradeV0Net(const NetParameter& v0_net_param, NetParameter* net_param) {
  NetParameter unpadded;
  UpgradeV0PaddingLayers(v0_net_param, &unpadded);
  net_param->CopyFrom(unpadded);
  net_param->clear_layers();
  bool complete = true;
  for (const V1LayerParameter& layer : unpadded.layers()) {
    complete &= UpgradeV0LayerParameter(layer, net_param->add_layers());
  }
  return complete;
}

void UpgradeV0PaddingLayers(const NetParameter& param, NetParameter* param_upgraded_pad) {
  param_upgraded_pad->CopyFrom(param);
  param_upgraded_pad->clear_layers();
  map<string, const V1LayerParameter*> paddings;  // by the name of their top
  for (const V1LayerParameter& layer : param.layers()) {
    if (is_padding(layer)) {
      CAFFE_CHECK(layer.bottom_size() == 1 && layer.top_size() == 1,
                  "layer '" << layer.layer().name() << "' (padding): takes one bottom and one top");
      paddings[layer.top(0)] = &layer;
      continue;
    }
    V1LayerParameter* const upgraded = param_upgraded_pad->add_layers();
    upgraded->CopyFrom(layer);
    for (int i = 0; i < layer.bottom_size(); ++i) {
      const auto found = paddings.find(layer.bottom(i));
      if (found == paddings.end()) continue;
      const string& type = layer.layer().type();
      CAFFE_CHECK((type == "conv" || type == "pool") && layer.bottom_size() == 1,
                  "layer '" << layer.layer().name() << "' (" << type << "): reads padding layer '"
                            << found->second->layer().name()
                            << "'; only a conv or pool layer with one bottom can");
      upgraded->mutable_layer()->set_pad(found->second->layer().pad());
      upgraded->set_bottom(i, found->second->bottom(0));
    }
    for (const string& top : layer.top()) paddings.erase(top);
  }
}

bool UpgradeV0LayerParameter(const V1LayerParameter& v0_layer_connection,
                             V1LayerParameter* layer_param) {
  layer_param->CopyFrom(v0_layer_connection);
  layer_param->clear_layer();
  if (!v0_layer_connection.has_layer()) return true;  // a V1 layer
  const V0LayerParameter& layer = v0_layer_connection.layer();
  bool complete = true;
  vector<const FieldDescriptor*> fields;
  layer.GetReflection()->ListFields(layer, &fields);
  for (const FieldDescriptor* const field : fields) {
    if (field->name() == "type") {
      layer_param->set_type(UpgradeV0LayerType(layer.type()));
    } else if (!place(layer, *field, layer_param)) {
      LOG(ERROR) << "Unknown parameter " << field->name() << " for layer type " << layer.type();
      complete = false;
    }
  }
  return complete;
}

V1LayerParameter_LayerType UpgradeV0LayerType(const string& type) {
  vector<string> names;
  for (const TypeName& entry : kTypes) {
    if (type == entry.v0) return entry.v1;
    names.push_back(entry.v0);
  }
  CAFFE_FAIL("unknown V0 layer type '" << type << "' (known types: " << join(names) << ")");
}

}  // namespace caffe
