#include "caffe/util/im2col.hpp"

#include <algorithm>

#include "caffe/util/device.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// The outputs o in [*first, *end) of an axis for which o stride + offset is inside the image.
CAFFE_HD inline void inside(int outputs, int image, int stride, int offset, int* first, int* end) {
  *first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  *end = image <= offset ? 0 : (image - offset + stride - 1) / stride;
  if (*end > outputs) *end = outputs;
  if (*first > *end) *first = *end;
}

/// One line of the columns along the last axis, from one of a row and all output axes but the last.
struct Line {
  int row;      // channel and position in the kernel
  int offset;   // of output 0 in the image's line, by stride of the last axis
  int base;     // where the image's line starts; -1: there is none
  int channel;  // of the row

  CAFFE_HD Line(const ConvGeometry& g, int index) {
    const int last = g.axes - 1;
    int lines = 1;
    for (int a = 0; a < last; ++a) lines *= g.output[a];
    row = index / lines;
    int place = index % lines, rest = row;
    offset = rest % g.kernel[last] * g.dilation[last] - g.pad[last];
    rest /= g.kernel[last];
    int step = g.image[last];
    bool exists = true;
    base = 0;
    for (int a = last - 1; a >= 0; --a) {
      const int y =
          place % g.output[a] * g.stride[a] + rest % g.kernel[a] * g.dilation[a] - g.pad[a];
      place /= g.output[a];
      rest /= g.kernel[a];
      exists = exists && y >= 0 && y < g.image[a];
      base += y * step;
      step *= g.image[a];
    }
    channel = rest;
    base = exists ? base + channel * step : -1;
  }
};

/// Whole lines, for the CPU: the divisions are done once per line.
template <typename T>
struct Im2colLine {
  ConvGeometry g;
  const T* image;
  T* columns;
  CAFFE_HD void operator()(int i) const {
    const int last = g.axes - 1, n = g.output[last], stride = g.stride[last];
    const Line line(g, i);
    T* const out = columns + static_cast<int64_t>(i) * n;
    int first = 0, end = 0;
    if (line.base >= 0) inside(n, g.image[last], stride, line.offset, &first, &end);
    for (int x = 0; x < first; ++x) out[x] = T(0);
    for (int x = end; x < n; ++x) out[x] = T(0);
    const T* const in = image + line.base + line.offset;
    if (stride == 1) {
      MAAP_SIMD for (int x = first; x < end; ++x) out[x] = in[x];
    } else {
      for (int x = first; x < end; ++x) out[x] = in[x * stride];
    }
  }
};

/// Single values, for the GPU, where neighbouring threads should write to neighbouring addresses.
template <typename T>
struct Im2colValue {
  ConvGeometry g;
  const T* image;
  T* columns;
  CAFFE_HD void operator()(int i) const {
    const int last = g.axes - 1, n = g.output[last];
    const Line line(g, i / n);
    const int x = i % n * g.stride[last] + line.offset;
    columns[i] = line.base >= 0 && x >= 0 && x < g.image[last] ? image[line.base + x] : T(0);
  }
};

/// Adds one channel's columns to the image, for the CPU: adding lines to lines is several times
/// faster than gathering the columns of each value.
template <typename T>
struct Col2imScatter {
  ConvGeometry g;
  int lines;  // of one channel's columns
  int size;   // values of one channel
  const T* columns;
  T* image;
  CAFFE_HD void operator()(int channel) const {
    const int last = g.axes - 1, n = g.output[last], stride = g.stride[last];
    T* const plane = image + static_cast<int64_t>(channel) * size;
    for (int j = 0; j < size; ++j) plane[j] = T(0);
    for (int i = channel * lines; i < (channel + 1) * lines; ++i) {
      const Line line(g, i);
      if (line.base < 0) continue;
      int first, end;
      inside(n, g.image[last], stride, line.offset, &first, &end);
      T* const out = image + line.base + line.offset;
      const T* const in = columns + static_cast<int64_t>(i) * n;
      if (stride == 1) {
        MAAP_SIMD for (int x = first; x < end; ++x) out[x] += in[x];
      } else {
        for (int x = first; x < end; ++x) out[x * stride] += in[x];
      }
    }
  }
};

/// One value of the image from all columns that contain it, for the GPU: a scatter would need
/// atomics, whose sums depend on the order.
template <typename T>
struct Col2imGather {
  ConvGeometry g;
  const T* columns;
  T* image;
  CAFFE_HD void operator()(int i) const {
    int kernel = 1, outputs = 1, size = 1;
    for (int a = 0; a < g.axes; ++a) {
      kernel *= g.kernel[a];
      outputs *= g.output[a];
      size *= g.image[a];
    }
    const int channel = i / size;
    T sum = T(0);
    for (int k = 0; k < kernel; ++k) {
      int rest = i % size, tap = k, place = 0, step = 1;
      bool exists = true;
      for (int a = g.axes - 1; exists && a >= 0; --a) {
        const int from = rest % g.image[a] + g.pad[a] - tap % g.kernel[a] * g.dilation[a];
        const int o = from / g.stride[a];
        exists = from >= 0 && o < g.output[a] && o * g.stride[a] == from;
        place += o * step;
        step *= g.output[a];
        rest /= g.image[a];
        tap /= g.kernel[a];
      }
      if (exists) sum += columns[(static_cast<int64_t>(channel) * kernel + k) * outputs + place];
    }
    image[i] = sum;
  }
};

int product(const int* values, int n) {
  int result = 1;
  for (int a = 0; a < n; ++a) result *= values[a];
  return result;
}

template <typename T>
void im2col_on(Device device, const ConvGeometry& g, const T* image, T* columns) {
  const int n = g.output[g.axes - 1];
  const int lines = g.channels * product(g.kernel, g.axes) * product(g.output, g.axes - 1);
  parallel_for(device, lines, n, Im2colLine<T>{g, image, columns}, int64_t(lines) * n,
               Im2colValue<T>{g, image, columns});
}

template <typename T>
void col2im_on(Device device, const ConvGeometry& g, const T* columns, T* image) {
  const int size = product(g.image, g.axes);
  const int lines = product(g.kernel, g.axes) * product(g.output, g.axes - 1);
  parallel_for(device, g.channels, int64_t(lines) * g.output[g.axes - 1],
               Col2imScatter<T>{g, lines, size, columns, image}, int64_t(g.channels) * size,
               Col2imGather<T>{g, columns, image});
}

/// The geometry of Caffe's *_nd_*: shapes on the CPU.
ConvGeometry geometry_of(int axes, const int* im_shape, const int* col_shape, const int* kernel,
                         const int* pad, const int* stride, const int* dilation) {
  CAFFE_CHECK(axes >= 1 && axes <= kMaxSpatialAxes,
              "im2col takes 1 to " << kMaxSpatialAxes << " spatial axes, not " << axes);
  ConvGeometry g;
  g.axes = axes;
  g.channels = im_shape[0];
  std::copy_n(im_shape + 1, axes, g.image);
  std::copy_n(col_shape + 1, axes, g.output);
  std::copy_n(kernel, axes, g.kernel);
  std::copy_n(pad, axes, g.pad);
  std::copy_n(stride, axes, g.stride);
  std::copy_n(dilation, axes, g.dilation);
  return g;
}

/// The same from shapes on the GPU.
ConvGeometry geometry_from_gpu(int axes, const int* im_shape, const int* col_shape,
                               const int* kernel, const int* pad, const int* stride,
                               const int* dilation) {
  const int* const from[] = {im_shape, col_shape, kernel, pad, stride, dilation};
  int here[6][kMaxSpatialAxes + 1];
  CAFFE_CHECK(axes >= 1 && axes <= kMaxSpatialAxes,
              "im2col takes 1 to " << kMaxSpatialAxes << " spatial axes, not " << axes);
  for (int i = 0; i < 6; ++i) {
    device::copy(here[i], from[i], sizeof(int) * static_cast<size_t>(i < 2 ? axes + 1 : axes));
  }
  return geometry_of(axes, here[0], here[1], here[2], here[3], here[4], here[5]);
}

ConvGeometry geometry_2d(int channels, int height, int width, int kernel_h, int kernel_w, int pad_h,
                         int pad_w, int stride_h, int stride_w, int dilation_h, int dilation_w) {
  const int rows = channels * kernel_h * kernel_w;
  const int im_shape[] = {channels, height, width}, kernel[] = {kernel_h, kernel_w};
  const int col_shape[] = {rows, conv_output_size(height, kernel_h, pad_h, stride_h, dilation_h),
                           conv_output_size(width, kernel_w, pad_w, stride_w, dilation_w)};
  const int pad[] = {pad_h, pad_w}, stride[] = {stride_h, stride_w};
  const int dilation[] = {dilation_h, dilation_w};
  return geometry_of(2, im_shape, col_shape, kernel, pad, stride, dilation);
}

}  // namespace

int conv_output_size(int image, int kernel, int pad, int stride, int dilation) {
  const int room = image + 2 * pad - (dilation * (kernel - 1) + 1);
  return room < 0 ? 0 : room / stride + 1;
}

template <typename T>
void im2col(const ConvGeometry& geometry, const T* image, T* columns) {
  im2col_on(current_device(), geometry, image, columns);
}

template <typename T>
void col2im(const ConvGeometry& geometry, const T* columns, T* image) {
  col2im_on(current_device(), geometry, columns, image);
}

template <typename T>
void im2col_nd_cpu(const T* data_im, int num_spatial_axes, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, T* data_col) {
  im2col_on(Device::kCPU,
            geometry_of(num_spatial_axes, im_shape, col_shape, kernel_shape, pad, stride, dilation),
            data_im, data_col);
}

template <typename T>
void col2im_nd_cpu(const T* data_col, int num_spatial_axes, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, T* data_im) {
  col2im_on(Device::kCPU,
            geometry_of(num_spatial_axes, im_shape, col_shape, kernel_shape, pad, stride, dilation),
            data_col, data_im);
}

template <typename T>
void im2col_nd_gpu(const T* data_im, int num_spatial_axes, int, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, T* data_col) {
  im2col_on(
      Device::kGPU,
      geometry_from_gpu(num_spatial_axes, im_shape, col_shape, kernel_shape, pad, stride, dilation),
      data_im, data_col);
}

template <typename T>
void col2im_nd_gpu(const T* data_col, int num_spatial_axes, int, const int* im_shape,
                   const int* col_shape, const int* kernel_shape, const int* pad, const int* stride,
                   const int* dilation, T* data_im) {
  col2im_on(
      Device::kGPU,
      geometry_from_gpu(num_spatial_axes, im_shape, col_shape, kernel_shape, pad, stride, dilation),
      data_col, data_im);
}

// The functions for two axes, for both devices.
#define DEFINE_2D(im2col_name, col2im_name, device)                                                \
  template <typename T>                                                                            \
  void im2col_name(const T* data_im, int channels, int height, int width, int kernel_h,            \
                   int kernel_w, int pad_h, int pad_w, int stride_h, int stride_w, int dilation_h, \
                   int dilation_w, T* data_col) {                                                  \
    im2col_on(device,                                                                              \
              geometry_2d(channels, height, width, kernel_h, kernel_w, pad_h, pad_w, stride_h,     \
                          stride_w, dilation_h, dilation_w),                                       \
              data_im, data_col);                                                                  \
  }                                                                                                \
  template <typename T>                                                                            \
  void col2im_name(const T* data_col, int channels, int height, int width, int kernel_h,           \
                   int kernel_w, int pad_h, int pad_w, int stride_h, int stride_w, int dilation_h, \
                   int dilation_w, T* data_im) {                                                   \
    col2im_on(device,                                                                              \
              geometry_2d(channels, height, width, kernel_h, kernel_w, pad_h, pad_w, stride_h,     \
                          stride_w, dilation_h, dilation_w),                                       \
              data_col, data_im);                                                                  \
  }
DEFINE_2D(im2col_cpu, col2im_cpu, Device::kCPU)
DEFINE_2D(im2col_gpu, col2im_gpu, Device::kGPU)
#undef DEFINE_2D

#define INSTANTIATE_ND(T, name, ...)                                                      \
  template void name<T>(const T*, int, ##__VA_ARGS__, const int*, const int*, const int*, \
                        const int*, const int*, const int*, T*)
#define INSTANTIATE_2D(T, name) \
  template void name<T>(const T*, int, int, int, int, int, int, int, int, int, int, int, T*)
#define INSTANTIATE(T)                                        \
  template void im2col<T>(const ConvGeometry&, const T*, T*); \
  template void col2im<T>(const ConvGeometry&, const T*, T*); \
  INSTANTIATE_ND(T, im2col_nd_cpu);                           \
  INSTANTIATE_ND(T, col2im_nd_cpu);                           \
  INSTANTIATE_ND(T, im2col_nd_gpu, int);                      \
  INSTANTIATE_ND(T, col2im_nd_gpu, int);                      \
  INSTANTIATE_2D(T, im2col_cpu);                              \
  INSTANTIATE_2D(T, col2im_cpu);                              \
  INSTANTIATE_2D(T, im2col_gpu);                              \
  INSTANTIATE_2D(T, col2im_gpu)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
