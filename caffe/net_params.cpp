// A net's parameters: sharing between layers, reading from files and writing to files.

#include <algorithm>

#include "caffe/layer_names.hpp"
#include "caffe/net.hpp"
#include "caffe/net_error.hpp"
#include "caffe/util/file_kind.hpp"
#include "caffe/util/hdf5.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "caffe/util/weights.hpp"

namespace caffe {

namespace {

const char kScratch[] =
    ": rename the layer to learn it from scratch, or give it the parameters the file was made with";

string proto_shape(const BlobProto& proto) {
  if (proto.has_num() || proto.has_channels() || proto.has_height() || proto.has_width()) {
    return shape_text(vector<int>{proto.num(), proto.channels(), proto.height(), proto.width()});
  }
  return shape_text(vector<int64_t>(proto.shape().dim().begin(), proto.shape().dim().end()));
}

/// Whether these blobs of a layer keep their values if the weights lack them: scales and biases of
/// a BatchNorm of NVIDIA's fork, where the weights are those of a plain BatchNorm.
template <typename Dtype>
bool may_lack(const Layer<Dtype>& layer, size_t own, size_t first) {
  return own == 5 && first == 3 && string(layer.type()) == "BatchNorm";
}

template <typename Dtype>
void check_number(const Layer<Dtype>& layer, size_t stored) {
  const size_t own = const_cast<Layer<Dtype>&>(layer).blobs().size();
  if (may_lack(layer, own, stored)) return;
  CAFFE_CHECK(own == stored, layer.name() << "has " << own << " parameter blobs; the weights have "
                                          << stored << " for it" << kScratch);
}

template <typename Dtype>
void check_shape(const Layer<Dtype>& layer, size_t index, const Blob<Dtype>& own, bool same,
                 const string& stored) {
  CAFFE_CHECK(same, layer.name() << "parameter blob " << index << " has shape "
                                 << shape_text(own.shape()) << "; the weights have shape " << stored
                                 << " for it" << kScratch);
}

template <typename Dtype>
void check_values(const Layer<Dtype>& layer, size_t index, const BlobProto& stored, int count) {
  const int values = std::max(stored.data_size(), stored.double_data_size());
  CAFFE_CHECK(values == count, layer.name() << "parameter blob " << index << " of the weights has "
                                            << values << " values and a shape of " << count
                                            << ": the file is damaged");
}

/// Whether a layer's group is NAME or in NAME.
bool is_used(const vector<string>& paths, const string& name) {
  return std::any_of(paths.begin(), paths.end(), [&](const string& path) {
    return path == name || path.compare(0, name.size() + 1, name + "/") == 0;
  });
}

/// Warns if no weights of a file were loaded.
void warn_if_unused(const string& file, bool loaded, const vector<string>& stored,
                    const vector<string>& learning) {
  if (loaded || learning.empty()) return;
  const auto some = [](const vector<string>& names) {
    const size_t most = 5;
    const vector<string> first(names.begin(), names.begin() + std::min(most, names.size()));
    return "'" + join(first, "', '") + (names.size() > most ? "' ..." : "'");
  };
  if (stored.empty()) {
    const string kind = kind_of_message(file);
    const bool told = !kind.empty() && kind != "a net's weights";
    LOG(WARNING) << file << ": nothing was loaded: it holds no weights"
                 << (told ? "; it is " + kind : "");
    return;
  }
  LOG(WARNING) << file << ": nothing was loaded: its layers with weights (" << some(stored)
               << ") have other names than this net's (" << some(learning) << ")";
}

void log_ignored(const string& layer) {
  LOG_IF(INFO, Caffe::root_solver()) << "Ignoring source layer " << layer;
}

}  // namespace

// ---- sharing

template <typename Dtype>
void Net<Dtype>::AddParams(int layer_id) {
  Layer<Dtype>& layer = *layers_[layer_id];
  const int blobs = static_cast<int>(layer.blobs().size());
  CAFFE_CHECK(layer.layer_param().param_size() <= blobs,
              layer.name() << "has param { } " << layer.layer_param().param_size()
                           << " times and learns " << blobs << " blobs");
  for (int i = 0; i < blobs; ++i) AddParam(layer_id, i);
}

template <typename Dtype>
void Net<Dtype>::AddParam(int layer_id, int param_id) {
  Layer<Dtype>& layer = *layers_[layer_id];
  const LayerParameter& layer_param = layer.layer_param();
  const ParamSpec spec =
      param_id < layer_param.param_size() ? layer_param.param(param_id) : ParamSpec();
  layer.set_param_propagate_down(param_id, spec.lr_mult() != 0);

  const int id = static_cast<int>(params_.size());
  params_.push_back(layer.blobs()[param_id]);
  param_layer_indices_.emplace_back(layer_id, param_id);
  param_id_vecs_[layer_id].push_back(id);
  param_display_names_.push_back(spec.name().empty() ? std::to_string(param_id) : spec.name());
  const auto owner = param_names_index_.find(spec.name());
  if (!spec.name().empty() && owner != param_names_index_.end()) {
    JoinParam(id, owner->second, spec);
    return;
  }
  if (!spec.name().empty()) param_names_index_[spec.name()] = id;
  param_owners_.push_back(-1);
  learnable_param_ids_.push_back(static_cast<int>(learnable_params_.size()));
  learnable_params_.push_back(params_.back().get());
  params_lr_.push_back(spec.lr_mult());
  has_params_lr_.push_back(spec.has_lr_mult());
  params_weight_decay_.push_back(spec.decay_mult());
  has_params_decay_.push_back(spec.has_decay_mult());
}

template <typename Dtype>
void Net<Dtype>::JoinParam(int param, int owner, const ParamSpec& spec) {
  const auto place = param_layer_indices_[owner];
  const Blob<Dtype>& own = *params_[param];
  const Blob<Dtype>& theirs = *params_[owner];
  LOG_IF(INFO, Caffe::root_solver())
      << "Sharing parameters '" << spec.name() << "' owned by layer '" << layer_names_[place.first]
      << "', param index " << place.second;
  const bool permissive = spec.share_mode() == ParamSpec_DimCheckMode_PERMISSIVE;
  CAFFE_CHECK(permissive ? own.count() == theirs.count() : own.shape() == theirs.shape(),
              layers_[param_layer_indices_[param].first]->name()
                  << "cannot share parameter '" << spec.name() << "', " << own.shape_string()
                  << " here, with layer '" << layer_names_[place.first] << "', where it is "
                  << theirs.shape_string()
                  << (permissive || own.count() != theirs.count()
                          ? ": give it another name, or the same size"
                          : ": share_mode: PERMISSIVE allows a different shape of the same size"));
  // At once, not when the net is complete: an unrolled net's steps would all fill memory.
  params_[param]->ShareData(theirs);
  params_[param]->ShareDiff(theirs);
  param_owners_.push_back(owner);
  learnable_param_ids_.push_back(learnable_param_ids_[owner]);
  in_layer(*layers_[param_layer_indices_[param].first],
           [&] { MergeMultipliers(learnable_param_ids_[owner], spec); });
}

/// All layers that share a parameter and set a multiplier must set the same one.
template <typename Dtype>
void Net<Dtype>::MergeMultipliers(int learnable, const ParamSpec& spec) {
  const auto merge = [&](bool given, float value, const char* what, vector<float>* values,
                         vector<bool>* has) {
    if (!given) return;
    CAFFE_CHECK(!(*has)[learnable] || (*values)[learnable] == value,
                "parameter '" << spec.name() << "' is shared and has " << what << " " << value
                              << " here and " << (*values)[learnable]
                              << " in another layer: give the same value, or give it once");
    (*values)[learnable] = value;
    (*has)[learnable] = true;
  };
  merge(spec.has_lr_mult(), spec.lr_mult(), "lr_mult", &params_lr_, &has_params_lr_);
  merge(spec.has_decay_mult(), spec.decay_mult(), "decay_mult", &params_weight_decay_,
        &has_params_decay_);
}

template <typename Dtype>
void Net<Dtype>::ShareWeights() {
  for (size_t i = 0; i < params_.size(); ++i) {
    if (param_owners_[i] < 0) continue;
    params_[i]->ShareData(*params_[param_owners_[i]]);
    params_[i]->ShareDiff(*params_[param_owners_[i]]);
  }
}

template <typename Dtype>
void Net<Dtype>::ShareTrainedLayersWith(const Net* other) {
  // All checks come first, so an error leaves this net unchanged.
  for (const bool checking : {true, false}) {
    LayerFinder finder(layer_names_);
    for (size_t l = 0; l < other->layers_.size(); ++l) {
      const int found = finder.find(other->layer_names_[l]);
      if (found < 0) {
        if (checking) log_ignored(other->layer_names_[l]);
        continue;
      }
      Layer<Dtype>& layer = *layers_[found];
      const auto& theirs = other->layers_[l]->blobs();
      if (checking) check_number(layer, theirs.size());
      for (size_t i = 0; i < theirs.size(); ++i) {
        const Blob<Dtype>& own = *layer.blobs()[i];
        if (checking) {
          check_shape(layer, i, own, own.shape() == theirs[i]->shape(),
                      shape_text(theirs[i]->shape()));
        } else {
          layer.blobs()[i]->ShareData(*theirs[i]);
        }
      }
    }
  }
}

// ---- caffemodel

template <typename Dtype>
void Net<Dtype>::CopyTrainedLayersFrom(const NetParameter& given) {
  NetParameter upgraded;
  if (NetNeedsUpgrade(given)) {
    upgraded.CopyFrom(given);
    UpgradeNetAsNeeded("net '" + given.name() + "'", &upgraded);
    return CopyTrainedLayersFrom(upgraded);
  }
  for (const bool checking : {true, false}) {
    LayerFinder finder(layer_names_);
    for (const LayerParameter& source : given.layer()) {
      const int found = finder.find(source.name());
      if (found < 0) {
        if (checking) log_ignored(source.name());
        continue;
      }
      Layer<Dtype>& layer = *layers_[found];
      if (checking) check_number(layer, source.blobs_size());
      for (int i = 0; i < source.blobs_size(); ++i) {
        Blob<Dtype>& own = *layer.blobs()[i];
        if (checking) {
          check_shape(layer, i, own, own.ShapeEquals(source.blobs(i)),
                      proto_shape(source.blobs(i)));
          check_values(layer, i, source.blobs(i), own.count());
        } else {
          in_layer(layer, [&] { own.FromProto(source.blobs(i), false); });
        }
      }
    }
  }
}

template <typename Dtype>
void Net<Dtype>::CopyTrainedLayersFrom(const string& trained_filename) {
  if (IsHdf5File(trained_filename)) {
    CopyTrainedLayersFromHDF5(trained_filename);
  } else {
    CopyTrainedLayersFromBinaryProto(trained_filename);
  }
}

template <typename Dtype>
void Net<Dtype>::CopyTrainedLayersFromBinaryProto(const string& trained_filename) {
  NetParameter param;
  ReadWeightsFromBinaryFile(trained_filename, &param);
  in_file(trained_filename, [&] { CopyTrainedLayersFrom(param); });
  vector<string> stored;
  bool loaded = false;
  for (const LayerParameter& layer : param.layer()) {
    if (layer.blobs_size() == 0) continue;
    stored.push_back(layer.name());
    loaded = loaded || has_layer(layer.name());
  }
  warn_if_unused(trained_filename, loaded, stored, learning_layers());
}

template <typename Dtype>
void Net<Dtype>::ToProto(NetParameter* param, bool write_diff) const {
  param->Clear();
  param->set_name(name_);
  for (const auto& layer : layers_) layer->ToProto(param->add_layer(), write_diff);
}

// ---- HDF5

template <typename Dtype>
void Net<Dtype>::CopyTrainedLayersFromHDF5(const string& trained_filename) {
  const Hdf5File file(trained_filename, Hdf5File::kRead);
  CAFFE_CHECK(hdf5_exists(file.id(), "data"),
              trained_filename << ": has no group 'data', so it does not contain a net's weights"
                               << (hdf5_exists(file.id(), "learned_net")
                                       ? "; it is a solver state, whose weights are in '" +
                                             hdf5_load_string(file.id(), "learned_net") + "'"
                                       : ""));
  const Hdf5Group data(file.id(), "data");
  const vector<string> paths = hdf5_paths(layer_names_);
  vector<string> stored;
  for (const string& name : hdf5_names(data.id())) {
    if (!is_used(paths, name)) log_ignored(name);
    if (hdf5_get_num_links(Hdf5Group(data.id(), name).id()) > 0) stored.push_back(name);
  }
  bool loaded = false;
  in_file(trained_filename, [&] {
    for (const bool checking : {true, false}) {
      for (size_t l = 0; l < layers_.size(); ++l) {
        if (!hdf5_exists(data.id(), paths[l])) continue;
        const Hdf5Group group(data.id(), paths[l]);
        in_layer(*layers_[l], [&] { LoadHDF5(static_cast<int>(l), group.id(), checking); });
        loaded = loaded || !layers_[l]->blobs().empty();
      }
    }
  });
  warn_if_unused(trained_filename, loaded, stored, learning_layers());
}

/// The names of the layers with parameters.
template <typename Dtype>
vector<string> Net<Dtype>::learning_layers() const {
  vector<string> names;
  for (size_t l = 0; l < layers_.size(); ++l) {
    if (!layers_[l]->blobs().empty()) names.push_back(layer_names_[l]);
  }
  return names;
}

/// Checks or loads a group's values for a layer.
template <typename Dtype>
void Net<Dtype>::LoadHDF5(int layer_id, int64_t group, bool checking) {
  Layer<Dtype>& layer = *layers_[layer_id];
  const size_t blobs = layer.blobs().size();
  for (size_t i = 0; i < blobs; ++i) {
    const string index = std::to_string(i);
    const bool shared = param_owners_[param_id_vecs_[layer_id][i]] >= 0;
    if (!hdf5_exists(group, index)) {
      if (may_lack(layer, blobs, i)) return;
      CAFFE_CHECK(shared, layer.name()
                              << "has " << blobs << " parameter blobs; the weights have no "
                              << "blob " << i << " for it" << kScratch);
      continue;
    }
    Blob<Dtype>& own = *layer.blobs()[i];
    if (checking) {
      const vector<int> stored = hdf5_shape(group, index);
      check_shape(layer, i, own, own.shape() == stored, shape_text(stored));
    } else {
      hdf5_load_nd_dataset(group, index.c_str(), 0, kMaxBlobAxes, &own, false);
    }
  }
  CAFFE_CHECK(!hdf5_exists(group, std::to_string(blobs)),
              layer.name() << "has " << blobs << " parameter blobs; the weights have more for it"
                           << kScratch);
}

template <typename Dtype>
void Net<Dtype>::ToHDF5(const string& filename, bool write_diff) const {
  ReplaceFile(filename, [&](const string& temporary) {
    Hdf5File file(temporary, Hdf5File::kCreate);
    SaveHDF5(file.id(), "data", false);
    if (write_diff) SaveHDF5(file.id(), "diff", true);
    file.Close();
  });
}

template <typename Dtype>
void Net<Dtype>::SaveHDF5(int64_t file, const string& kind, bool diff) const {
  const Hdf5Group all(file, kind, Hdf5Group::kCreate);
  const vector<string> paths = hdf5_paths(layer_names_);
  for (size_t l = 0; l < layers_.size(); ++l) {
    const Hdf5Group group(all.id(), paths[l], Hdf5Group::kCreate);
    for (size_t i = 0; i < param_id_vecs_[l].size(); ++i) {
      const int param = param_id_vecs_[l][i];
      if (!diff && param_owners_[param] >= 0) continue;
      hdf5_save_nd_dataset(group.id(), std::to_string(i), *params_[param], diff);
    }
  }
}

#define INSTANTIATE(Dtype)                                                   \
  template void Net<Dtype>::AddParams(int);                                  \
  template void Net<Dtype>::ShareWeights();                                  \
  template void Net<Dtype>::ShareTrainedLayersWith(const Net*);              \
  template void Net<Dtype>::CopyTrainedLayersFrom(const NetParameter&);      \
  template void Net<Dtype>::CopyTrainedLayersFrom(const string&);            \
  template void Net<Dtype>::CopyTrainedLayersFromBinaryProto(const string&); \
  template void Net<Dtype>::CopyTrainedLayersFromHDF5(const string&);        \
  template void Net<Dtype>::ToProto(NetParameter*, bool) const;              \
  template void Net<Dtype>::ToHDF5(const string&, bool) const
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
