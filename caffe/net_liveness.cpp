#include "caffe/net_liveness.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <set>

#include "caffe/layers/backward_reads.hpp"
#include "caffe/layers/recurrent_layer.hpp"

namespace caffe {

namespace {

/// The library that holds an address.
const void* library_of(const void* address) {
  Dl_info info;
  return dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

/// Whether the layer is the engine's own, and its tops are functions of its bottoms and learnt
/// values.
template <typename Dtype>
bool is_known(const Layer<Dtype>& layer) {
  return is_engines_own(layer) && dynamic_cast<const RecurrentLayer<Dtype>*>(&layer) == nullptr;
}

/// [layer] Whether its backward pass may need its blobs: it runs, or that of a layer in place
/// behind it does, with which the net may have joined it (caffe/net_chains.hpp).
template <typename Dtype>
std::vector<bool> layers_of_backward(const Net<Dtype>& net) {
  std::vector<bool> runs = net.layer_need_backward();
  for (size_t i = runs.size(); i-- > 1;) {
    if (runs[i] && net.top_vecs()[i] == net.top_vecs()[i - 1]) runs[i - 1] = true;
  }
  return runs;
}

/// use(blob, whether the layer's Backward reads its values) for each bottom and top of a layer.
template <typename Dtype, typename Use>
void for_each_blob(const Net<Dtype>& net, int layer, const Use& use) {
  const BackwardReads reads(*net.layers()[layer], net.bottom_vecs()[layer], net.top_vecs()[layer]);
  const vector<int>& bottoms = net.bottom_ids(layer);
  for (const int blob : net.top_ids(layer)) use(blob, reads.top());
  for (size_t b = 0; b < bottoms.size(); ++b) use(bottoms[b], reads.bottom(b));
}

}  // namespace

template <typename Dtype>
bool is_engines_own(const Layer<Dtype>& layer) {
  static const void* const engine = library_of(reinterpret_cast<const void*>(&library_of));
  const void* const methods = *reinterpret_cast<const void* const*>(&layer);
  return library_of(methods) == engine && string(layer.type()) != "Python";
}

/// One block of memory.
template <typename Dtype>
struct Liveness<Dtype>::Use {
  Block block = {nullptr, false, nullptr, 0};
  bool stays = false;
  bool written = false;                      // a gradient: by a layer
  int first = INT_MAX, last = -1;            // layers that have it as bottom or top
  int first_back = INT_MAX, last_back = -1;  // of these, those whose Backward reads or writes it
  size_t bytes = 0;

  void touch(int layer, bool backward, bool keep);
};

template <typename Dtype>
bool Liveness<Dtype>::runs_backward(const Net<Dtype>& net) {
  if (net.phase() == TRAIN) return true;
  for (size_t i = 0; i < net.layers().size(); ++i) {  // a source has no other reason
    if (net.bottom_vecs()[i].empty() && net.layers()[i]->blobs().empty()) {
      return net.layer_need_backward()[i];
    }
  }
  return false;
}

template <typename Dtype>
typename Liveness<Dtype>::Seen Liveness<Dtype>::blocks_of(const Net<Dtype>& net) const {
  Seen blocks;
  blocks.reserve(2 * net.blobs().size());
  for (const auto& blob : net.blobs()) {
    const bool has = has_memory(*blob);
    for (const bool diff : {false, true}) {
      const SyncedMemory* const memory = has ? (diff ? blob->diff() : blob->data()).get() : nullptr;
      const long holders = has ? (diff ? blob->diff() : blob->data()).use_count() : 0;
      blocks.push_back({blob.get(), diff, memory, holders});
    }
  }
  return blocks;
}

template <typename Dtype>
void Liveness<Dtype>::prepare(const Net<Dtype>& net) {
  Seen now = blocks_of(net);
  const bool same = std::equal(now.begin(), now.end(), seen_.begin(), seen_.end(),
                               [](const Block& a, const Block& b) {
                                 return a.memory == b.memory && a.holders == b.holders;
                               });
  if (same) return;
  seen_ = std::move(now);
  plan(net);
}

template <typename Dtype>
void Liveness<Dtype>::plan(const Net<Dtype>& net) {
  const int layers = static_cast<int>(net.layers().size());
  const bool backward = runs_backward(net);
  Uses uses;
  const auto use_of = [&](int blob, bool diff) { return &uses[seen_[2 * blob + diff].memory]; };
  uses[nullptr].stays = true;
  const std::vector<bool> runs = layers_of_backward(net);
  for (const auto& param : net.params()) {
    uses[param->data().get()].stays = uses[param->diff().get()].stays = true;
  }
  for (size_t b = 0; b < net.blobs().size(); ++b) {
    for (const bool diff : {false, true}) {
      Use* const use = use_of(static_cast<int>(b), diff);
      use->block = seen_[2 * b + diff];
      use->stays = use->stays || net.is_kept(static_cast<int>(b)) ||
                   (diff && net.blob_loss_weights()[b] != 0);
      use->bytes =
          std::max(use->bytes, sizeof(Dtype) * static_cast<size_t>(net.blobs()[b]->count()));
    }
  }
  for (int i = 0; i < layers; ++i) {
    const bool back = backward && runs[i];
    const bool stays = net.bottom_vecs()[i].empty() || !is_known(*net.layers()[i]);
    for_each_blob(net, i, [&](int blob, bool backward_reads) {
      use_of(blob, false)->touch(i, back && backward_reads, stays);
      use_of(blob, true)->touch(i, back, stays);
    });
    for (size_t b = 0; back && b < net.bottom_ids(i).size(); ++b) {
      Use* const diff = use_of(net.bottom_ids(i)[b], true);
      diff->written = diff->written || net.bottom_need_backward()[i][b];
    }
  }
  uses.erase(nullptr);
  after_forward_.assign(layers, {});
  after_backward_.assign(layers, {});
  for (const auto& entry : uses) {
    const Use& use = entry.second;
    if (use.stays || use.block.blob == nullptr || (use.block.diff && !use.written)) continue;
    if (use.first_back <= use.last_back) {
      after_backward_[use.first_back].push_back(use.block);
    } else if (use.last >= 0 && !use.block.diff) {
      after_forward_[use.last].push_back(use.block);
    }
  }
  memory_ = simulate(uses, layers);
}

template <typename Dtype>
void Liveness<Dtype>::Use::touch(int layer, bool backward, bool keep) {
  stays = stays || keep;
  first = std::min(first, layer);
  last = std::max(last, layer);
  if (!backward) return;
  first_back = std::min(first_back, layer);
  last_back = std::max(last_back, layer);
}

/// A training step, or a forward pass, from the first layer that has a block to its release.
template <typename Dtype>
BlobMemory Liveness<Dtype>::simulate(const Uses& uses, int layers) {
  // Times: the forward pass of layer i is i, its backward pass 2 layers - 1 - i.
  std::vector<size_t> made(2 * layers + 1, 0), freed(2 * layers + 1, 0);
  BlobMemory memory;
  for (const auto& entry : uses) {
    const Use& use = entry.second;
    if (use.block.blob == nullptr || use.last < 0 || (use.block.diff && !use.written)) continue;
    const bool runs_back = use.first_back <= use.last_back;
    const int end = runs_back ? 2 * layers - 1 - use.first_back : use.last;
    made[use.block.diff ? 2 * layers - 1 - use.last_back : use.first] += use.bytes;
    freed[use.stays ? 2 * layers : end] += use.bytes;
    memory.all += use.bytes;
  }
  size_t now = 0;
  for (int time = 0; time < 2 * layers; ++time) {
    now += made[time];
    memory.most = std::max(memory.most, now);
    now -= freed[time];
  }
  return memory;
}

/// A block that another blob shares since prepare(), or that the blob has no more, is left alone.
template <typename Dtype>
void Liveness<Dtype>::release(const Blocks& blocks, int layer) const {
  if (blocks.empty()) return;
  for (const Block& block : blocks[layer]) {
    const shared_ptr<SyncedMemory>& memory = block.diff ? block.blob->diff() : block.blob->data();
    if (memory.get() == block.memory && memory.use_count() == block.holders) memory->give_up();
  }
}

// ---- what a pass finds given up

namespace {

/// Throws if a layer's blob has no values.
template <typename Dtype>
void check_has_values(const Net<Dtype>& net, int layer, int blob, const char* help) {
  const Blob<Dtype>& values = *net.blobs()[blob];
  if (!has_memory(values) || !values.data()->is_given_up()) return;
  CAFFE_FAIL("net '" << net.name() << "': layer '" << net.layer_names()[layer] << "' reads blob '"
                     << net.blob_names()[blob]
                     << "', whose values were given up after the last layer that reads them: "
                     << help << " Net::KeepOnly (in Python: net.keep_only)");
}

}  // namespace

template <typename Dtype>
void check_forward_has_values(const Net<Dtype>& net, int start, int end) {
  if (net.keeps_all() || start == 0) return;
  std::set<int> made;
  for (int i = start; i <= end; ++i) {
    for (const int blob : net.bottom_ids(i)) {
      if (made.count(blob) > 0) continue;
      check_has_values(net, i, blob, "begin with an earlier layer, or name the blob in");
    }
    made.insert(net.top_ids(i).begin(), net.top_ids(i).end());
  }
}

template <typename Dtype>
void check_backward_has_values(const Net<Dtype>& net, int start, int end) {
  if (net.keeps_all()) return;
  const bool backward = Liveness<Dtype>::runs_backward(net);
  for (int i = start; i >= end; --i) {
    if (!net.layer_need_backward()[i]) continue;
    CAFFE_CHECK(backward, "net '" << net.name()
                                  << "' cannot run backward: after Net::KeepOnly (in Python: "
                                     "net.keep_only) a net in phase TEST keeps nothing for it, "
                                     "unless its prototxt says force_backward: true");
    for_each_blob(net, i, [&](int blob, bool backward_reads) {
      if (backward_reads) check_has_values(net, i, blob, "run forward again before backward; see");
    });
  }
}

template <typename Dtype>
BlobMemory blob_memory(const Net<Dtype>& net) {
  Liveness<Dtype> liveness;
  liveness.prepare(net);
  return liveness.memory();
}

#define INSTANTIATE(Dtype)                                                  \
  template class Liveness<Dtype>;                                           \
  template void check_forward_has_values(const Net<Dtype>& net, int, int);  \
  template void check_backward_has_values(const Net<Dtype>& net, int, int); \
  template BlobMemory blob_memory(const Net<Dtype>& net)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
