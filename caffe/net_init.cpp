// Builds a net from its description.

#include <algorithm>
#include <type_traits>

#include "caffe/net.hpp"
#include "caffe/net_memory.hpp"
#include "caffe/net_plan.hpp"
#include "caffe/util/dialects.hpp"
#include "caffe/util/insert_splits.hpp"
#include "caffe/util/upgrade_proto.hpp"

namespace caffe {

namespace {

const char kAutomatic[] = "(automatic)";  // the name of tops that a layer adds itself

bool is_root() {
  return Caffe::root_solver();
}

NetParameter read_net(const string& param_file, Phase phase, int level,
                      const vector<string>* stages) {
  NetParameter param;
  ReadNetParamsFromTextFileOrDie(param_file, &param);
  NetState* const state = param.mutable_state();
  state->set_phase(phase);
  state->set_level(level);
  if (stages != nullptr) {
    for (const string& stage : *stages) state->add_stage(stage);
  }
  return param;
}

/// Logs the dialect of a net of another fork.
void log_dialect(const DialectFound& dialect) {
  if (dialect.name.empty() || !is_root()) return;
  const size_t most = 4;
  const vector<string> first(dialect.from.begin(),
                             dialect.from.begin() + std::min(most, dialect.from.size()));
  LOG(INFO) << "Dialect: " << dialect.name
            << (chosen_dialect().empty() ? " (from " + join(first) : " (chosen by hand")
            << (chosen_dialect().empty() && dialect.from.size() > most ? ", ...)" : ")");
}

}  // namespace

template <typename Dtype>
Net<Dtype>::Net(const NetParameter& param) {
  Init(param);
}

template <typename Dtype>
Net<Dtype>::Net(const string& param_file, Phase phase, int level, const vector<string>* stages) {
  in_file(param_file, [&] { Init(read_net(param_file, phase, level, stages)); });
}

template <typename Dtype>
void Net<Dtype>::Init(const NetParameter& given) {
  check_math_mode(std::is_same<Dtype, float>::value);
  plan_ = std::make_shared<NetPlan<Dtype>>();
  NetParameter upgraded;
  const bool old = NetNeedsUpgrade(given);
  if (old) {
    upgraded.CopyFrom(given);
    UpgradeNetAsNeeded("net '" + given.name() + "'", &upgraded);
  }
  NetParameter filtered, param;
  const DialectFound dialect = find_dialect(old ? upgraded : given);
  log_dialect(dialect);
  FilterNet(old ? upgraded : given, &filtered);
  resolve_dialect(dialect, &filtered);
  LOG_IF(INFO, is_root()) << "Initializing net from parameters: \n" << filtered.DebugString();
  InsertSplits(filtered, &param);
  LOG_IF(INFO, is_root() && plan_->math != MathMode::kFloat)
      << "Math mode: " << math_mode_name(plan_->math);
  name_ = param.name();
  phase_ = param.state().phase();
  debug_info_ = param.debug_info();
  for (LayerParameter& layer : *param.mutable_layer()) {
    if (!layer.has_phase()) layer.set_phase(phase_);
    AddLayer(layer);
  }
  ChooseBackward(param.force_backward());
  ChooseOutputs();
  ShareWeights();
  plan_->chains.find(*this);
  plan_->joins.find(*this);
  LOG_IF(INFO, is_root()) << "Network initialization done.";
}

template <typename Dtype>
void Net<Dtype>::AddLayer(const LayerParameter& param) {
  const int id = static_cast<int>(layers_.size());
  const int bottoms = param.bottom_size();
  layers_.push_back(in_file("layer '" + param.name() + "'",
                            [&] { return LayerRegistry<Dtype>::CreateLayer(param); }));
  const Layer<Dtype>& layer = *layers_.back();
  LOG_IF(INFO, is_root()) << "Creating Layer " << param.name();
  CAFFE_CHECK(param.propagate_down_size() == 0 || param.propagate_down_size() == bottoms,
              layer.name() << "has propagate_down " << param.propagate_down_size()
                           << " times and bottom " << bottoms
                           << " times: give it once for each bottom, or not at all");
  layer_names_.push_back(param.name());
  const bool named_again = !layer_names_index_.emplace(param.name(), id).second;
  bottom_vecs_.emplace_back();
  bottom_id_vecs_.emplace_back();
  bottom_need_backward_.emplace_back();
  top_vecs_.emplace_back();
  top_id_vecs_.emplace_back();
  param_id_vecs_.emplace_back();
  for (int i = 0; i < bottoms; ++i) AddBottom(id, i);
  for (int i = 0; i < param.top_size(); ++i) AddTop(id, i, param.top(i));
  if (layer.AutoTopBlobs()) AddAutoTops(id);
  SetUpLayer(id);
  AddParams(id);
  LOG_IF(WARNING, is_root() && named_again && !layers_[id]->blobs().empty())
      << "More than one layer is named '" << param.name()
      << "': in files of weights only their order tells them apart";

  const vector<bool>& needs = bottom_need_backward_[id];
  bool learns = std::find(needs.begin(), needs.end(), true) != needs.end();
  for (size_t i = 0; i < layers_[id]->blobs().size(); ++i) {
    learns = learns || layer.param_propagate_down(static_cast<int>(i));
  }
  layer_need_backward_.push_back(learns);
  for (const int top : top_id_vecs_[id]) blob_need_backward_[top] = learns;
}

template <typename Dtype>
void Net<Dtype>::AddBottom(int layer_id, int bottom_id) {
  const Layer<Dtype>& layer = *layers_[layer_id];
  const string& blob_name = layer.layer_param().bottom(bottom_id);
  const auto found = blob_names_index_.find(blob_name);
  CAFFE_CHECK(found != blob_names_index_.end() && unread_blobs_.erase(found->second) > 0,
              layer.name() << "unknown bottom blob '" << blob_name << "' (bottom index "
                           << bottom_id << ")");
  LOG_IF(INFO, is_root()) << layer_names_[layer_id] << " <- " << blob_name;
  const int blob_id = found->second;
  bottom_vecs_[layer_id].push_back(blobs_[blob_id].get());
  bottom_id_vecs_[layer_id].push_back(blob_id);
  const LayerParameter& param = layer.layer_param();
  bottom_need_backward_[layer_id].push_back(param.propagate_down_size() > 0
                                                ? param.propagate_down(bottom_id)
                                                : bool(blob_need_backward_[blob_id]));
}

template <typename Dtype>
void Net<Dtype>::AddTop(int layer_id, int top_id, const string& blob_name) {
  const Layer<Dtype>& layer = *layers_[layer_id];
  const LayerParameter& param = layer.layer_param();
  const bool automatic = top_id >= param.top_size();
  const auto found = automatic ? blob_names_index_.end() : blob_names_index_.find(blob_name);
  const bool exists = found != blob_names_index_.end();
  const bool in_place = exists && top_id < param.bottom_size() &&
                        blob_name == param.bottom(top_id) && !unread_blobs_.count(found->second);
  CAFFE_CHECK(
      in_place || !exists,
      layer.name() << "top blob '" << blob_name << "' is already made by another layer. A "
                   << "layer can change a blob in place when the blob is its bottom at the "
                   << "same index and no other layer reads it before; otherwise give the top a "
                   << "name of its own");
  LOG_IF(INFO, is_root()) << layer_names_[layer_id] << " -> " << blob_name
                          << (in_place ? " (in-place)" : "");
  const int blob_id = in_place ? found->second : static_cast<int>(blobs_.size());
  if (!in_place) {
    blobs_.push_back(std::make_shared<Blob<Dtype>>());
    blob_names_.push_back(blob_name);
    blob_need_backward_.push_back(false);
    blob_loss_weights_.push_back(Dtype(0));
    if (!automatic) blob_names_index_[blob_name] = blob_id;
    if (param.type() == "Input") {
      net_input_blob_indices_.push_back(blob_id);
      net_input_blobs_.push_back(blobs_[blob_id].get());
    }
  }
  if (!automatic) unread_blobs_.insert(blob_id);
  top_vecs_[layer_id].push_back(blobs_[blob_id].get());
  top_id_vecs_[layer_id].push_back(blob_id);
}

/// Adds the tops that the layer needs and the prototxt leaves out.
template <typename Dtype>
void Net<Dtype>::AddAutoTops(int layer_id) {
  const Layer<Dtype>& layer = *layers_[layer_id];
  const int needed = std::max(layer.MinTopBlobs(), layer.ExactNumTopBlobs());
  for (int i = layer.layer_param().top_size(); i < needed; ++i) AddTop(layer_id, i, kAutomatic);
}

template <typename Dtype>
void Net<Dtype>::SetUpLayer(int layer_id) {
  Layer<Dtype>& layer = *layers_[layer_id];
  in_layer_of(*this, layer_id, [&] { layer.SetUp(bottom_vecs_[layer_id], top_vecs_[layer_id]); });
  LOG_IF(INFO, is_root()) << "Setting up " << layer_names_[layer_id];
  for (size_t i = 0; i < top_vecs_[layer_id].size(); ++i) {
    const Blob<Dtype>& top = *top_vecs_[layer_id][i];
    const Dtype loss_weight = layer.loss(static_cast<int>(i));
    blob_loss_weights_[top_id_vecs_[layer_id][i]] = loss_weight;
    LOG_IF(INFO, is_root()) << "Top shape: " << top.shape_string();
    LOG_IF(INFO, is_root() && loss_weight != 0) << "    with loss weight " << loss_weight;
    memory_used_ += sizeof(Dtype) * static_cast<size_t>(top.count());
  }
  LOG_IF(INFO, is_root()) << "Memory required for data: " << memory_used_;
}

/// From the last layer to the first: a layer runs backward if it or a layer below it learns, and if
/// one of its tops gets a gradient, from a later layer or from the top's own loss weight.
template <typename Dtype>
void Net<Dtype>::ChooseBackward(bool force) {
  vector<bool> arrives(blobs_.size(), false);
  for (int i = static_cast<int>(layers_.size()) - 1; i >= 0; --i) {
    bool reached = false;
    for (size_t t = 0; t < top_vecs_[i].size(); ++t) {
      const bool is_loss = layers_[i]->loss(static_cast<int>(t)) != 0;
      reached = reached || is_loss || arrives[top_id_vecs_[i][t]];
    }
    const bool runs = layer_need_backward_[i] && reached;
    layer_need_backward_[i] = runs;
    for (size_t b = 0; b < bottom_vecs_[i].size(); ++b) {
      bottom_need_backward_[i][b] = bottom_need_backward_[i][b] && runs;
      const int blob = bottom_id_vecs_[i][b];
      arrives[blob] = bottom_need_backward_[i][b];
      LOG_IF(WARNING, is_root() && arrives[blob] && blob_loss_weights_[blob] != 0)
          << "The gradient of " << blob_names_[blob] << " will be that of " << layer_names_[i]
          << " alone, without its loss weight: write loss_weight: " << blob_loss_weights_[blob]
          << " into the layer that makes it";
    }
    LOG_IF(INFO, is_root()) << layer_names_[i]
                            << (runs ? " needs backward computation."
                                     : " does not need backward computation.");
  }
  if (!force) return;
  for (size_t i = 0; i < layers_.size(); ++i) {
    layer_need_backward_[i] = true;
    for (size_t b = 0; b < bottom_vecs_[i].size(); ++b) {
      if (layers_[i]->AllowForceBackward(static_cast<int>(b))) bottom_need_backward_[i][b] = true;
      if (bottom_need_backward_[i][b]) blob_need_backward_[bottom_id_vecs_[i][b]] = true;
    }
    for (size_t p = 0; p < layers_[i]->blobs().size(); ++p) {
      layers_[i]->set_param_propagate_down(static_cast<int>(p), true);
    }
  }
}

/// Tops that no layer reads are outputs, in the order of their names.
template <typename Dtype>
void Net<Dtype>::ChooseOutputs() {
  for (const auto& entry : blob_names_index_) {
    if (unread_blobs_.count(entry.second) == 0) continue;
    LOG_IF(INFO, is_root()) << "This network produces output " << entry.first;
    net_output_blob_indices_.push_back(entry.second);
    net_output_blobs_.push_back(blobs_[entry.second].get());
  }
  unread_blobs_.clear();
}

template Net<float>::Net(const NetParameter&);
template Net<double>::Net(const NetParameter&);
template Net<float>::Net(const string&, Phase, int, const vector<string>*);
template Net<double>::Net(const string&, Phase, int, const vector<string>*);

}  // namespace caffe
