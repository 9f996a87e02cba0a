#include "caffe/util/insert_splits.hpp"

#include "caffe/common.hpp"

namespace caffe {

namespace {

/// One top of one layer: the meaning of a blob's name between this layer and the next one that
/// writes it.
struct Top {
  string layer;
  string blob;
  int index = 0;
  int readers = 0;
  int given = 0;  // readers that already have a blob
  float loss_weight = 0;

  bool split() const { return readers > 1; }
};

/// All tops of a net, and which of them each bottom reads.
struct Reading {
  vector<Top> tops;
  vector<vector<size_t>> bottoms;  // [layer][bottom]: an index into tops
  vector<size_t> first_top;        // [layer]
};

[[noreturn]] void fail_unknown(const LayerParameter& layer, int bottom,
                               const map<string, size_t>& known) {
  vector<string> names;
  for (const auto& entry : known) names.push_back(entry.first);
  const string nearest = nearest_name(layer.bottom(bottom), names);
  CAFFE_FAIL("unknown bottom blob '" << layer.bottom(bottom) << "' (layer '" << layer.name()
                                     << "', bottom index " << bottom << ")"
                                     << (nearest.empty() ? ": no earlier layer has that top"
                                                         : "; did you mean '" + nearest + "'?"));
}

Reading read_layers(const NetParameter& param) {
  Reading reading;
  map<string, size_t> latest;  // blob -> the top that last wrote it
  for (const LayerParameter& layer : param.layer()) {
    reading.bottoms.emplace_back();
    for (int i = 0; i < layer.bottom_size(); ++i) {
      const auto found = latest.find(layer.bottom(i));
      if (found == latest.end()) fail_unknown(layer, i, latest);
      reading.bottoms.back().push_back(found->second);
      ++reading.tops[found->second].readers;
    }
    reading.first_top.push_back(reading.tops.size());
    for (int i = 0; i < layer.top_size(); ++i) {
      latest[layer.top(i)] = reading.tops.size();
      Top top;
      top.layer = layer.name();
      top.blob = layer.top(i);
      top.index = i;
      if (i < layer.loss_weight_size()) top.loss_weight = layer.loss_weight(i);
      reading.tops.push_back(top);
    }
  }
  for (Top& top : reading.tops) {
    if (top.loss_weight == 0 || top.readers == 0) continue;
    ++top.readers;
    ++top.given;  // the loss takes the first
  }
  return reading;
}

}  // namespace

void InsertSplits(const NetParameter& param, NetParameter* param_split) {
  Reading reading = read_layers(param);
  param_split->CopyFrom(param);
  param_split->clear_layer();
  for (int l = 0; l < param.layer_size(); ++l) {
    LayerParameter* const layer = param_split->add_layer();
    layer->CopyFrom(param.layer(l));
    for (int i = 0; i < layer->bottom_size(); ++i) {
      Top& top = reading.tops[reading.bottoms[l][i]];
      if (!top.split()) continue;
      layer->set_bottom(i, SplitBlobName(top.layer, top.blob, top.index, top.given++));
    }
    for (int i = 0; i < layer->top_size(); ++i) {
      const Top& top = reading.tops[reading.first_top[l] + i];
      if (!top.split()) continue;
      if (top.loss_weight != 0) layer->set_loss_weight(i, 0);
      ConfigureSplitLayer(top.layer, top.blob, i, top.readers, top.loss_weight,
                          param_split->add_layer());
    }
  }
}

void ConfigureSplitLayer(const string& layer_name, const string& blob_name, int blob_idx,
                         int split_count, float loss_weight, LayerParameter* split_layer_param) {
  split_layer_param->Clear();
  split_layer_param->set_name(SplitLayerName(layer_name, blob_name, blob_idx));
  split_layer_param->set_type("Split");
  split_layer_param->add_bottom(blob_name);
  for (int i = 0; i < split_count; ++i) {
    split_layer_param->add_top(SplitBlobName(layer_name, blob_name, blob_idx, i));
    if (loss_weight != 0) split_layer_param->add_loss_weight(i == 0 ? loss_weight : 0);
  }
}

string SplitLayerName(const string& layer_name, const string& blob_name, int blob_idx) {
  return blob_name + "_" + layer_name + "_" + std::to_string(blob_idx) + "_split";
}

string SplitBlobName(const string& layer_name, const string& blob_name, int blob_idx,
                     int split_idx) {
  return SplitLayerName(layer_name, blob_name, blob_idx) + "_" + std::to_string(split_idx);
}

}  // namespace caffe
