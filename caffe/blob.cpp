#include "caffe/blob.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "caffe/util/device.hpp"
#include "caffe/util/gpu_sums.hpp"
#include "caffe/util/late_values.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

/// The number of values, checked before any memory is requested: shapes may come from files.
template <typename Int>
int checked_count(const vector<Int>& shape) {
  CAFFE_CHECK(shape.size() <= static_cast<size_t>(kMaxBlobAxes),
              "a blob of " << shape.size() << " axes; at most " << kMaxBlobAxes << " are possible");
  int64_t count = 1;
  for (const Int length : shape) {
    CAFFE_CHECK(length >= 0 && length <= INT_MAX,
                "a blob of shape " << shape_text(shape) << ": " << length << " is not a length");
    count *= length;
    CAFFE_CHECK(count <= INT_MAX, "a blob of shape " << shape_text(shape) << " has more than "
                                                     << INT_MAX << " values, the limit for a blob");
  }
  return static_cast<int>(count);
}

/// The shape in a file, in the old form or the new.
vector<int64_t> file_shape(const BlobProto& proto) {
  if (proto.has_num() || proto.has_channels() || proto.has_height() || proto.has_width()) {
    return {proto.num(), proto.channels(), proto.height(), proto.width()};
  }
  return vector<int64_t>(proto.shape().dim().begin(), proto.shape().dim().end());
}

template <typename From, typename To>
void read_values(const google::protobuf::RepeatedField<From>& from, int count, const char* what,
                 To* to) {
  CAFFE_CHECK(from.size() == count,
              "a stored blob claims " << count << " " << what << " values and has " << from.size());
  std::transform(from.begin(), from.end(), to, [](From value) { return static_cast<To>(value); });
}

template <typename T>
void write_values(const T* from, int count, google::protobuf::RepeatedField<T>* to) {
  to->Clear();
  to->Reserve(count);
  for (int i = 0; i < count; ++i) to->AddAlreadyReserved(from[i]);
}

// The fields of a BlobProto that hold values of a type.
google::protobuf::RepeatedField<float>* data_field(BlobProto* proto, float) {
  return proto->mutable_data();
}
google::protobuf::RepeatedField<double>* data_field(BlobProto* proto, double) {
  return proto->mutable_double_data();
}
google::protobuf::RepeatedField<float>* diff_field(BlobProto* proto, float) {
  return proto->mutable_diff();
}
google::protobuf::RepeatedField<double>* diff_field(BlobProto* proto, double) {
  return proto->mutable_double_diff();
}

/// A blob's arithmetic; float and double only.
template <typename T, bool = std::is_floating_point<T>::value>
struct Arithmetic {
  static T asum(int n, const T* x) { return caffe_cpu_asum(n, x); }
  static T dot(int n, const T* x, const T* y) { return caffe_cpu_dot(n, x, y); }
  static void scale(int n, T factor, T* x) { caffe_scal(n, factor, x); }
  static void subtract(int n, const T* x, T* y) { caffe_axpy(n, T(-1), x, y); }
  /// The sum of |x|, or of x y; waits for it.
  static T gpu_total(int n, const T* x, const T* y) {
    T result = 0;
    LateValues& values = *LateValues::of_thread();
    values.begin();
    gpu_sum(n, x, y, values.place<T>(1, [&result](const T* sum) { result = *sum; }));
    values.finish();
    return result;
  }
  static void gpu_scale(int n, T factor, T* x) { caffe_gpu_scal(n, factor, x); }
  static void gpu_subtract(int n, const T* x, T* y) { caffe_gpu_axpy(n, T(-1), x, y); }
  static void write(const Blob<T>& blob, bool diff, BlobProto* proto) {
    write_values(blob.cpu_data(), blob.count(), data_field(proto, T()));
    if (diff) write_values(blob.cpu_diff(), blob.count(), diff_field(proto, T()));
  }
};

template <typename T>
struct Arithmetic<T, false> {
  [[noreturn]] static void refuse() {
    throw Error("a blob of integers has no arithmetic and cannot be stored in a file");
  }
  [[noreturn]] static T asum(int, const T*) { refuse(); }
  [[noreturn]] static T dot(int, const T*, const T*) { refuse(); }
  [[noreturn]] static void scale(int, T, T*) { refuse(); }
  [[noreturn]] static void subtract(int, const T*, T*) { refuse(); }
  [[noreturn]] static T gpu_total(int, const T*, const T*) { refuse(); }
  [[noreturn]] static void gpu_scale(int, T, T*) { refuse(); }
  [[noreturn]] static void gpu_subtract(int, const T*, T*) { refuse(); }
  [[noreturn]] static void write(const Blob<T>&, bool, BlobProto*) { refuse(); }
};

}  // namespace

// ---- shape

template <typename Dtype>
void Blob<Dtype>::Reshape(const vector<int>& shape) {
  count_ = checked_count(shape);
  if (shape != shape_) {
    shape_ = shape;
    shape_data_.reset();
  }
  own_memory(false);
}

template <typename Dtype>
void Blob<Dtype>::Reshape(const BlobShape& shape) {
  const vector<int64_t> lengths(shape.dim().begin(), shape.dim().end());
  checked_count(lengths);
  Reshape(vector<int>(lengths.begin(), lengths.end()));
}

template <typename Dtype>
void Blob<Dtype>::Reshape(int num, int channels, int height, int width) {
  Reshape(vector<int>{num, channels, height, width});
}

/// Memory for count_ values: the existing memory if it is large enough, unless `replace`. The size
/// comes from the memory itself, since shared memory may be smaller than this blob once was.
template <typename Dtype>
void Blob<Dtype>::own_memory(bool replace) {
  const size_t bytes = sizeof(Dtype) * static_cast<size_t>(count_);
  for (shared_ptr<SyncedMemory>* memory : {&data_, &diff_}) {
    if (replace || *memory == nullptr || (*memory)->size() < bytes) {
      *memory = std::make_shared<SyncedMemory>(bytes);
    }
  }
}

template <typename Dtype>
string Blob<Dtype>::shape_string() const {
  std::ostringstream text;
  for (const int length : shape_) text << length << ' ';
  text << '(' << count_ << ')';
  return text.str();
}

template <typename Dtype>
int Blob<Dtype>::CanonicalAxisIndex(int axis_index) const {
  const int axis = axis_index < 0 ? axis_index + num_axes() : axis_index;
  CAFFE_CHECK(axis >= 0 && axis < num_axes(), "axis " << axis_index << " of a blob of "
                                                      << num_axes() << " axes, shape "
                                                      << shape_string());
  return axis;
}

template <typename Dtype>
int Blob<Dtype>::count(int start_axis, int end_axis) const {
  CAFFE_CHECK(
      0 <= start_axis && start_axis <= end_axis && end_axis <= num_axes(),
      "axes " << start_axis << " to " << end_axis << " of a blob of shape " << shape_string());
  int product = 1;
  for (int axis = start_axis; axis < end_axis; ++axis) product *= shape_[axis];
  return product;
}

template <typename Dtype>
int Blob<Dtype>::LegacyShape(int index) const {
  CAFFE_CHECK(num_axes() <= 4, "num, channels, height and width are not defined for a blob of "
                                   << num_axes() << " axes, shape " << shape_string()
                                   << ": use shape(axis)");
  CAFFE_CHECK(index >= -4 && index < 4, "legacy axis " << index << ": there are only four");
  const int axis = index < 0 ? index + num_axes() : index;
  return axis >= 0 && axis < num_axes() ? shape_[axis] : 1;
}

template <typename Dtype>
int Blob<Dtype>::offset(int n, int c, int h, int w) const {
  const int index[] = {n, c, h, w};
  CAFFE_CHECK(n >= 0, "value (" << n << ", " << c << ", " << h << ", " << w
                                << ") of a blob of shape " << shape_string());
  int place = 0;
  for (int axis = 0; axis < 4; ++axis) {
    const int length = LegacyShape(axis);
    CAFFE_CHECK(index[axis] <= length, "value (" << n << ", " << c << ", " << h << ", " << w
                                                 << ") of a blob of shape " << shape_string());
    place = place * length + index[axis];
  }
  return place;
}

template <typename Dtype>
int Blob<Dtype>::place_of(int n, int c, int h, int w) const {
  const int place = offset(n, c, h, w);
  CAFFE_CHECK(place >= 0 && place < count_, "value (" << n << ", " << c << ", " << h << ", " << w
                                                      << ") of a blob of shape " << shape_string());
  return place;
}

template <typename Dtype>
int Blob<Dtype>::offset(const vector<int>& indices) const {
  CAFFE_CHECK(indices.size() <= shape_.size(),
              indices.size() << " indices into a blob of shape " << shape_string());
  int place = 0;
  for (size_t axis = 0; axis < shape_.size(); ++axis) {
    const int index = axis < indices.size() ? indices[axis] : 0;
    CAFFE_CHECK(index >= 0 && index < shape_[axis],
                "value (" << shape_text(indices) << ") of a blob of shape " << shape_string());
    place = place * shape_[axis] + index;
  }
  return place;
}

// ---- memory

template <typename Dtype>
const shared_ptr<SyncedMemory>& Blob<Dtype>::checked(const shared_ptr<SyncedMemory>& memory) const {
  CAFFE_CHECK(memory != nullptr, "a blob that never got a shape has no values");
  return memory;
}

template <typename Dtype>
const int* Blob<Dtype>::gpu_shape() const {
  if (shape_data_ == nullptr) {
    shape_data_ = std::make_shared<SyncedMemory>(sizeof(int) * shape_.size());
    std::copy(shape_.begin(), shape_.end(), static_cast<int*>(shape_data_->mutable_cpu_data()));
  }
  return static_cast<const int*>(shape_data_->gpu_data());
}

template <typename Dtype>
void Blob<Dtype>::set_cpu_data(Dtype* values) {
  if (data()->size() != sizeof(Dtype) * static_cast<size_t>(count_)) own_memory(true);
  data_->set_cpu_data(values);
}

template <typename Dtype>
void Blob<Dtype>::set_cpu_data(const shared_ptr<Dtype>& values) {
  if (data()->size() != sizeof(Dtype) * static_cast<size_t>(count_)) own_memory(true);
  data_->set_cpu_data(shared_ptr<void>(values));
}

template <typename Dtype>
void Blob<Dtype>::set_gpu_data(Dtype* values) {
  if (data()->size() != sizeof(Dtype) * static_cast<size_t>(count_)) own_memory(true);
  data_->set_gpu_data(values);
}

template <typename Dtype>
void Blob<Dtype>::set_gpu_data(const shared_ptr<Dtype>& values) {
  if (data()->size() != sizeof(Dtype) * static_cast<size_t>(count_)) own_memory(true);
  data_->set_gpu_data(shared_ptr<void>(values));
}

template <typename Dtype>
void Blob<Dtype>::CopyFrom(const Blob& source, bool copy_diff, bool reshape) {
  if (reshape) ReshapeLike(source);
  CAFFE_CHECK(source.shape_ == shape_,
              "a blob of shape " << source.shape_string() << " cannot be copied into one of shape "
                                 << shape_string() << " without reshaping it");
  if (copy_diff) {
    caffe_copy(count_, source.active_diff(), mutable_active_diff());
  } else {
    caffe_copy(count_, source.active_data(), mutable_active_data());
  }
}

template <typename Dtype>
void Blob<Dtype>::ShareData(const Blob& other) {
  CAFFE_CHECK(count_ == other.count_, "blobs of shapes " << shape_string() << " and "
                                                         << other.shape_string()
                                                         << " cannot share their data");
  data_ = other.data();
}

template <typename Dtype>
void Blob<Dtype>::ShareDiff(const Blob& other) {
  CAFFE_CHECK(count_ == other.count_, "blobs of shapes " << shape_string() << " and "
                                                         << other.shape_string()
                                                         << " cannot share their gradient");
  diff_ = other.diff();
}

// ---- arithmetic; on the GPU if the thread's mode says so and the values are there

namespace {

/// Whether a block's values are on the GPU, perhaps among other places.
bool is_on_gpu(const SyncedMemory& memory) {
  return Caffe::mode() == Caffe::GPU &&
         (memory.head() == SyncedMemory::HEAD_AT_GPU || memory.head() == SyncedMemory::SYNCED);
}

}  // namespace

template <typename Dtype>
void Blob<Dtype>::Update() {
  if (is_on_gpu(*data()) || is_on_gpu(*diff())) {
    Arithmetic<Dtype>::gpu_subtract(count_, gpu_diff(), mutable_gpu_data());
  } else {
    Arithmetic<Dtype>::subtract(count_, cpu_diff(), mutable_cpu_data());
  }
}

template <typename Dtype>
Dtype Blob<Dtype>::asum_data() const {
  if (is_on_gpu(*data())) return Arithmetic<Dtype>::gpu_total(count_, gpu_data(), nullptr);
  return Arithmetic<Dtype>::asum(count_, cpu_data());
}

template <typename Dtype>
Dtype Blob<Dtype>::asum_diff() const {
  if (is_on_gpu(*diff())) return Arithmetic<Dtype>::gpu_total(count_, gpu_diff(), nullptr);
  return Arithmetic<Dtype>::asum(count_, cpu_diff());
}

template <typename Dtype>
Dtype Blob<Dtype>::sumsq_data() const {
  if (is_on_gpu(*data())) return Arithmetic<Dtype>::gpu_total(count_, gpu_data(), gpu_data());
  return Arithmetic<Dtype>::dot(count_, cpu_data(), cpu_data());
}

template <typename Dtype>
Dtype Blob<Dtype>::sumsq_diff() const {
  if (is_on_gpu(*diff())) return Arithmetic<Dtype>::gpu_total(count_, gpu_diff(), gpu_diff());
  return Arithmetic<Dtype>::dot(count_, cpu_diff(), cpu_diff());
}

template <typename Dtype>
Dtype Blob<Dtype>::dot_data_diff() const {
  if (is_on_gpu(*data())) return Arithmetic<Dtype>::gpu_total(count_, gpu_data(), gpu_diff());
  return Arithmetic<Dtype>::dot(count_, cpu_data(), cpu_diff());
}

template <typename Dtype>
void Blob<Dtype>::scale_data(Dtype factor) {
  if (is_on_gpu(*data())) {
    Arithmetic<Dtype>::gpu_scale(count_, factor, mutable_gpu_data());
  } else {
    Arithmetic<Dtype>::scale(count_, factor, mutable_cpu_data());
  }
}

template <typename Dtype>
void Blob<Dtype>::scale_diff(Dtype factor) {
  if (is_on_gpu(*diff())) {
    Arithmetic<Dtype>::gpu_scale(count_, factor, mutable_gpu_diff());
  } else {
    Arithmetic<Dtype>::scale(count_, factor, mutable_cpu_diff());
  }
}

// ---- files

template <typename Dtype>
bool Blob<Dtype>::ShapeEquals(const BlobProto& other) const {
  const vector<int64_t> theirs = file_shape(other);
  if (std::equal(theirs.begin(), theirs.end(), shape_.begin(), shape_.end())) return true;
  const bool legacy =
      other.has_num() || other.has_channels() || other.has_height() || other.has_width();
  if (!legacy || num_axes() > 4) return false;
  // Old files pad the shape with 1 on the left.
  for (int axis = 0; axis < 4; ++axis) {
    if (theirs[axis] != LegacyShape(axis - 4)) return false;
  }
  return true;
}

template <typename Dtype>
void Blob<Dtype>::FromProto(const BlobProto& proto, bool reshape) {
  const vector<int64_t> stored = file_shape(proto);
  const int stored_count = checked_count(stored);
  const int values = proto.double_data_size() > 0 ? proto.double_data_size() : proto.data_size();
  // Before anything is allocated: a damaged file may claim any shape.
  CAFFE_CHECK(values == stored_count, "a stored blob of shape " << shape_text(stored)
                                                                << " must have " << stored_count
                                                                << " values; it has " << values);
  if (reshape) {
    Reshape(vector<int>(stored.begin(), stored.end()));
  } else {
    CAFFE_CHECK(ShapeEquals(proto), "a stored blob of shape " << shape_text(stored)
                                                              << " does not fit one of shape "
                                                              << shape_string());
  }
  if (proto.double_data_size() > 0) {
    read_values(proto.double_data(), count_, "data", mutable_cpu_data());
  } else {
    read_values(proto.data(), count_, "data", mutable_cpu_data());
  }
  if (proto.double_diff_size() > 0) {
    read_values(proto.double_diff(), count_, "diff", mutable_cpu_diff());
  } else if (proto.diff_size() > 0) {
    read_values(proto.diff(), count_, "diff", mutable_cpu_diff());
  }
}

template <typename Dtype>
void Blob<Dtype>::ToProto(BlobProto* proto, bool write_diff) const {
  proto->Clear();
  BlobShape* lengths = proto->mutable_shape();
  for (const int length : shape_) lengths->add_dim(length);
  Arithmetic<Dtype>::write(*this, write_diff, proto);
}

INSTANTIATE_CLASS(Blob);
template class Blob<int>;
template class Blob<unsigned int>;

}  // namespace caffe
