// Winograd's convolution for any processor.

#define CAFFE_WINOGRAD_BLOCK 4
#define CAFFE_WINOGRAD_TILES 4
#define CAFFE_WINOGRAD_ROWS 4
#define CAFFE_WINOGRAD_COLUMNS 3

#include "caffe/util/winograd_body.hpp"

namespace caffe {
namespace winograd {

const Kernels kPlainKernels = kKernels;

}  // namespace winograd
}  // namespace caffe
