#ifndef CAFFE_BLOB_HPP_
#define CAFFE_BLOB_HPP_

#include <memory>
#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/syncedmem.hpp"

/// No prototxt has more axes; a file that claims more is damaged.
const int kMaxBlobAxes = 32;

namespace caffe {

/// An array of numbers and its gradient, which has the same shape: what layers pass to each other
/// and what they learn. Images are N x C x H x W, row by row, so value (n, c, h, w) has the index
/// ((n C + c) H + h) W + w.
///
/// Memory is allocated at the first access (caffe/syncedmem.hpp), kept when the blob shrinks, and
/// replaced by new memory, filled with zeros, when the blob must grow. An axis may have length 0; a
/// blob has at most INT_MAX values. Errors are caffe::Error. Blob<int> and Blob<unsigned int> hold
/// data only: methods that need arithmetic throw. A blob knows the shared_ptr that holds it, so
/// that Python can hold what a layer sees as Blob*.
template <typename Dtype>
class Blob : public std::enable_shared_from_this<Blob<Dtype>> {
 public:
  Blob() = default;
  explicit Blob(const vector<int>& shape) { Reshape(shape); }
  explicit Blob(int num, int channels, int height, int width) {
    Reshape(num, channels, height, width);
  }

  void Reshape(const vector<int>& shape);
  void Reshape(const BlobShape& shape);
  void Reshape(int num, int channels, int height, int width);
  void ReshapeLike(const Blob& other) { Reshape(other.shape()); }

  /// "64 3 11 11 (23232)": the shape and the count.
  string shape_string() const;
  const vector<int>& shape() const { return shape_; }
  /// The length of an axis; -1 is the last axis.
  int shape(int index) const { return shape_[CanonicalAxisIndex(index)]; }
  int num_axes() const { return static_cast<int>(shape_.size()); }
  int count() const { return count_; }
  /// The product of the lengths of the axes [start_axis, end_axis).
  int count(int start_axis, int end_axis) const;
  int count(int start_axis) const { return count(start_axis, num_axes()); }
  /// The axis in [0, num_axes) that a possibly negative index means.
  int CanonicalAxisIndex(int axis_index) const;

  /// The four axes that every blob had before 2015. A blob with fewer axes is treated as if axes of
  /// length 1 followed; a blob with more axes throws.
  int num() const { return LegacyShape(0); }
  int channels() const { return LegacyShape(1); }
  int height() const { return LegacyShape(2); }
  int width() const { return LegacyShape(3); }
  int LegacyShape(int index) const;

  /// The position of a value in the array. An index may be the axis's length, or less than 0 behind
  /// the first axis, so that `p += blob.offset(0, 1)` steps by a plane whatever the number of
  /// planes; the result may then be outside the array.
  int offset(int n, int c = 0, int h = 0, int w = 0) const;
  /// Missing indices are 0; each must be smaller than its axis's length.
  int offset(const vector<int>& indices) const;
  /// Throw for a position outside the array.
  Dtype data_at(int n, int c, int h, int w) const { return cpu_data()[place_of(n, c, h, w)]; }
  Dtype diff_at(int n, int c, int h, int w) const { return cpu_diff()[place_of(n, c, h, w)]; }
  Dtype data_at(const vector<int>& index) const { return cpu_data()[offset(index)]; }
  Dtype diff_at(const vector<int>& index) const { return cpu_diff()[offset(index)]; }

  const shared_ptr<SyncedMemory>& data() const { return checked(data_); }
  const shared_ptr<SyncedMemory>& diff() const { return checked(diff_); }
  const Dtype* cpu_data() const { return as_values(data()->cpu_data()); }
  const Dtype* gpu_data() const { return as_values(data()->gpu_data()); }
  const Dtype* cpu_diff() const { return as_values(diff()->cpu_data()); }
  const Dtype* gpu_diff() const { return as_values(diff()->gpu_data()); }
  Dtype* mutable_cpu_data() { return as_values(data()->mutable_cpu_data()); }
  /// For whoever writes all values: those on the GPU are not copied first.
  Dtype* overwrite_cpu_data() { return as_values(data()->overwrite_cpu_data()); }
  Dtype* mutable_gpu_data() { return as_values(data()->mutable_gpu_data()); }
  Dtype* mutable_cpu_diff() { return as_values(diff()->mutable_cpu_data()); }
  Dtype* mutable_gpu_diff() { return as_values(diff()->mutable_gpu_data()); }
  /// The values on the device that the calling thread's mode selects.
  const Dtype* active_data() const { return on_gpu() ? gpu_data() : cpu_data(); }
  const Dtype* active_diff() const { return on_gpu() ? gpu_diff() : cpu_diff(); }
  Dtype* mutable_active_data() { return on_gpu() ? mutable_gpu_data() : mutable_cpu_data(); }
  Dtype* mutable_active_diff() { return on_gpu() ? mutable_gpu_diff() : mutable_cpu_diff(); }
  /// The shape as ints on the GPU.
  const int* gpu_shape() const;
  /// Uses the caller's count() values as data; they must outlive the blob.
  void set_cpu_data(Dtype* values);
  void set_gpu_data(Dtype* values);
  /// The same; from now on the blob's memory shares ownership of the values.
  void set_cpu_data(const shared_ptr<Dtype>& values);
  void set_gpu_data(const shared_ptr<Dtype>& values);

  /// data -= diff: a solver's step.
  void Update();
  Dtype asum_data() const;  // sum of |data|
  Dtype asum_diff() const;
  Dtype sumsq_data() const;  // sum of data^2
  Dtype sumsq_diff() const;
  Dtype dot_data_diff() const;
  void scale_data(Dtype factor);
  void scale_diff(Dtype factor);

  /// Copies the values, or the gradient, of the other blob. Shapes must be equal unless `reshape`.
  void CopyFrom(const Blob& source, bool copy_diff = false, bool reshape = false);
  /// Shares the other blob's memory from now on; counts must be equal.
  void ShareData(const Blob& other);
  void ShareDiff(const Blob& other);

  /// Reads the values of a file, in either precision. Without `reshape` the shapes must be equal; a
  /// legacy 1 x 1 x 1 x N counts as equal to N.
  void FromProto(const BlobProto& proto, bool reshape = true);
  void ToProto(BlobProto* proto, bool write_diff = false) const;
  bool ShapeEquals(const BlobProto& other) const;

 protected:
  static bool on_gpu() { return Caffe::mode() == Caffe::GPU; }
  static Dtype* as_values(void* memory) { return static_cast<Dtype*>(memory); }
  static const Dtype* as_values(const void* memory) { return static_cast<const Dtype*>(memory); }
  int place_of(int n, int c, int h, int w) const;
  const shared_ptr<SyncedMemory>& checked(const shared_ptr<SyncedMemory>& memory) const;
  void own_memory(bool replace);

  shared_ptr<SyncedMemory> data_;
  shared_ptr<SyncedMemory> diff_;
  mutable shared_ptr<SyncedMemory> shape_data_;  // for gpu_shape()
  vector<int> shape_;
  int count_ = 0;

  DISABLE_COPY_AND_ASSIGN(Blob);
};

}  // namespace caffe

#endif  // CAFFE_BLOB_HPP_
