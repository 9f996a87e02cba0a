#include "caffe/util/upgrade_proto.hpp"

#include <algorithm>
#include <filesystem>

#include "caffe/net_error.hpp"
#include "caffe/util/copy_field.hpp"
#include "caffe/util/file_kind.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/weights.hpp"
#include "google/protobuf/descriptor.h"

namespace caffe {

namespace {

using google::protobuf::FieldDescriptor;

/// The layer types by V1 number.
const map<int, const char*>& v1_types() {
  static const map<int, const char*> types = {
      {V1LayerParameter_LayerType_NONE, ""},
      {V1LayerParameter_LayerType_ABSVAL, "AbsVal"},
      {V1LayerParameter_LayerType_ACCURACY, "Accuracy"},
      {V1LayerParameter_LayerType_ARGMAX, "ArgMax"},
      {V1LayerParameter_LayerType_BNLL, "BNLL"},
      {V1LayerParameter_LayerType_CONCAT, "Concat"},
      {V1LayerParameter_LayerType_CONTRASTIVE_LOSS, "ContrastiveLoss"},
      {V1LayerParameter_LayerType_CONVOLUTION, "Convolution"},
      {V1LayerParameter_LayerType_DATA, "Data"},
      {V1LayerParameter_LayerType_DECONVOLUTION, "Deconvolution"},
      {V1LayerParameter_LayerType_DROPOUT, "Dropout"},
      {V1LayerParameter_LayerType_DUMMY_DATA, "DummyData"},
      {V1LayerParameter_LayerType_EUCLIDEAN_LOSS, "EuclideanLoss"},
      {V1LayerParameter_LayerType_ELTWISE, "Eltwise"},
      {V1LayerParameter_LayerType_EXP, "Exp"},
      {V1LayerParameter_LayerType_FLATTEN, "Flatten"},
      {V1LayerParameter_LayerType_HDF5_DATA, "HDF5Data"},
      {V1LayerParameter_LayerType_HDF5_OUTPUT, "HDF5Output"},
      {V1LayerParameter_LayerType_HINGE_LOSS, "HingeLoss"},
      {V1LayerParameter_LayerType_IM2COL, "Im2col"},
      {V1LayerParameter_LayerType_IMAGE_DATA, "ImageData"},
      {V1LayerParameter_LayerType_INFOGAIN_LOSS, "InfogainLoss"},
      {V1LayerParameter_LayerType_INNER_PRODUCT, "InnerProduct"},
      {V1LayerParameter_LayerType_LRN, "LRN"},
      {V1LayerParameter_LayerType_MEMORY_DATA, "MemoryData"},
      {V1LayerParameter_LayerType_MULTINOMIAL_LOGISTIC_LOSS, "MultinomialLogisticLoss"},
      {V1LayerParameter_LayerType_MVN, "MVN"},
      {V1LayerParameter_LayerType_POOLING, "Pooling"},
      {V1LayerParameter_LayerType_POWER, "Power"},
      {V1LayerParameter_LayerType_RELU, "ReLU"},
      {V1LayerParameter_LayerType_SIGMOID, "Sigmoid"},
      {V1LayerParameter_LayerType_SIGMOID_CROSS_ENTROPY_LOSS, "SigmoidCrossEntropyLoss"},
      {V1LayerParameter_LayerType_SILENCE, "Silence"},
      {V1LayerParameter_LayerType_SOFTMAX, "Softmax"},
      {V1LayerParameter_LayerType_SOFTMAX_LOSS, "SoftmaxWithLoss"},
      {V1LayerParameter_LayerType_SPLIT, "Split"},
      {V1LayerParameter_LayerType_SLICE, "Slice"},
      {V1LayerParameter_LayerType_TANH, "TanH"},
      {V1LayerParameter_LayerType_WINDOW_DATA, "WindowData"},
      {V1LayerParameter_LayerType_THRESHOLD, "Threshold"}};
  return types;
}

ParamSpec* param_spec(LayerParameter* layer, int index) {
  while (layer->param_size() <= index) layer->add_param();
  return layer->mutable_param(index);
}

/// Everything in a V1 layer except its blobs.
void upgrade_settings(const V1LayerParameter& from, LayerParameter* to) {
  static const set<string> renamed = {
      "type", "param", "blob_share_mode", "blobs_lr", "weight_decay", "layer", "blobs"};
  vector<const FieldDescriptor*> fields;
  from.GetReflection()->ListFields(from, &fields);
  for (const FieldDescriptor* const field : fields) {
    if (renamed.count(field->name()) > 0) continue;
    CopyField(from, *field, to, *to->GetDescriptor()->FindFieldByName(field->name()));
  }
  if (from.has_type()) to->set_type(UpgradeV1LayerType(from.type()));
  for (int i = 0; i < from.param_size(); ++i) param_spec(to, i)->set_name(from.param(i));
  for (int i = 0; i < from.blob_share_mode_size(); ++i) {
    param_spec(to, i)->set_share_mode(from.blob_share_mode(i) ==
                                              V1LayerParameter_DimCheckMode_PERMISSIVE
                                          ? ParamSpec_DimCheckMode_PERMISSIVE
                                          : ParamSpec_DimCheckMode_STRICT);
  }
  for (int i = 0; i < from.blobs_lr_size(); ++i) param_spec(to, i)->set_lr_mult(from.blobs_lr(i));
  for (int i = 0; i < from.weight_decay_size(); ++i) {
    param_spec(to, i)->set_decay_mult(from.weight_decay(i));
  }
}

/// Upgrades in place; the blobs, which may be hundreds of megabytes, are moved, not copied.
bool upgrade_v1(NetParameter* net) {
  CAFFE_CHECK(net->layer_size() == 0,
              "net '" << net->name()
                      << "' has both layer { } and layers { }: convert the layers, of "
                      << "the old form, to the new form by hand");
  bool complete = true;
  for (V1LayerParameter& layer : *net->mutable_layers()) {
    if (layer.has_layer()) {
      LOG(ERROR) << "Layer '" << layer.layer().name() << "' is in V0 format; it is skipped";
      complete = false;
      continue;
    }
    LayerParameter* const upgraded = net->add_layer();
    upgrade_settings(layer, upgraded);
    upgraded->mutable_blobs()->Swap(layer.mutable_blobs());
  }
  net->clear_layers();
  return complete;
}

/// Moves one of the fields that now belong to transform_param.
template <typename Data>
void move_transformation(Data* data, TransformationParameter* transform) {
  if (data->has_scale()) transform->set_scale(data->scale());
  if (data->has_mean_file()) transform->set_mean_file(data->mean_file());
  if (data->has_crop_size()) transform->set_crop_size(data->crop_size());
  if (data->has_mirror()) transform->set_mirror(data->mirror());
  data->clear_scale();
  data->clear_mean_file();
  data->clear_crop_size();
  data->clear_mirror();
}

template <typename Data>
bool has_transformation(const Data& data) {
  return data.has_scale() || data.has_mean_file() || data.has_crop_size() || data.has_mirror();
}

bool needs_data_upgrade(const V1LayerParameter& layer) {
  switch (layer.type()) {
    case V1LayerParameter_LayerType_DATA:
      return has_transformation(layer.data_param());
    case V1LayerParameter_LayerType_IMAGE_DATA:
      return has_transformation(layer.image_data_param());
    case V1LayerParameter_LayerType_WINDOW_DATA:
      return has_transformation(layer.window_data_param());
    default:
      return false;
  }
}

/// A BatchNorm layer whose three statistics have multipliers, as if they were learnt.
bool needs_batch_norm_upgrade(const LayerParameter& layer) {
  return layer.type() == "BatchNorm" && layer.param_size() == 3 &&
         std::any_of(layer.param().begin(), layer.param().end(), [](const ParamSpec& spec) {
           return spec.lr_mult() != 0 || spec.decay_mult() != 0;
         });
}

bool holds_weights(const NetParameter& net) {
  return std::any_of(net.layer().begin(), net.layer().end(),
                     [](const LayerParameter& layer) { return layer.blobs_size() > 0; });
}

void log_upgrade(const string& file, const string& what, bool complete) {
  LOG_IF(INFO, complete) << "Upgraded " << file << " from " << what;
  LOG_IF(ERROR, !complete) << "Upgraded " << file << " from " << what
                           << ", but not all of it: see above";
}

}  // namespace

// ---- nets

bool NetNeedsUpgrade(const NetParameter& net_param) {
  return NetNeedsV0ToV1Upgrade(net_param) || NetNeedsV1ToV2Upgrade(net_param) ||
         NetNeedsDataUpgrade(net_param) || NetNeedsInputUpgrade(net_param) ||
         NetNeedsBatchNormUpgrade(net_param);
}

bool UpgradeNetAsNeeded(const string& param_file, NetParameter* param) {
  bool complete = true;
  if (NetNeedsV0ToV1Upgrade(*param)) {
    NetParameter original;
    original.Swap(param);
    const bool all = UpgradeV0Net(original, param);
    log_upgrade(param_file, "V0LayerParameter", all);
    complete = complete && all;
  }
  if (NetNeedsDataUpgrade(*param)) {
    UpgradeNetDataTransformation(param);
    log_upgrade(param_file, "transformation fields outside transform_param", true);
  }
  if (NetNeedsV1ToV2Upgrade(*param)) {
    const bool all = upgrade_v1(param);
    log_upgrade(param_file, "V1LayerParameter", all);
    complete = complete && all;
  }
  if (NetNeedsInputUpgrade(*param)) {
    UpgradeNetInput(param);
    log_upgrade(param_file, "input fields", true);
  }
  if (NetNeedsBatchNormUpgrade(*param)) {
    UpgradeNetBatchNorm(param);
    log_upgrade(param_file, "BatchNorm layers with multipliers", true);
  }
  return complete;
}

void ReadNetParamsFromTextFileOrDie(const string& param_file, NetParameter* param) {
  ReadProtoFromTextFile(param_file, param);
  in_file(param_file, [&] { UpgradeNetAsNeeded(param_file, param); });
}

void ReadNetParamsFromBinaryFileOrDie(const string& param_file, NetParameter* param) {
  try {
    ReadProtoFromBinaryFile(param_file, param);
  } catch (const Error&) {
    // The numbers of another fork's fields may be those of other fields here.
    if (kind_of_message(param_file) != "a net's weights") throw;
    ReadWeightsFromBinaryFile(param_file, param);
    LOG(WARNING) << param_file << ": only names, types and blobs could be read; other fields are "
                 << "those of another fork of Caffe";
    return;
  }
  in_file(param_file, [&] { UpgradeNetAsNeeded(param_file, param); });
}

bool NetNeedsDataUpgrade(const NetParameter& net_param) {
  return std::any_of(net_param.layers().begin(), net_param.layers().end(), needs_data_upgrade);
}

void UpgradeNetDataTransformation(NetParameter* net_param) {
  for (V1LayerParameter& layer : *net_param->mutable_layers()) {
    if (!needs_data_upgrade(layer)) continue;
    TransformationParameter* const transform = layer.mutable_transform_param();
    if (layer.type() == V1LayerParameter_LayerType_DATA) {
      move_transformation(layer.mutable_data_param(), transform);
    } else if (layer.type() == V1LayerParameter_LayerType_IMAGE_DATA) {
      move_transformation(layer.mutable_image_data_param(), transform);
    } else {
      move_transformation(layer.mutable_window_data_param(), transform);
    }
  }
}

bool NetNeedsV1ToV2Upgrade(const NetParameter& net_param) {
  return net_param.layers_size() > 0;
}

bool UpgradeV1Net(const NetParameter& v1_net_param, NetParameter* net_param) {
  net_param->CopyFrom(v1_net_param);
  return upgrade_v1(net_param);
}

bool UpgradeV1LayerParameter(const V1LayerParameter& v1_layer_param, LayerParameter* layer_param) {
  layer_param->Clear();
  upgrade_settings(v1_layer_param, layer_param);
  layer_param->mutable_blobs()->CopyFrom(v1_layer_param.blobs());
  if (!v1_layer_param.has_layer()) return true;
  LOG(ERROR) << "Layer '" << v1_layer_param.layer().name() << "' is of V0";
  return false;
}

const char* UpgradeV1LayerType(V1LayerParameter_LayerType type) {
  const auto found = v1_types().find(type);
  CAFFE_CHECK(found != v1_types().end(), "unknown V1 layer type " << type);
  return found->second;
}

bool NetNeedsInputUpgrade(const NetParameter& net_param) {
  return net_param.input_size() > 0;
}

void UpgradeNetInput(NetParameter* net_param) {
  const int inputs = net_param->input_size();
  const int dims = net_param->input_dim_size();
  const bool shapes = net_param->input_shape_size() == inputs && dims == 0;
  if (!shapes && dims == 0 && net_param->input_shape_size() == 0 && holds_weights(*net_param)) {
    net_param->clear_input();
    return;
  }
  CAFFE_CHECK(shapes || (net_param->input_shape_size() == 0 && dims == 4 * inputs),
              "net '" << net_param->name() << "' has " << inputs << " inputs, " << dims
                      << " input_dim and " << net_param->input_shape_size()
                      << " input_shape: give one input_shape { } for each input, or four "
                      << "input_dim");
  LayerParameter input;
  input.set_name("input");
  input.set_type("Input");
  for (int i = 0; i < inputs; ++i) {
    input.add_top(net_param->input(i));
    BlobShape* const shape = input.mutable_input_param()->add_shape();
    if (shapes) {
      shape->CopyFrom(net_param->input_shape(i));
      continue;
    }
    for (int axis = 0; axis < 4; ++axis) shape->add_dim(net_param->input_dim(4 * i + axis));
  }
  // Put the input layer first.
  net_param->add_layer()->Swap(&input);
  for (int i = net_param->layer_size() - 1; i > 0; --i) {
    net_param->mutable_layer()->SwapElements(i, i - 1);
  }
  net_param->clear_input();
  net_param->clear_input_dim();
  net_param->clear_input_shape();
}

bool NetNeedsBatchNormUpgrade(const NetParameter& net_param) {
  return std::any_of(net_param.layer().begin(), net_param.layer().end(), needs_batch_norm_upgrade);
}

void UpgradeNetBatchNorm(NetParameter* net_param) {
  for (LayerParameter& layer : *net_param->mutable_layer()) {
    if (!needs_batch_norm_upgrade(layer)) continue;
    for (ParamSpec& spec : *layer.mutable_param()) {
      spec.set_lr_mult(0);
      spec.set_decay_mult(0);
    }
  }
}

// ---- solvers

bool SolverNeedsTypeUpgrade(const SolverParameter& solver_param) {
  return solver_param.has_solver_type();
}

bool UpgradeSolverType(SolverParameter* solver_param) {
  static const map<int, const char*> types = {{SolverParameter_SolverType_SGD, "SGD"},
                                              {SolverParameter_SolverType_NESTEROV, "Nesterov"},
                                              {SolverParameter_SolverType_ADAGRAD, "AdaGrad"},
                                              {SolverParameter_SolverType_RMSPROP, "RMSProp"},
                                              {SolverParameter_SolverType_ADADELTA, "AdaDelta"},
                                              {SolverParameter_SolverType_ADAM, "Adam"}};
  CAFFE_CHECK(!solver_param->has_solver_type() || !solver_param->has_type(),
              "the solver has both type and solver_type: keep type, the new one");
  if (!solver_param->has_solver_type()) return false;
  solver_param->set_type(types.at(solver_param->solver_type()));
  solver_param->clear_solver_type();
  return true;
}

bool UpgradeSolverAsNeeded(const string& param_file, SolverParameter* param) {
  if (SolverNeedsTypeUpgrade(*param)) {
    log_upgrade(param_file, "solver_type", UpgradeSolverType(param));
  }
  return true;
}

void CompleteSnapshotPrefix(const string& param_file, SolverParameter* param) {
  namespace fs = std::filesystem;
  const fs::path file(param_file);
  std::error_code ignored;
  if (!param->has_snapshot_prefix()) {
    param->set_snapshot_prefix(fs::path(file).replace_extension().string());
    LOG_IF(INFO, Caffe::root_solver())
        << "snapshot_prefix was not specified and is set to " << param->snapshot_prefix();
  } else if (fs::is_directory(param->snapshot_prefix(), ignored)) {
    param->set_snapshot_prefix((fs::path(param->snapshot_prefix()) / file.stem()).string());
    LOG_IF(INFO, Caffe::root_solver())
        << "snapshot_prefix was a directory and is replaced to " << param->snapshot_prefix();
  }
}

void ReadSolverParamsFromTextFileOrDie(const string& param_file, SolverParameter* param) {
  ReadProtoFromTextFile(param_file, param);
  in_file(param_file, [&] { UpgradeSolverAsNeeded(param_file, param); });
  CompleteSnapshotPrefix(param_file, param);
}

}  // namespace caffe
