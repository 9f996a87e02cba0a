#include "caffe/net_memory.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <iomanip>
#include <set>

#include "caffe/layers/needs_gpu_memory.hpp"
#include "caffe/net_liveness.hpp"

namespace caffe {

namespace {

/// Blocks of memory that have been counted.
using Seen = std::set<const SyncedMemory*>;

size_t once(const shared_ptr<SyncedMemory>& block, size_t bytes, Seen* seen) {
  return seen->insert(block.get()).second ? bytes : 0;
}

template <typename Dtype>
size_t bytes_of(const Blob<Dtype>& blob) {
  return sizeof(Dtype) * static_cast<size_t>(blob.count());
}

template <typename Dtype>
LayerMemory memory_of(const Net<Dtype>& net, int i, Seen* seen) {
  Layer<Dtype>& layer = *net.layers()[i];
  LayerMemory row;
  row.layer = net.layer_names()[i] + " (" + layer.type() + ")";
  // A layer that is being set up has no entry there yet.
  const vector<bool>& needs = net.layer_need_backward();
  const bool backward = i >= static_cast<int>(needs.size()) || needs[i];
  for (const Blob<Dtype>* const top : net.top_vecs()[i]) {
    if (!has_memory(*top)) continue;
    row.data += once(top->data(), bytes_of(*top), seen);
    if (backward) row.diff += once(top->diff(), bytes_of(*top), seen);
  }
  for (size_t p = 0; p < layer.blobs().size(); ++p) {
    const Blob<Dtype>& param = *layer.blobs()[p];
    row.params += once(param.data(), bytes_of(param), seen);
    if (layer.param_propagate_down(static_cast<int>(p))) {
      row.params += once(param.diff(), bytes_of(param), seen);
    }
  }
  row.own = own_bytes_of(layer);
  row.workspace = workspace_bytes_of(layer);
  return row;
}

string line(const LayerMemory& row, size_t width) {
  std::ostringstream text;
  text << std::left << std::setw(static_cast<int>(width)) << row.layer << std::right << std::fixed
       << std::setprecision(1);
  for (const size_t bytes : {row.data, row.diff, row.params, row.own, row.workspace}) {
    text << std::setw(11) << static_cast<double>(bytes) / 1e6;
  }
  return text.str();
}

LayerMemory sum(const vector<LayerMemory>& rows) {
  LayerMemory all;
  for (const LayerMemory& row : rows) {
    all.data += row.data;
    all.diff += row.diff;
    all.params += row.params;
    all.own += row.own;
    all.workspace = std::max(all.workspace, row.workspace);
  }
  std::ostringstream name;
  name << "sum: " << (all.total() + all.workspace) / 1000000 << " MB";
  all.layer = name.str();
  return all;
}

/// "blobs 120 MB at a time, 300 MB without sharing memory"
template <typename Dtype>
string blobs_text(const Net<Dtype>& net) {
  const BlobMemory memory = blob_memory(net);
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << "blobs ";
  if (!net.keeps_all()) text << static_cast<double>(memory.most) / 1e6 << " MB at a time, ";
  text << static_cast<double>(memory.all) / 1e6 << " MB without sharing memory";
  return text.str();
}

}  // namespace

template <typename Dtype>
vector<LayerMemory> gpu_memory(const Net<Dtype>& net) {
  Seen seen;
  vector<LayerMemory> rows;
  for (size_t i = 0; i < net.layers().size(); ++i) {
    rows.push_back(memory_of(net, static_cast<int>(i), &seen));
  }
  return rows;
}

template <typename Dtype>
string gpu_memory_table(const Net<Dtype>& net, size_t rows) {
  const vector<LayerMemory> all = gpu_memory(net);
  vector<size_t> sizes;
  for (const LayerMemory& row : all) sizes.push_back(row.total() + row.workspace);
  std::sort(sizes.rbegin(), sizes.rend());
  const size_t smallest = sizes.empty() ? 0 : sizes[std::min(rows, sizes.size()) - 1];
  size_t width = 20, shown = 0;
  for (const LayerMemory& row : all) width = std::max(width, row.layer.size());
  std::ostringstream text;
  text << "GPU memory that net '" << net.name() << "' needs, in MB\n"
       << std::left << std::setw(static_cast<int>(width)) << "layer" << std::right;
  for (const char* const column : {"top data", "top diff", "params", "copies", "workspace"}) {
    text << std::setw(11) << column;
  }
  for (const LayerMemory& row : all) {
    if (row.total() + row.workspace < smallest || shown == rows) continue;
    text << "\n" << line(row, width);
    ++shown;
  }
  if (shown < all.size()) text << "\n" << all.size() - shown << " smaller layers";
  text << "\n" << line(sum(all), width) << "\n(one workspace serves all layers)";
  if (!net.keeps_all()) text << "\n(" << blobs_text(net) << ")";
  return text.str();
}

template <typename Dtype>
string memory_line(const Net<Dtype>& net) {
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  std::ostringstream text;
  text << "Peak memory: " << usage.ru_maxrss * 1024 / 1000000 << " MB resident; "
       << blobs_text(net);
  return text.str();
}

#define INSTANTIATE(Dtype)                                        \
  template vector<LayerMemory> gpu_memory(const Net<Dtype>& net); \
  template string memory_line(const Net<Dtype>& net);             \
  template string gpu_memory_table(const Net<Dtype>& net, size_t rows)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
