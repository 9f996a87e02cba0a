// The names for CUDA that old .cu files use beside a layer's. Compiled only: nothing runs it.

#include <vector>

#include "caffe/caffe.hpp"
#include "caffe/util/gpu_util.cuh"
#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void caffe_gpu_cube(const int n, const Dtype* x, Dtype* y);

DEFINE_AND_INSTANTIATE_GPU_UNARY_FUNC(cube, y[index] = x[index] * x[index] * x[index]);

template <typename Dtype>
__global__ void Sum(const int n, const Dtype* x, Dtype* sum, int* count) {
  CUDA_KERNEL_LOOP(i, n) {
    CUDA_KERNEL_LOOP(j, 1) {
      caffe_gpu_atomic_add(x[i + j], sum);
    }
    caffe_gpu_atomic_add(1, count);
  }
}

void use_libraries(float* x, int n) {
  CUBLAS_CHECK(cublasSscal(Caffe::cublas_handle(), n, x, x, 1));
  CURAND_CHECK(curandGenerateUniform(Caffe::curand_generator(), x, n));
  cudaStream_t stream;
  CUDA_CHECK(cudaStreamCreate(&stream));
  caffe_gpu_scal(n, 2.f, x, stream);
  CUDA_CHECK(cudaStreamSynchronize(stream));
  CUDA_CHECK(cudaStreamDestroy(stream));
  SyncedMemory memory(n * sizeof(float));
  memory.async_gpu_push(stream);
  LOG(INFO) << cublasGetErrorString(CUBLAS_STATUS_SUCCESS)
            << curandGetErrorString(CURAND_STATUS_SUCCESS);
  int count;
  if (n > 0)
    CUDA_CHECK(cudaGetDeviceCount(&count));
  else
    Caffe::DeviceQuery();
}

template <typename Dtype>
void sum(const Blob<Dtype>& blob, Blob<Dtype>* total, Blob<int>* count) {
  const int n = blob.count();
  Sum<Dtype><<<CAFFE_GET_BLOCKS(n), CAFFE_CUDA_NUM_THREADS>>>(
      n, blob.gpu_data(), total->mutable_gpu_data(), count->mutable_gpu_data());
  CUDA_POST_KERNEL_CHECK;
}
template void sum<float>(const Blob<float>&, Blob<float>*, Blob<int>*);
template void sum<double>(const Blob<double>&, Blob<double>*, Blob<int>*);

}  // namespace caffe
