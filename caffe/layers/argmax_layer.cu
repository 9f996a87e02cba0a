#include "caffe/layers/argmax_layer.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "caffe/layers/axis.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/util/item_teams.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// Whether value a at index i comes before value b at index j: the larger first, NaN as the
/// largest; among equal values the later index.
template <typename T>
CAFFE_HD bool comes_before(T a, int i, T b, int j) {
  const bool a_is_nan = a != a, b_is_nan = b != b;
  if (a_is_nan || b_is_nan) return a_is_nan && b_is_nan ? i > j : a_is_nan;
  return a > b || (a == b && i > j);
}

/// The first in order of what a team's threads have found, each index `best` or -1.
template <typename T, typename Team>
CAFFE_HD int first_of_team(const Team& team, const T* from, int stride, int best) {
  const T value = best < 0 ? T(0) : from[best * stride];
  const int kind = best < 0 ? 0 : value != value ? 2 : 1;
  const int first = team.max(kind);
  const T largest = team.max(kind == 1 ? value : T(-INFINITY));
  return team.max(kind == first && (kind == 2 || value == largest) ? best : -1);
}
template <typename T>
CAFFE_HD int first_of_team(const maap::CpuTeam&, const T*, int, int best) {
  return best;
}

/// One row: `length` values, `stride` apart, of which the first `k` in order are written.
template <typename T>
struct FirstInOrder {
  static constexpr int kLeastBlocks = 1;  // spills otherwise
  int length, stride, k;
  const T* x;   // [rows / stride, length, stride]
  T* places;    // null, or the values of row 0
  T* values;    // null, or the values of row 0
  int top_row;  // values of the top for each of rows / stride
  template <typename Team>
  CAFFE_HD void operator()(int row, const Team& team) const {
    const int outer = row / stride, inner = row % stride;
    const T* const from = x + outer * length * stride + inner;
    int last = -1;
    for (int rank = 0; rank < k; ++rank) {
      int best = -1;
      for (int i = team.rank(); i < length; i += team.size()) {
        const T value = from[i * stride];
        if (last >= 0 && !comes_before(from[last * stride], last, value, i)) continue;
        if (best < 0 || comes_before(value, i, from[best * stride], best)) best = i;
      }
      last = first_of_team(team, from, stride, best);
      if (team.rank() != 0) continue;
      const int to = outer * top_row + rank * stride + inner;
      if (places != nullptr) places[to] = static_cast<T>(last);
      if (values != nullptr) values[to] = from[last * stride];
    }
  }
};

/// The first in order of each of up to kWide neighbouring rows. Processing the rows side by side,
/// the CPU reads memory in order and uses vectors, which takes a tenth of the time.
template <typename T>
struct FirstOfNeighbours {
  static constexpr int kWide = 64;
  int length, stride;
  const T* x;  // [outer, length, stride]
  T* places;   // [outer, stride] or null
  T* values;   // [outer, stride] or null
  CAFFE_HD void operator()(int piece) const {
    const int pieces = (stride + kWide - 1) / kWide;
    const int outer = piece / pieces, begin = piece % pieces * kWide;
    const int width = stride - begin < kWide ? stride - begin : kWide;
    const T* from = x + outer * length * stride + begin;
    T best[kWide], place[kWide];
    for (int j = 0; j < width; ++j) {
      best[j] = from[j];
      place[j] = T(0);
    }
    for (int i = 1; i < length; ++i) {
      from += stride;
      MAAP_SIMD for (int j = 0; j < width; ++j) {
        const bool take = from[j] >= best[j] || from[j] != from[j];
        best[j] = take ? from[j] : best[j];
        place[j] = take ? static_cast<T>(i) : place[j];
      }
    }
    const int to = outer * stride + begin;
    for (int j = 0; j < width; ++j) {
      if (places != nullptr) places[to + j] = place[j];
      if (values != nullptr) values[to + j] = best[j];
    }
  }
};

}  // namespace

template <typename Dtype>
void ArgMaxLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(bottom[0]->num_axes() >= 1, this->name() << "the bottom is a single number");
}

template <typename Dtype>
void ArgMaxLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const ArgMaxParameter& param = this->layer_param_.argmax_param();
  std::vector<int> shape;
  if (param.has_axis()) {
    shape = bottom[0]->shape();
    axis_ = axis_of(*this, *bottom[0], param.axis());
    length_ = shape[axis_];
  } else {
    shape.assign(std::max(bottom[0]->num_axes(), 3), 1);
    shape[0] = bottom[0]->shape(0);
    shape[1] = param.out_max_val() ? 2 : 1;
    axis_ = 2;
    length_ = bottom[0]->count(1);
  }
  CAFFE_CHECK(param.top_k() >= 1 && param.top_k() <= static_cast<uint32_t>(length_),
              this->name() << "top_k is " << param.top_k() << ", out of " << length_
                           << " values (bottom of shape " << bottom[0]->shape_string() << ")");
  shape[axis_] = static_cast<int>(param.top_k());
  top[0]->Reshape(shape);
}

template <typename Dtype>
void ArgMaxLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const ArgMaxParameter& param = this->layer_param_.argmax_param();
  const int k = static_cast<int>(param.top_k());
  const Dtype* const x = bottom[0]->active_data();
  Dtype* const y = top[0]->mutable_active_data();
  FirstInOrder<Dtype> task = {length_, 1, k, x, y, nullptr, top[0]->count(1)};
  if (!param.has_axis()) {
    if (param.out_max_val()) task.values = y + k;
  } else {
    task.stride = bottom[0]->count(axis_ + 1);
    task.top_row = k * task.stride;
    if (param.out_max_val()) std::swap(task.places, task.values);
  }
  const int rows = bottom[0]->count() / length_;
  if (task.stride > 1 && k == 1) {
    typedef FirstOfNeighbours<Dtype> Wide;
    const int pieces = (task.stride + Wide::kWide - 1) / Wide::kWide;
    parallel_for(current_device(), rows / task.stride * pieces, Wide::kWide * length_,
                 Wide{length_, task.stride, x, task.places, task.values}, rows,
                 ByOneThread<FirstInOrder<Dtype>>{task});
  } else {
    parallel_items(rows, length_, task.stride, static_cast<int64_t>(length_) * k, task);
  }
}

template <typename Dtype>
void ArgMaxLayer<Dtype>::Backward_any(const Blobs&, const std::vector<bool>& propagate_down,
                                      const Blobs&) {
  CAFFE_CHECK(!propagate_down[0], this->name() << "indices have no gradient: give the layer "
                                               << "propagate_down: false");
}

INSTANTIATE_CLASS(ArgMaxLayer);
REGISTER_LAYER_CLASS(ArgMax);

}  // namespace caffe
