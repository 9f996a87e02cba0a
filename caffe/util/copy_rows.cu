#include "caffe/util/copy_rows.hpp"

#include <cstring>

#include "caffe/util/parallel.hpp"
#include "caffe/util/value_type.hpp"
#include "kernels/half.hpp"

namespace caffe {

namespace {

template <typename T>
struct CopyRow {
  int length, from_stride, to_stride;
  const T* from;
  T* to;
  CAFFE_HD void operator()(int row) const {
    std::memcpy(to + static_cast<int64_t>(row) * to_stride,
                from + static_cast<int64_t>(row) * from_stride, sizeof(T) * length);
  }
};

template <typename T>
struct CopyElement {
  Divisor length;
  int from_stride, to_stride;
  const T* from;
  T* to;
  CAFFE_HD void operator()(int i) const {
    const int row = i / length, at = i % length;
    to[static_cast<int64_t>(row) * to_stride + at] =
        from[static_cast<int64_t>(row) * from_stride + at];
  }
};

}  // namespace

template <typename Dtype>
void copy_rows(int rows, int length, const Dtype* from, int from_stride, Dtype* to, int to_stride) {
  parallel_for(current_device(), rows, length,
               CopyRow<Dtype>{length, from_stride, to_stride, from, to},
               static_cast<int64_t>(rows) * length,
               CopyElement<Dtype>{length, from_stride, to_stride, from, to});
}

template void copy_rows<Float16>(int, int, const Float16*, int, Float16*, int);
template void copy_rows<Bfloat16>(int, int, const Bfloat16*, int, Bfloat16*, int);
template void copy_rows<float>(int, int, const float*, int, float*, int);
template void copy_rows<double>(int, int, const double*, int, double*, int);

}  // namespace caffe
