#include "caffe/util/value_order.hpp"

#include <atomic>
#include <cstdlib>
#include <string>

#include "caffe/util/device.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/reorder_count.hpp"
#include "kernels/half.hpp"
#include "kernels/tiles.hpp"

namespace caffe {

namespace {

constexpr int kSide = 32;
/// Matrices with fewer rows or columns than this are transposed without tiles.
constexpr int kThin = 8;

template <typename T, bool kAdd>
struct Store {
  T* to;
  template <typename From>
  CAFFE_HD void operator()(int64_t i, From stored) const {
    const maap::Computed<From> value = stored;
    to[i] = kAdd ? T(to[i] + value) : T(value);
  }
};

/// One tile of [count, rows, columns] to [count, columns, rows]. Rows of a tile are read, and rows
/// of its result written, by neighbouring threads. Exclusive or spreads the values of a column over
/// the banks of the scratch memory.
template <typename T, typename To, bool kAdd>
struct TransposeTile {
  int rows, columns;
  const T* from;
  Store<To, kAdd> store;
  template <typename Team>
  CAFFE_HD void operator()(int i, const Team& team) const {
    static_assert(sizeof(T) * kSide * kSide <= maap::kTeamScratch, "the tile must fit");
    T* const tile = static_cast<T*>(team.scratch());
    const int across = (columns + kSide - 1) / kSide, down = (rows + kSide - 1) / kSide;
    const int64_t matrix = static_cast<int64_t>(i / across / down) * rows * columns;
    const int row = i / across % down * kSide, column = i % across * kSide;
    for (int k = team.rank(); k < kSide * kSide; k += Team::size()) {
      const int r = k / kSide, c = k % kSide;
      if (row + r < rows && column + c < columns) {
        tile[r * kSide + (c ^ r)] =
            from[matrix + static_cast<int64_t>(row + r) * columns + column + c];
      }
    }
    team.sync();
    for (int k = team.rank(); k < kSide * kSide; k += Team::size()) {
      const int c = k / kSide, r = k % kSide;
      if (row + r < rows && column + c < columns) {
        store(matrix + static_cast<int64_t>(column + c) * rows + row + r,
              tile[r * kSide + (c ^ r)]);
      }
    }
  }
};

/// The same for few rows or few columns: thread i takes a column, or with kRow a row.
template <typename T, typename To, bool kAdd, bool kRow>
struct TransposeLine {
  int rows, columns;
  const T* from;
  Store<To, kAdd> store;
  CAFFE_HD void operator()(int i) const {
    const int lines = kRow ? rows : columns, length = kRow ? columns : rows;
    const int64_t matrix = static_cast<int64_t>(i / lines) * rows * columns;
    const int line = i % lines;
    for (int k = 0; k < length; ++k) {
      const int r = kRow ? line : k, c = kRow ? k : line;
      store(matrix + static_cast<int64_t>(c) * rows + r,
            from[matrix + static_cast<int64_t>(r) * columns + c]);
    }
  }
};

template <bool kAdd, typename T, typename To>
void transpose(int count, int rows, int columns, const T* from, To* to) {
  const Store<To, kAdd> store{to};
  if (static_cast<int64_t>(count) * rows * columns == 0) return;
  if (rows < kThin) {
    maap::parallel_for(Device::kGPU, static_cast<int64_t>(count) * columns,
                       TransposeLine<T, To, kAdd, false>{rows, columns, from, store});
  } else if (columns < kThin) {
    maap::parallel_for(Device::kGPU, static_cast<int64_t>(count) * rows,
                       TransposeLine<T, To, kAdd, true>{rows, columns, from, store});
  } else {
    const int tiles = ((rows + kSide - 1) / kSide) * ((columns + kSide - 1) / kSide);
    maap::internal::gpu_tiles(count * tiles,
                              TransposeTile<T, To, kAdd>{rows, columns, from, store});
  }
}

template <typename From, typename To>
void to_last(const vector<int>& shape, const From* from, To* to) {
  const ChannelShape cut = channels_of(Order::kNchw, shape);
  transpose<false>(cut.outer, cut.channels, cut.inner, from, to);
}

template <typename From, typename To>
void from_last(const vector<int>& shape, const From* from, To* to, bool add) {
  const ChannelShape cut = channels_of(Order::kNchw, shape);
  (add ? transpose<true, From, To> : transpose<false, From, To>)(cut.outer, cut.inner, cut.channels,
                                                                 from, to);
}

std::atomic<int> chosen{-1};

Order order_from_environment() {
  const char* const value = std::getenv("CAFFE_GPU_LAYOUT");
  const std::string name = value == nullptr ? "NCHW" : value;
  CAFFE_CHECK(name == "NCHW" || name == "NHWC",
              "CAFFE_GPU_LAYOUT is '" << name << "': set it to NCHW or NHWC, or leave it out");
  return name == "NHWC" ? Order::kNhwc : Order::kNchw;
}

}  // namespace

Order gpu_order() {
  int order = chosen.load(std::memory_order_relaxed);
  if (order < 0) {
    order = static_cast<int>(order_from_environment());
    chosen.store(order, std::memory_order_relaxed);
  }
  return static_cast<Order>(order);
}

void set_gpu_order(Order order) {
  chosen.store(static_cast<int>(order), std::memory_order_relaxed);
}

ChannelShape channels_of(Order order, const vector<int>& shape) {
  ChannelShape result = {shape[0], shape[1], 1};
  int& pixels = order == Order::kNhwc ? result.outer : result.inner;
  for (size_t axis = 2; axis < shape.size(); ++axis) pixels *= shape[axis];
  return result;
}

bool is_order_free(const vector<int>& shape) {
  if (shape.size() < 3) return true;
  const ChannelShape cut = channels_of(Order::kNchw, shape);
  return cut.channels <= 1 || cut.inner <= 1;
}

vector<int64_t> strides_of(Order order, const vector<int>& shape) {
  vector<int64_t> strides(shape.size(), 1);
  const bool last = order == Order::kNhwc && shape.size() > 2;
  int64_t step = last ? shape[1] : 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    if (last && axis == 1) continue;
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

template <typename Dtype>
void nchw_to_nhwc(const vector<int>& shape, const Dtype* from, Dtype* to) {
  to_last(shape, from, to);
}

template <typename Dtype>
void nhwc_to_nchw(const vector<int>& shape, const Dtype* from, Dtype* to, bool add) {
  from_last(shape, from, to, add);
}

void nchw_to_half(const vector<int>& shape, const float* from, ValueType type, void* to) {
  if (type == ValueType::kFloat16) return to_last(shape, from, static_cast<Float16*>(to));
  to_last(shape, from, static_cast<Bfloat16*>(to));
}

void half_to_nchw(const vector<int>& shape, ValueType type, const void* from, float* to, bool add) {
  if (type == ValueType::kFloat16) {
    return from_last(shape, static_cast<const Float16*>(from), to, add);
  }
  from_last(shape, static_cast<const Bfloat16*>(from), to, add);
}

// ---- the copy

namespace {

size_t bytes_of(const vector<int>& shape, ValueType type) {
  size_t result = size_of(type);
  for (const int length : shape) result *= static_cast<size_t>(length);
  return result;
}

}  // namespace

NhwcCopy::NhwcCopy(const vector<int>& shape, ValueType type) {
  reshape(shape, type);
}

void NhwcCopy::allocate(size_t bytes) const {
  memory_ = std::shared_ptr<void>(device::allocate(bytes), device::release);
  usage_ = device::usage_of(memory_.get());
  capacity_ = bytes;
}

void NhwcCopy::reshape(const vector<int>& shape, ValueType type) {
  const size_t bytes = bytes_of(shape, type);
  if (bytes > capacity_) {
    memory_.reset();  // both together may not fit
    shape_.clear();
    capacity_ = 0;
    allocate(bytes);
  }
  shape_ = shape;
  type_ = type;
}

bool NhwcCopy::is_here() const {
  return usage_ == nullptr || device::is_here(*usage_);
}

const void* NhwcCopy::values() const {
  if (usage_ != nullptr) device::before_reading(usage_.get());
  if (!is_here()) {
    const std::shared_ptr<void> there = memory_;
    allocate(bytes_of(shape_, type_));
    device::before_writing(usage_.get());
    device::copy_async(memory_.get(), there.get(), capacity_);
  }
  return memory_.get();
}

void* NhwcCopy::new_values() {
  if (!is_here()) allocate(bytes_of(shape_, type_));
  if (usage_ != nullptr) device::before_writing(usage_.get());
  return memory_.get();
}

bool NhwcCopy::has_room(const vector<int>& shape, ValueType type) const {
  return bytes_of(shape, type) <= capacity_;
}

void NhwcCopy::copy_to(void* plain) const {
  if (is_half(type_)) {
    half_to_nchw(shape_, type_, values(), static_cast<float*>(plain));
  } else if (type_ == ValueType::kFloat) {
    nhwc_to_nchw(shape_, static_cast<const float*>(values()), static_cast<float*>(plain));
  } else {
    nhwc_to_nchw(shape_, static_cast<const double*>(values()), static_cast<double*>(plain));
  }
}

void NhwcCopy::fill_from(const void* plain) {
  if (is_half(type_)) {
    nchw_to_half(shape_, static_cast<const float*>(plain), type_, new_values());
  } else if (type_ == ValueType::kFloat) {
    nchw_to_nhwc(shape_, static_cast<const float*>(plain), static_cast<float*>(new_values()));
  } else {
    nchw_to_nhwc(shape_, static_cast<const double*>(plain), static_cast<double*>(new_values()));
  }
}

namespace internal {

namespace {

/// The block's copy, whether its values are up to date or not; null if it is of another kind.
std::shared_ptr<NhwcCopy> copy_of(const SyncedMemory& block) {
  return std::dynamic_pointer_cast<NhwcCopy>(block.foreign());
}

/// A copy for new values: the block's own, unless its values are up to date and could get lost.
std::shared_ptr<NhwcCopy> room_in(const SyncedMemory& block, const vector<int>& shape,
                                  ValueType type, bool keep) {
  const std::shared_ptr<NhwcCopy> copy = copy_of(block);
  if (copy == nullptr) return std::make_shared<NhwcCopy>(shape, type);
  if (copy->has(shape, type)) return copy;
  if (block.foreign_is_current() && (keep || !copy->has_room(shape, type))) {
    return std::make_shared<NhwcCopy>(shape, type);
  }
  copy->reshape(shape, type);
  return copy;
}

}  // namespace

bool has_nhwc(const SyncedMemory& block, const vector<int>& shape, ValueType type) {
  if (!block.foreign_is_current()) return false;
  const std::shared_ptr<NhwcCopy> copy = copy_of(block);
  return copy != nullptr && copy->has(shape, type);
}

const void* read_nhwc(SyncedMemory* block, const vector<int>& shape, ValueType type) {
  if (!has_nhwc(*block, shape, type)) {
    const void* const plain = block->gpu_data();
    const std::shared_ptr<NhwcCopy> copy = room_in(*block, shape, type, true);
    copy->fill_from(plain);
    count_reorder();
    block->foreign_filled(copy);
  }
  return copy_of(*block)->values();
}

void* write_nhwc(SyncedMemory* block, const vector<int>& shape, ValueType type) {
  const std::shared_ptr<NhwcCopy> copy = room_in(*block, shape, type, false);
  void* const values = copy->new_values();
  block->foreign_written(copy);
  return values;
}

namespace {

template <typename Dtype>
Order common_order(const vector<Blob<Dtype>*>& blobs, Order (*order)(const Blob<Dtype>&)) {
  if (Caffe::mode() != Caffe::GPU) return Order::kNchw;
  int nhwc = 0, others = 0;
  for (const Blob<Dtype>* const blob : blobs) {
    if (is_order_free(blob->shape())) continue;
    ++(order(*blob) == Order::kNhwc ? nhwc : others);
  }
  return nhwc > 0 && others <= 1 ? Order::kNhwc : Order::kNchw;
}

}  // namespace

}  // namespace internal

template <typename Dtype>
Order common_data_order(const vector<Blob<Dtype>*>& blobs) {
  return internal::common_order(blobs, data_order<Dtype>);
}

template <typename Dtype>
Order common_diff_order(const vector<Blob<Dtype>*>& blobs) {
  return internal::common_order(blobs, diff_order<Dtype>);
}

#define INSTANTIATE(T)                                                   \
  template void nchw_to_nhwc<T>(const vector<int>&, const T*, T*);       \
  template void nhwc_to_nchw<T>(const vector<int>&, const T*, T*, bool); \
  template Order common_data_order<T>(const vector<Blob<T>*>&);          \
  template Order common_diff_order<T>(const vector<Blob<T>*>&)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
