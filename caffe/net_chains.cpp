// Layers that a net may compute together.

#include "caffe/net_chains.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "caffe/layers/relu_layer.hpp"
#include "caffe/net.hpp"
#include "caffe/net_memory.hpp"

namespace caffe {

namespace {

/// Whether the layer changes the one top of the layer before it in place, and does nothing else.
template <typename Dtype>
bool is_in_place(const Net<Dtype>& net, size_t layer) {
  const auto& tops = net.top_vecs();
  return tops[layer - 1].size() == 1 && tops[layer] == tops[layer - 1] &&
         net.bottom_vecs()[layer] == tops[layer];
}

/// Whether the gradient that arrives at `layer` goes on to the layer before it, or if none of both
/// has one.
template <typename Dtype>
bool is_crossed(const Net<Dtype>& net, size_t layer) {
  const bool runs = net.layer_need_backward()[layer];
  return net.layer_need_backward()[layer - 1] == runs &&
         net.bottom_need_backward()[layer][0] == runs;
}

template <typename Dtype>
bool learns(Layer<Dtype>* layer) {
  for (size_t i = 0; i < layer->blobs().size(); ++i) {
    if (layer->param_propagate_down(static_cast<int>(i))) return true;
  }
  return false;
}

/// Whether the gradient ends at `layer`, and none of the layers from `head` to it learns.
template <typename Dtype>
bool is_lowest(const Net<Dtype>& net, size_t head, size_t layer) {
  for (size_t i = head; i < layer; ++i) {
    if (net.layer_need_backward()[i] || learns(net.layers()[i].get())) return false;
  }
  return net.layer_need_backward()[layer] && !net.bottom_need_backward()[layer][0];
}

/// Whether values that the layer would need to run again were given up.
template <typename Dtype>
bool lacks_bottom(const Net<Dtype>& net, int layer) {
  const auto& bottoms = net.bottom_vecs()[layer];
  return std::any_of(bottoms.begin(), bottoms.end(), [&](const Blob<Dtype>* bottom) {
    return bottom != net.top_vecs()[layer][0] && bottom->data()->is_given_up();
  });
}

/// Whether the layer's bottom is still that of the last pass when a pass from layer `start` on
/// begins: that pass computes it, or the layer works in place and has kept it.
template <typename Dtype>
bool keeps_bottom(const Net<Dtype>& net, int layer, int start) {
  const Blob<Dtype>* const bottom = net.bottom_vecs()[layer][0];
  if (bottom == net.top_vecs()[layer][0]) return true;
  const auto& inputs = net.input_blobs();
  if (std::find(inputs.begin(), inputs.end(), bottom) != inputs.end()) return false;
  for (int i = start; i < layer; ++i) {
    const auto& tops = net.top_vecs()[i];
    if (std::find(tops.begin(), tops.end(), bottom) != tops.end()) return true;
  }
  return false;
}

/// The layer, if the one in front of it is a ReLU in place whose gradient it may compute.
template <typename Dtype>
TakesReluGradient* find_behind_relu(const Net<Dtype>& net, size_t layer) {
  const auto found = dynamic_cast<TakesReluGradient*>(net.layers()[layer].get());
  if (found == nullptr || layer == 0) return nullptr;
  const auto &bottoms = net.bottom_vecs(), &tops = net.top_vecs();
  // Nobody else reads the ReLU's top: other layers would read it through a Split.
  const bool is_relu = is_plain_relu(*net.layers()[layer - 1]) &&
                       bottoms[layer - 1] == tops[layer - 1] && bottoms[layer] == tops[layer - 1] &&
                       tops[layer] != bottoms[layer] && net.layers()[layer - 1]->loss(0) == 0;
  for (size_t i = layer - 1; is_relu && i <= layer; ++i) {
    if (!net.layer_need_backward()[i] || !net.bottom_need_backward()[i][0]) return nullptr;
  }
  return is_relu ? found : nullptr;
}

}  // namespace

template <typename Dtype>
void NetChains<Dtype>::find(const Net<Dtype>& net) {
  const auto& layers = net.layers();
  chains_.assign(layers.size(), Chain());
  behind_relu_.assign(layers.size(), nullptr);
  is_lost_.assign(layers.size(), false);
  heads_.resize(layers.size());
  std::iota(heads_.begin(), heads_.end(), 0);
  for (size_t i = 0; i < layers.size(); ++i) {
    behind_relu_[i] = find_behind_relu(net, i);
    Chain& chain = chains_[i];
    chain.head = dynamic_cast<TakesFollowers<Dtype>*>(layers[i].get());
    if (chain.head == nullptr || layers[i]->loss(0) != 0) continue;
    for (size_t j = i + 1; j < layers.size() && is_in_place(net, j); ++j) {
      const bool goes_on = is_crossed(net, j) || is_lowest(net, i, j);
      if (!goes_on || layers[j]->loss(0) != 0) break;
      chain.followers.push_back(layers[j].get());
    }
  }
}

template <typename Dtype>
void NetChains<Dtype>::set_taken(int layer, int count) {
  int& taken = chains_[layer].taken;
  heads_[layer + taken] = layer + taken;
  taken = count;
  heads_[layer + taken] = layer;
}

/// The layers of a chain run one by one, as if the last forward pass had not joined them. The
/// blob's values stay: layers behind the chain may have changed them in place. If they were given
/// up, they still are.
template <typename Dtype>
void NetChains<Dtype>::run_again(const Net<Dtype>& net, int layer) {
  Chain& chain = chains_[layer];
  Blob<Dtype>* const blob = net.top_vecs()[layer][0];
  const bool is_given_up = blob->data()->is_given_up();
  Blob<Dtype> values;
  if (!is_given_up) values.CopyFrom(*blob, false, true);
  {
    const Scope again(chain.head);
    const int last = layer + chain.taken;
    for (int i = layer; i <= last; ++i) {
      in_layer_of(net, i, [&] {
        net.layers()[i]->ForwardWithoutLoss(net.bottom_vecs()[i], net.top_vecs()[i]);
      });
    }
  }
  if (is_given_up) {
    blob->data()->give_up();
  } else {
    blob->CopyFrom(values);
  }
  set_taken(layer, 0);
}

template <typename Dtype>
bool NetChains<Dtype>::has_shape(const Net<Dtype>& net, int layer) const {
  return net.bottom_vecs()[layer][0]->shape() == chains_[layer].shape;
}

/// From now on the layers of a chain are as after a forward pass of each by itself. For a chain
/// that cannot run again they are lost: no backward pass until they have run forward. `has_bottom`:
/// the head's bottom is as in the last pass.
template <typename Dtype>
void NetChains<Dtype>::separate(const Net<Dtype>& net, int layer, bool has_bottom) {
  typedef typename TakesFollowers<Dtype>::Gradient Gradient;
  const Chain& chain = chains_[layer];
  const Gradient gradient = chain.head->gradient();
  const int last = layer + chain.taken;
  const bool is_ready = gradient == Gradient::kApart || gradient == Gradient::kEither;
  if (is_ready || !net.layer_need_backward()[last]) return set_taken(layer, 0);
  has_bottom = has_bottom && has_shape(net, layer) && !lacks_bottom(net, layer);
  if (has_bottom && !chain.is_spent) return run_again(net, layer);
  for (int i = layer; i <= last; ++i) is_lost_[i] = !is_plain_relu(*net.layers()[i]);
  set_taken(layer, 0);
}

template <typename Dtype>
void NetChains<Dtype>::begin_forward(const Net<Dtype>& net, int start, int end) {
  is_whole_ = end + 1 == static_cast<int>(chains_.size());
  for (int i = 0; i <= end; ++i) {
    const int last = i + chains_[i].taken;
    if (last == i || last < start || (start <= i && last <= end)) continue;
    // Where a pass begins with the bottom itself, that may be new.
    separate(net, i, start > i || keeps_bottom(net, i, start));
  }
}

template <typename Dtype>
typename NetChains<Dtype>::Scope NetChains<Dtype>::offer(int layer, int end) {
  Chain& chain = chains_[layer];
  is_lost_[layer] = false;
  if (chain.head == nullptr) return Scope(nullptr, {});
  set_taken(layer, 0);
  chain.head->begin_forward(is_whole_);
  const auto count = std::min<std::ptrdiff_t>(chain.followers.size(), std::max(0, end - layer));
  return Scope(chain.head, Followers(chain.followers.begin(), chain.followers.begin() + count));
}

template <typename Dtype>
int NetChains<Dtype>::finish_forward(const Net<Dtype>& net, int layer) {
  const TakesFollowers<Dtype>* const head = chains_[layer].head;
  const int taken = head == nullptr ? 0 : static_cast<int>(head->taken());
  for (int i = layer + 1; i <= layer + taken; ++i) {
    set_taken(i, 0);  // what it took itself in an earlier pass
    is_lost_[i] = false;
    net.layers()[i]->Reshape(net.bottom_vecs()[i], net.top_vecs()[i]);
  }
  if (taken == 0) return 0;
  set_taken(layer, taken);
  chains_[layer].shape = net.bottom_vecs()[layer][0]->shape();
  chains_[layer].is_spent = false;
  return taken;
}

template <typename Dtype>
void NetChains<Dtype>::begin_backward(const Net<Dtype>& net, int start, int end, bool is_watched) {
  typedef typename TakesFollowers<Dtype>::Gradient Gradient;
  for (int i = 0; i <= start; ++i) {
    const int last = i + chains_[i].taken;
    if (last == i || last < end || !net.layer_need_backward()[last]) continue;
    const Gradient gradient = chains_[i].head->gradient();
    const bool is_whole = end <= i && last <= start && !is_watched && has_shape(net, i);
    if (gradient == Gradient::kApart) continue;
    if (gradient == Gradient::kAgain || !is_whole) {
      separate(net, i, true);
    } else {
      chains_[i].is_spent = !net.keeps_all();
    }
  }
  for (int i = end; i <= start; ++i) {
    CAFFE_CHECK(!is_lost_[i] || !net.layer_need_backward()[i],
                net.layers()[i]->name()
                    << "a backward pass needs a forward pass before it: the last one computed this "
                    << "layer together with others, and since then a pass over some of them, or "
                    << "another shape, has replaced what it left; run forward over all layers");
  }
}

template <typename Dtype>
int NetChains<Dtype>::head_of(int last) const {
  typedef typename TakesFollowers<Dtype>::Gradient Gradient;
  const int head = heads_[last];
  if (head == last) return last;
  const Gradient gradient = chains_[head].head->gradient();
  return gradient == Gradient::kTogether || gradient == Gradient::kEither ? head : last;
}

template <typename Dtype>
typename NetChains<Dtype>::Scope NetChains<Dtype>::together(const Net<Dtype>& net, int last) const {
  const int head = head_of(last);
  if (head == last) return Scope(nullptr, {});
  const auto first = chains_[head].followers.begin();
  return Scope(chains_[head].head, Followers(first, first + chains_[head].taken), net.keeps_all());
}

template <typename Dtype>
TakesReluGradient::Offer NetChains<Dtype>::offer_relu(int layer, int end, bool is_watched) const {
  // Not if the layer that took the ReLU computes its gradient.
  const bool may = layer > end && !is_watched && head_of(layer - 1) == layer - 1;
  return TakesReluGradient::Offer(may ? behind_relu_[layer] : nullptr);
}

template class NetChains<float>;
template class NetChains<double>;

}  // namespace caffe
