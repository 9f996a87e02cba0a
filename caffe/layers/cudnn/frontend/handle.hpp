#ifndef CAFFE_LAYERS_CUDNN_FRONTEND_HANDLE_HPP_
#define CAFFE_LAYERS_CUDNN_FRONTEND_HANDLE_HPP_

#include <cudnn.h>

namespace caffe {
namespace cudnn {

/// Throws an Error that names `what` unless the status is a success.
void check(cudnnStatus_t status, const char* what);

/// cuDNN's handle of the calling thread and its GPU, made at the first use. It works on the
/// thread's compute stream.
cudnnHandle_t handle();

}  // namespace cudnn
}  // namespace caffe

#endif  // CAFFE_LAYERS_CUDNN_FRONTEND_HANDLE_HPP_
