#include "caffe/net_joins.hpp"

#include <algorithm>

#include "caffe/layers/dropout_layer.hpp"
#include "caffe/net.hpp"

namespace caffe {

namespace {

/// Whether the layer changes one of its bottoms in place.
template <typename Dtype>
bool changes_a_bottom(const Net<Dtype>& net, int layer) {
  const auto* const dropout = dynamic_cast<const DropoutLayer<Dtype>*>(net.layers()[layer].get());
  if (dropout != nullptr && dropout->keeps_values()) return false;
  const auto& tops = net.top_vecs()[layer];
  const auto& bottoms = net.bottom_vecs()[layer];
  return std::find_first_of(tops.begin(), tops.end(), bottoms.begin(), bottoms.end()) != tops.end();
}

/// The layer that makes a bottom of `layer`.
template <typename Dtype>
int maker_of(const Net<Dtype>& net, int layer, const Blob<Dtype>* bottom) {
  for (int i = 0; i < layer; ++i) {
    const auto& tops = net.top_vecs()[i];
    if (std::find(tops.begin(), tops.end(), bottom) != tops.end()) return i;
  }
  return -1;
}

}  // namespace

template <typename Dtype>
void NetJoins<Dtype>::find(const Net<Dtype>& net) {
  joins_.clear();
  in_place_.clear();
  if (net.phase() != TEST) return;
  const auto& layers = net.layers();
  for (int i = 0; i < static_cast<int>(layers.size()); ++i) {
    if (changes_a_bottom(net, i)) in_place_.push_back(i);
    const auto* const joining = dynamic_cast<const JoinsBottoms*>(layers[i].get());
    if (joining == nullptr || joining->joined_room() == nullptr) continue;
    Join join = {i, i, joining->joined_room().get(), nullptr};
    for (size_t b = 0; b < net.bottom_vecs()[i].size(); ++b) {
      const int maker = maker_of(net, i, net.bottom_vecs()[i][b]);
      auto* const writer = maker < 0 ? nullptr : dynamic_cast<WritesIntoRoom*>(layers[maker].get());
      if (writer == nullptr || net.top_vecs()[maker].size() != 1) continue;
      writer->set_room(joining->joined_room(), static_cast<int>(b));
      join.first_writer = std::min(join.first_writer, maker);
    }
    if (join.first_writer < i) joins_.push_back(join);
  }
}

/// Whether a later layer changes the joined blob, or one that shares its memory, in place.
template <typename Dtype>
bool NetJoins<Dtype>::is_changed(const Net<Dtype>& net, const Join& join) const {
  return std::any_of(in_place_.begin(), in_place_.end(), [&](int layer) {
    if (layer < join.layer) return false;
    const auto& tops = net.top_vecs()[layer];
    return std::any_of(tops.begin(), tops.end(), [&](const Blob<Dtype>* top) {
      return top->count() > 0 && top->data().get() == join.block;
    });
  });
}

template <typename Dtype>
void NetJoins<Dtype>::begin_forward(const Net<Dtype>& net, int start, int end, bool is_watched) {
  for (Join& join : joins_) {
    const Blob<Dtype>& joined = *net.top_vecs()[join.layer][0];
    const SyncedMemory* const block = joined.count() > 0 ? joined.data().get() : nullptr;
    // Layers share memory (Split ...) when they run, so after a pass with the same block.
    const bool was_here = block != nullptr && block == join.block;
    join.block = block;
    join.room->open(was_here && !is_watched && start <= join.first_writer && end >= join.layer &&
                    !is_changed(net, join));
  }
}

template class NetJoins<float>;
template class NetJoins<double>;

}  // namespace caffe
