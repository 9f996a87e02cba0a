#ifndef CAFFE_UTIL_IM2COL_HPP_
#define CAFFE_UTIL_IM2COL_HPP_

// Convolution as a product of matrices: for each position of the output, im2col writes the image
// values under the kernel into one column, so that
//   output (outputs x positions) = weights (outputs x rows) * columns (rows x positions),
// where rows = channels x kernel size. Values beyond the border are 0. col2im is the adjoint: it
// adds the values of each column to the image values they were taken from.

#include <vector>

#include "caffe/common.hpp"

namespace caffe {

/// The largest number of spatial axes of a convolution.
constexpr int kMaxSpatialAxes = 10;

/// The parameters of im2col, copied to the kernels, where unused axes are 0. Axis 0 varies slowest.
struct ConvGeometry {
  int axes = 0;
  int channels = 0;
  int image[kMaxSpatialAxes] = {};
  int output[kMaxSpatialAxes] = {};
  int kernel[kMaxSpatialAxes] = {};
  int pad[kMaxSpatialAxes] = {};
  int stride[kMaxSpatialAxes] = {};
  int dilation[kMaxSpatialAxes] = {};
};

/// The number of kernel positions along one axis: floor((image + 2 pad - (dilation (kernel - 1) +
/// 1)) / stride) + 1; may be less than 1.
int conv_output_size(int image, int kernel, int pad, int stride, int dilation);

/// columns (channels kernel[0] ... x output[0] ...) from image (channels x image[0] ...), on the
/// device that the thread's mode selects.
template <typename Dtype>
void im2col(const ConvGeometry& geometry, const Dtype* image, Dtype* columns);
/// The image is overwritten.
template <typename Dtype>
void col2im(const ConvGeometry& geometry, const Dtype* columns, Dtype* image);

// ---- Caffe's functions. im_shape is channels, then image; col_shape is rows, then output.
// *_cpu functions take CPU pointers; *_gpu functions (in a CUDA build) take GPU pointers, also for
// the shapes.

template <typename Dtype>
void im2col_nd_cpu(const Dtype* data_im, int num_spatial_axes, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, Dtype* data_col);
template <typename Dtype>
void im2col_cpu(const Dtype* data_im, int channels, int height, int width, int kernel_h,
                int kernel_w, int pad_h, int pad_w, int stride_h, int stride_w, int dilation_h,
                int dilation_w, Dtype* data_col);
template <typename Dtype>
void col2im_nd_cpu(const Dtype* data_col, int num_spatial_axes, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, Dtype* data_im);
template <typename Dtype>
void col2im_cpu(const Dtype* data_col, int channels, int height, int width, int kernel_h,
                int kernel_w, int pad_h, int pad_w, int stride_h, int stride_w, int dilation_h,
                int dilation_w, Dtype* data_im);

template <typename Dtype>
void im2col_nd_gpu(const Dtype* data_im, int num_spatial_axes, int col_size, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, Dtype* data_col);
template <typename Dtype>
void im2col_gpu(const Dtype* data_im, int channels, int height, int width, int kernel_h,
                int kernel_w, int pad_h, int pad_w, int stride_h, int stride_w, int dilation_h,
                int dilation_w, Dtype* data_col);
template <typename Dtype>
void col2im_nd_gpu(const Dtype* data_col, int num_spatial_axes, int im_size, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, Dtype* data_im);
template <typename Dtype>
void col2im_gpu(const Dtype* data_col, int channels, int height, int width, int kernel_h,
                int kernel_w, int pad_h, int pad_w, int stride_h, int stride_w, int dilation_h,
                int dilation_w, Dtype* data_im);

}  // namespace caffe

#endif  // CAFFE_UTIL_IM2COL_HPP_
