// Winograd's convolution with AVX-512: 28 of the 32 registers hold sums.

#define CAFFE_WINOGRAD_BLOCK 16
#define CAFFE_WINOGRAD_TILES 14
#define CAFFE_WINOGRAD_ROWS 8
#define CAFFE_WINOGRAD_COLUMNS 3

#include "caffe/util/winograd_body.hpp"

namespace caffe {
namespace winograd {

const Kernels kAvx512Kernels = kKernels;

}  // namespace winograd
}  // namespace caffe
