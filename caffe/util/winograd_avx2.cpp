// Winograd's convolution with AVX2 and FMA: 12 of the 16 registers hold sums.

#define CAFFE_WINOGRAD_BLOCK 8
#define CAFFE_WINOGRAD_TILES 6
#define CAFFE_WINOGRAD_ROWS 4
#define CAFFE_WINOGRAD_COLUMNS 3

#include "caffe/util/winograd_body.hpp"

namespace caffe {
namespace winograd {

const Kernels kAvx2Kernels = kKernels;

}  // namespace winograd
}  // namespace caffe
