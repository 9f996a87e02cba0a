#include "caffe/util/row_index.hpp"

#include <algorithm>
#include <numeric>

#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct TakeRow {
  int length;
  const int* index;
  const T* x;  // [any, length]
  T* y;        // [indices, length]
  CAFFE_HD void operator()(int row, int i) const {
    y[i] = x[static_cast<int64_t>(index[row] - row) * length + i];
  }
};

template <typename T>
struct AddRows {
  int length;
  const int* rows;   // [groups]
  const int* begin;  // [groups + 1]
  const int* order;  // [indices]
  const T* y;        // [indices, length]
  T* x;              // [any, length]
  CAFFE_HD void operator()(int group, int i) const {
    const int at = i - group * length;
    T* const to = x + static_cast<int64_t>(rows[group]) * length + at;
    T sum = *to;
    for (int k = begin[group]; k < begin[group + 1]; ++k) {
      sum += y[static_cast<int64_t>(order[k]) * length + at];
    }
    *to = sum;
  }
};

void copy_to(const std::vector<int>& from, Blob<int>* to) {
  to->Reshape(std::vector<int>{static_cast<int>(from.size())});
  std::copy(from.begin(), from.end(), to->mutable_cpu_data());
}

}  // namespace

void RowIndex::set(const std::vector<int>& index) {
  copy_to(index, &index_);
  grouped_ = false;
}

void RowIndex::group() {
  if (grouped_) return;
  const int* const index = index_.cpu_data();
  std::vector<int> order(size()), rows, begin;
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [=](int a, int b) { return index[a] < index[b]; });
  for (int k = 0; k < size(); ++k) {
    if (k > 0 && index[order[k]] == index[order[k - 1]]) continue;
    rows.push_back(index[order[k]]);
    begin.push_back(k);
  }
  begin.push_back(size());
  copy_to(order, &order_);
  copy_to(rows, &rows_);
  copy_to(begin, &begin_);
  grouped_ = true;
}

template <typename Dtype>
void RowIndex::take(int length, const Dtype* x, Dtype* y) const {
  if (size() == 0) return;
  parallel_planes(size(), length, TakeRow<Dtype>{length, index_.active_data(), x, y});
}

template <typename Dtype>
void RowIndex::add_back(int length, const Dtype* y, Dtype* x) {
  if (size() == 0) return;
  group();
  parallel_planes(rows_.count(), length,
                  AddRows<Dtype>{length, rows_.active_data(), begin_.active_data(),
                                 order_.active_data(), y, x});
}

template void RowIndex::take<float>(int, const float*, float*) const;
template void RowIndex::take<double>(int, const double*, double*) const;
template void RowIndex::add_back<float>(int, const float*, float*);
template void RowIndex::add_back<double>(int, const double*, double*);

}  // namespace caffe
