#include "caffe/solvers/param_arena.hpp"

#include <algorithm>
#include <climits>
#include <set>

#include "caffe/util/device.hpp"

namespace caffe {

// ---- ArenaTable

template <typename Dtype>
ArenaTable<Dtype>::ArenaTable(std::vector<ArenaSegment<Dtype>> segments, int chunks)
    : segments_(std::move(segments)), chunks_(chunks) {
  segment_of_.reset(new SyncedMemory(sizeof(int) * std::max(chunks, 1)));
  int* const segment_of = static_cast<int*>(segment_of_->mutable_cpu_data());
  int chunk = 0;
  for (size_t i = 0; i < segments_.size(); ++i) {
    const int end = i + 1 < segments_.size() ? segments_[i + 1].begin / kChunk : chunks;
    for (; chunk < end; ++chunk) segment_of[chunk] = static_cast<int>(i);
  }
  upload();
}

template <typename Dtype>
void ArenaTable<Dtype>::upload() {
  const size_t bytes = sizeof(ArenaSegment<Dtype>) * segments_.size();
  if (table_ == nullptr) table_.reset(new SyncedMemory(std::max<size_t>(bytes, 1)));
  std::copy(segments_.begin(), segments_.end(),
            static_cast<ArenaSegment<Dtype>*>(table_->mutable_cpu_data()));
}

template <typename Dtype>
void ArenaTable<Dtype>::set_multipliers(const std::vector<int>& params, const Net<Dtype>& net) {
  bool changed = false;
  for (size_t i = 0; i < params.size(); ++i) {
    const Dtype lr = static_cast<Dtype>(net.params_lr()[params[i]]);
    const Dtype decay = static_cast<Dtype>(net.params_weight_decay()[params[i]]);
    changed = changed || lr != segments_[i].lr || decay != segments_[i].decay;
    segments_[i].lr = lr;
    segments_[i].decay = decay;
  }
  if (changed) upload();
}

template <typename Dtype>
const ArenaSegment<Dtype>* ArenaTable<Dtype>::gpu_segments() const {
  return static_cast<const ArenaSegment<Dtype>*>(table_->gpu_data());
}

template <typename Dtype>
const int* ArenaTable<Dtype>::gpu_segment_of() const {
  return static_cast<const int*>(segment_of_->gpu_data());
}

template <typename Dtype>
std::unique_ptr<ArenaTable<Dtype>> make_arena_table(const std::vector<size_t>& sizes) {
  constexpr size_t kChunk = ArenaTable<Dtype>::kChunk;
  std::vector<ArenaSegment<Dtype>> segments;
  size_t chunks = 0;
  for (const size_t size : sizes) {
    if ((chunks + 1) * kChunk + size > INT_MAX) return nullptr;
    segments.push_back({static_cast<int>(chunks * kChunk), static_cast<int>(size), 0, 0});
    chunks += (size + kChunk - 1) / kChunk;
  }
  return std::make_unique<ArenaTable<Dtype>>(std::move(segments), static_cast<int>(chunks));
}

// ---- ParamArena

/// Moves one array of all parameters to memory of its own, which the blocks own together.
template <typename Dtype>
bool ParamArena<Dtype>::move(const vector<shared_ptr<SyncedMemory>>& memories, Array* array) {
  const size_t bytes = sizeof(Dtype) * ArenaTable<Dtype>::kChunk * table_->chunks();
  const shared_ptr<void> all(device::allocate(std::max<size_t>(bytes, 1)), device::release);
  device::fill_zero(all.get(), bytes);
  for (size_t i = 0; i < memories.size(); ++i) {
    const shared_ptr<void> place(all, static_cast<Dtype*>(all.get()) + table_->segments()[i].begin);
    if (!memories[i]->move_on_gpu(place)) return false;
    array->push_back({memories[i], place});
  }
  return true;
}

template <typename Dtype>
std::unique_ptr<ParamArena<Dtype>> ParamArena<Dtype>::make(const Net<Dtype>& net,
                                                           const Histories& history,
                                                           const vector<int>& params) {
  const size_t all = net.learnable_params().size();
  vector<size_t> sizes;
  vector<vector<shared_ptr<SyncedMemory>>> arrays(2 + history.size() / all);
  std::set<SyncedMemory*> seen;
  for (const int i : params) {
    const Blob<Dtype>& param = *net.learnable_params()[i];
    sizes.push_back(param.count());
    arrays[0].push_back(param.data());
    arrays[1].push_back(param.diff());
    for (size_t k = 2; k < arrays.size(); ++k) {
      arrays[k].push_back(history[(k - 2) * all + i]->data());
    }
    for (const auto& array : arrays) {
      const bool fits = array.back()->size() == sizeof(Dtype) * param.count();
      if (!fits || param.count() == 0 || !seen.insert(array.back().get()).second) return nullptr;
    }
  }
  std::unique_ptr<ParamArena> arena(new ParamArena);
  arena->params_ = params;
  arena->table_ = make_arena_table<Dtype>(sizes);
  if (arena->table_ == nullptr || params.empty()) return nullptr;
  arena->histories_.resize(arrays.size() - 2);
  for (size_t k = 0; k < arrays.size(); ++k) {
    Array* const array = k == 0   ? &arena->data_
                         : k == 1 ? &arena->diff_
                                  : &arena->histories_[k - 2];
    if (!arena->move(arrays[k], array)) return nullptr;
  }
  return arena;
}

template <typename Dtype>
bool ParamArena<Dtype>::take(const Net<Dtype>& net, const Histories& history,
                             ArenaView<Dtype>* view) {
  const size_t all = net.learnable_params().size();
  for (size_t i = 0; i < params_.size(); ++i) {
    Blob<Dtype>& param = *net.learnable_params()[params_[i]];
    bool here = param.count() == table_->segments()[i].count;
    // These bring the values to the GPU if they are elsewhere.
    param.mutable_gpu_data();
    param.mutable_gpu_diff();
    here = here && data_[i].holds(param.data()) && diff_[i].holds(param.diff());
    for (size_t k = 0; k < histories_.size(); ++k) {
      Blob<Dtype>& one = *history[k * all + params_[i]];
      one.mutable_gpu_data();
      here = here && histories_[k][i].holds(one.data());
    }
    if (!here) return false;
  }
  table_->set_multipliers(params_, net);
  const auto first = [](const Array& array) {
    return static_cast<Dtype*>(array[0].place.lock().get());
  };
  *view = {table_.get(), first(data_), first(diff_), first(histories_[0]),
           histories_.size() > 1 ? first(histories_[1]) : nullptr};
  return true;
}

template <typename Dtype>
bool ParamArena<Dtype>::clear_diffs(const Net<Dtype>& net) {
  bool here = true;
  for (size_t i = 0; i < params_.size(); ++i) {
    const shared_ptr<SyncedMemory>& diff = net.learnable_params()[params_[i]]->diff();
    // This takes a block out of the arena if the thread is on another GPU now.
    if (diff->head() != SyncedMemory::UNINITIALIZED) diff->mutable_gpu_data();
    here = here && diff_[i].holds(diff);
  }
  if (!here) return false;
  void* const all = diff_[0].place.lock().get();
  const std::shared_ptr<GpuUsage> usage = device::usage_of(all);
  if (!device::is_here(*usage)) return false;  // nobody has used a gradient yet
  device::before_writing(usage.get());
  device::fill_zero(all, sizeof(Dtype) * ArenaTable<Dtype>::kChunk * table_->chunks());
  return true;
}

template <typename Dtype>
size_t ParamArena<Dtype>::gradient_room(const Net<Dtype>& net, int param) const {
  const auto found = std::lower_bound(params_.begin(), params_.end(), param);
  if (found == params_.end() || *found != param) return 0;
  const size_t i = static_cast<size_t>(found - params_.begin());
  if (!diff_[i].holds(net.learnable_params()[param]->diff())) return 0;
  const auto& segments = table_->segments();
  const int end = i + 1 < segments.size() ? segments[i + 1].begin
                                          : ArenaTable<Dtype>::kChunk * table_->chunks();
  return static_cast<size_t>(end - segments[i].begin);
}

#define INSTANTIATE(T)          \
  template class ArenaTable<T>; \
  template class ParamArena<T>; \
  template std::unique_ptr<ArenaTable<T>> make_arena_table<T>(const std::vector<size_t>&)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
