#include "old_relu_layer.hpp"

#include <vector>

namespace caffe {

template <typename Dtype>
__global__ void OldReLUForward(const int n, const Dtype* in, Dtype* out, Dtype slope) {
  CUDA_KERNEL_LOOP(index, n) {
    out[index] = in[index] > 0 ? in[index] : in[index] * slope;
  }
}

template <typename Dtype>
void OldReLULayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                                      const vector<Blob<Dtype>*>& top) {
  const Dtype* bottom_data = bottom[0]->gpu_data();
  Dtype* top_data = top[0]->mutable_gpu_data();
  const int count = bottom[0]->count();
  Dtype slope = this->layer_param_.relu_param().negative_slope();
  OldReLUForward<Dtype>
      <<<CAFFE_GET_BLOCKS(count), CAFFE_CUDA_NUM_THREADS>>>(count, bottom_data, top_data, slope);
  CUDA_POST_KERNEL_CHECK;
}

template <typename Dtype>
__global__ void OldReLUBackward(const int n, const Dtype* in_diff, const Dtype* in_data,
                                Dtype* out_diff, Dtype slope) {
  CUDA_KERNEL_LOOP(index, n) {
    if (in_data[index] > 0) {
      out_diff[index] = in_diff[index];
      continue;
    }
    out_diff[index] = in_diff[index] * slope;
  }
}

template <typename Dtype>
void OldReLULayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
                                       const vector<bool>& propagate_down,
                                       const vector<Blob<Dtype>*>& bottom) {
  if (propagate_down[0]) {
    const Dtype* bottom_data = bottom[0]->gpu_data();
    const Dtype* top_diff = top[0]->gpu_diff();
    Dtype* bottom_diff = bottom[0]->mutable_gpu_diff();
    const int count = bottom[0]->count();
    Dtype slope = this->layer_param_.relu_param().negative_slope();
    OldReLUBackward<Dtype><<<CAFFE_GET_BLOCKS(count), CAFFE_CUDA_NUM_THREADS>>>(
        count, top_diff, bottom_data, bottom_diff, slope);
    CUDA_POST_KERNEL_CHECK;
  }
}

INSTANTIATE_LAYER_GPU_FUNCS(OldReLULayer);

}  // namespace caffe
