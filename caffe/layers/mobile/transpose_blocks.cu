#include "caffe/layers/mobile/transpose_blocks.hpp"

#include <cstdint>

#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct TransposeBlocks {
  int rows, columns, length;
  const T* from;  // [n, rows, columns, length]
  T* to;          // [n, columns, rows, length]
  CAFFE_HD void operator()(int block, int i) const {
    const int r = block % rows, c = block / rows % columns, n = block / rows / columns;
    const int64_t source = (static_cast<int64_t>(n) * rows + r) * columns + c;
    to[i] = from[source * length + (i - block * length)];
  }
};

/// The same for single values, which are not worth a row each.
template <typename T>
struct TransposeValues {
  int rows, columns;
  const T* from;  // [n, rows, columns]
  T* to;          // [n, columns, rows]
  CAFFE_HD void operator()(int line, int i) const {
    const int c = line % columns, n = line / columns, r = i - line * rows;
    to[i] = from[(static_cast<int64_t>(n) * rows + r) * columns + c];
  }
};

}  // namespace

template <typename Dtype>
void transpose_blocks(int n, int rows, int columns, int length, const Dtype* from, Dtype* to) {
  if (length == 1) {
    parallel_planes(n * columns, rows, TransposeValues<Dtype>{rows, columns, from, to});
  } else {
    parallel_planes(n * columns * rows, length,
                    TransposeBlocks<Dtype>{rows, columns, length, from, to});
  }
}

template void transpose_blocks(int, int, int, int, const float*, float*);
template void transpose_blocks(int, int, int, int, const double*, double*);

}  // namespace caffe
