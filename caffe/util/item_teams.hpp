#ifndef CAFFE_UTIL_ITEM_TEAMS_HPP_
#define CAFFE_UTIL_ITEM_TEAMS_HPP_

// Reductions over the values of an item, for example its scores for all classes: one functor
// f(i, team) for both devices, whose threads take the item's values in turns. For .cu files only
// (kernels/parallel.hpp).

#include "caffe/util/gpu_total.hpp"
#include "caffe/util/parallel.hpp"
#include "kernels/row_teams.hpp"

namespace caffe {

/// For parallel_for: f(i, team) by one thread.
template <typename F>
struct ByOneThread {
  F f;
  CAFFE_HD void operator()(int i) const { f(i, maap::CpuTeam()); }
};

namespace internal {

/// With fewer values, most of a warp would have nothing to do.
constexpr int kFewValues = 32;

/// Terms for gpu_total that need item i computed first.
template <typename Item, typename Terms>
struct ItemAndTerms {
  using Value = typename Terms::Value;
  Item item;
  Terms terms;
  template <typename W>
  CAFFE_HD W first(int k, int i) const {
    item(i, maap::CpuTeam());
    return terms.template first<W>(k, i);
  }
  template <typename W>
  CAFFE_HD W second(int k, int i) const {
    return terms.template second<W>(k, i);
  }
};

}  // namespace internal

/// Calls f(i, team) for each of n items of `length` values, `step` apart. On a GPU, an item whose
/// values are contiguous has a row team (kernels/row_teams.hpp): one thread would read them one
/// after the other, each from another cache line than its neighbour's. Items that lie side by side
/// (step > 1) or have few values get a thread each, and so do all on the CPU. A call processes
/// about `work` elements.
template <typename F>
void parallel_items(int n, int length, int step, int64_t work, const F& f) {
  if (n <= 0) return;
  if (current_device() == Device::kGPU && step == 1 && length >= internal::kFewValues) {
    maap::internal::gpu_row_teams(n, length, f);
  } else {
    parallel_rows(n, work, ByOneThread<F>{f});
  }
}

/// The same if a call processes the item's values once.
template <typename F>
void parallel_items(int n, int length, int step, const F& f) {
  parallel_items(n, length, step, length, f);
}

/// On a GPU: gpu_total of the terms of n items, after item(i, team) for each of them. If the items
/// have few values and are few, the total's kernel, a block for some thousand items, does both.
template <typename Item, typename Terms, typename Store>
void gpu_total_of_items(int n, int length, int step, const Item& item, const Terms& terms,
                        const Store& store) {
  const int64_t values = static_cast<int64_t>(n) * length;
  if (length < internal::kFewValues && values <= internal::kPieceOfTotal) {
    gpu_total(n, internal::ItemAndTerms<Item, Terms>{item, terms}, store);
  } else {
    parallel_items(n, length, step, item);
    gpu_total(n, terms, store);
  }
}

}  // namespace caffe

#endif  // CAFFE_UTIL_ITEM_TEAMS_HPP_
