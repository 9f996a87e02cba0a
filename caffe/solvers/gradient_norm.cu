#include "caffe/solvers/gradient_norm.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/util/gpu_total.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

/// The sum of a chunk's squares. What follows the last value of a parameter is not read.
template <typename T>
struct ChunkSquares {
  static constexpr int kChunk = ArenaTable<T>::kChunk;
  int count;              // of values, without segments
  const int* segment_of;  // [chunks], null without segments
  const ArenaSegment<T>* segments;
  const T* g;
  T* sums;  // [chunks]
  template <typename Team>
  CAFFE_HD void operator()(int chunk, const Team& team) const {
    int end = count;
    if (segment_of != nullptr) {
      const ArenaSegment<T> segment = segments[segment_of[chunk]];
      end = segment.begin + segment.count;
    }
    T sum = T(0);
    for (int k = team.rank(); k < kChunk; k += Team::size()) {
      const int i = chunk * kChunk + k;
      if (i < end) sum += g[i] * g[i];
    }
    sum = team.sum(sum);
    if (team.rank() == 0) sums[chunk] = sum;
  }
};

template <typename T>
struct ParamSquares {
  const ArenaSegment<T>* segments;
  const T* chunks;
  GpuSum<T>* sums;  // [parameters]
  template <typename Team>
  CAFFE_HD void operator()(int param, const Team& team) const {
    constexpr int kChunk = ArenaTable<T>::kChunk;
    const int begin = segments[param].begin / kChunk;
    const int end = begin + (segments[param].count + kChunk - 1) / kChunk;
    GpuSum<T> sum = {};
    for (int k = begin + team.rank(); k < end; k += Team::size()) sum.add(chunks[k]);
    sum = team.sum(sum);
    if (team.rank() == 0) sums[param] = sum;
  }
};

template <typename T>
struct Clip {
  int params;
  const GpuSum<T>* sums;
  T most;
  const T* unscale;  // null: 1
  Clipping<T>* result;
  CAFFE_HD void operator()(int) const {
    GpuSum<T> sum = {};
    for (int i = 0; i < params; ++i) sum = sum + sums[i];
    const T by = unscale != nullptr ? *unscale : T(1);
    const T norm = std::sqrt(internal::rounded(sum)) * by;
    const T factor = norm > most ? most / norm : T(1);
    result->norm = norm;
    result->factor = factor;
    result->all = factor * by;
  }
};

}  // namespace

template <typename Dtype>
Dtype* GradientNorm<Dtype>::chunk_sums(const ArenaTable<Dtype>& table) {
  chunks_.Reshape({std::max(table.chunks(), 1)});
  return chunks_.mutable_gpu_data();
}

template <typename Dtype>
void GradientNorm<Dtype>::measure(const ArenaView<Dtype>& arena, Dtype most, const Dtype* unscale,
                                  Clipping<Dtype>* result) {
  maap::internal::gpu_tiles(
      arena.table->chunks(),
      ChunkSquares<Dtype>{0, arena.table->gpu_segment_of(), arena.table->gpu_segments(), arena.diff,
                          chunk_sums(*arena.table)});
  add_up(*arena.table, most, unscale, result);
}

template <typename Dtype>
void GradientNorm<Dtype>::measure(const Net<Dtype>& net, Dtype most, const Dtype* unscale,
                                  Clipping<Dtype>* result) {
  std::vector<size_t> sizes;
  for (const Blob<Dtype>* param : net.learnable_params()) sizes.push_back(param->count());
  if (table_ == nullptr || sizes != sizes_) {
    table_ = make_arena_table<Dtype>(sizes);
    CAFFE_CHECK(table_ != nullptr, "clip_gradients on a GPU: the net has too many parameters");
    sizes_ = sizes;
  }
  Dtype* const sums = chunk_sums(*table_);
  caffe_gpu_set(chunks_.count(), Dtype(0), sums);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const Blob<Dtype>& param = *net.learnable_params()[i];
    if (param.diff()->head() == SyncedMemory::UNINITIALIZED || sizes[i] == 0) continue;
    constexpr int kChunk = ArenaTable<Dtype>::kChunk;
    const int chunks = static_cast<int>((sizes[i] + kChunk - 1) / kChunk);
    maap::internal::gpu_tiles(chunks,
                              ChunkSquares<Dtype>{param.count(), nullptr, nullptr, param.gpu_diff(),
                                                  sums + table_->segments()[i].begin / kChunk});
  }
  add_up(*table_, most, unscale, result);
}

template <typename Dtype>
void GradientNorm<Dtype>::add_up(const ArenaTable<Dtype>& table, Dtype most, const Dtype* unscale,
                                 Clipping<Dtype>* result) {
  const int params = static_cast<int>(table.segments().size());
  params_.Reshape({std::max(params, 1)});
  GpuSum<Dtype>* const sums = reinterpret_cast<GpuSum<Dtype>*>(params_.mutable_gpu_data());
  if (params > 0) {
    maap::internal::gpu_tiles(params,
                              ParamSquares<Dtype>{table.gpu_segments(), chunks_.gpu_data(), sums});
  }
  parallel_for(Device::kGPU, 1, Clip<Dtype>{params, sums, most, unscale, result});
}

template class GradientNorm<float>;
template class GradientNorm<double>;

}  // namespace caffe
