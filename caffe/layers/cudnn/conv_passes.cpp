#include "caffe/layers/cudnn/conv_passes.hpp"

#include <algorithm>

#include "caffe/layers/cudnn/plans.hpp"
#include "caffe/layers/cudnn/spread.hpp"
#include "caffe/util/gpu_workspace.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/mixed_gemm.hpp"

namespace caffe {
namespace cudnn {

namespace {

/// Whether cuDNN's kernels, which load 16 bytes at a time, may be given the pointer. Memory that a
/// program passed to Blob::set_gpu_data() may start anywhere.
bool fits(const void* operand) {
  return reinterpret_cast<uintptr_t>(operand) % 16 == 0;
}

/// A plan with its workspace and, behind it, a block for the plan's result.
template <typename Dtype>
struct WithResult {
  WithResult(const Convolution& convolution, int64_t values)
      : ready(Plans::current().prepare(convolution, static_cast<size_t>(values) * sizeof(Dtype))),
        result(reinterpret_cast<Dtype*>(ready.workspace + ready.bytes)) {}

  void run(Operands operands) const {
    operands.result = result;
    ready.plan->run(operands, ready.workspace, ready.bytes);
  }

  Plans::Ready ready;
  Dtype* result;
};

}  // namespace

template <typename Dtype>
void ConvPasses<Dtype>::reshape(int images, int out_channels, int groups,
                                const ConvGeometry& geometry) {
  const int axes = std::max(geometry.axes, 2);
  std::vector<int64_t> x = {images, geometry.channels},
                       w = {out_channels, geometry.channels / groups}, y = {images, out_channels};
  Convolution& c = plain_;
  c.pad.assign(axes, 0);
  c.stride.assign(axes, 1);
  c.dilation.assign(axes, 1);
  for (int a = 0; a < axes; ++a) {
    const int from = a - (axes - geometry.axes);  // the added axes come first
    x.push_back(from < 0 ? 1 : geometry.image[from]);
    w.push_back(from < 0 ? 1 : geometry.kernel[from]);
    y.push_back(from < 0 ? 1 : geometry.output[from]);
    if (from < 0) continue;
    c.pad[a] = geometry.pad[from];
    c.stride[a] = geometry.stride[from];
    c.dilation[a] = geometry.dilation[from];
  }
  c.x = Tensor::plain(x);
  c.w = Tensor::plain(w);
  c.y = Tensor::plain(y);
  weight_shape_.assign(w.begin(), w.end());
  channels_last_ = c;
  channels_last_.x = Tensor::channels_last(x);
  channels_last_.w = Tensor::channels_last(w);
  channels_last_.y = Tensor::channels_last(y);
  is_supported_ = axes <= 3 && c.x.values() > 0 && c.w.values() > 0 && c.y.values() > 0;
}

template <typename Dtype>
Convolution ConvPasses<Dtype>::described(Format format, Pass pass) const {
  Convolution wanted = format.order == Order::kNhwc ? channels_last_ : plain_;
  wanted.pass = pass;
  wanted.type = format.type;
  wanted.tf32 = format.type == ValueType::kFloat && rounds_to_tf32();
  return wanted;
}

template <typename Dtype>
bool ConvPasses<Dtype>::takes(Format format) const {
  return is_supported_ && Plans::current().find(described(format, Pass::kForward)) != nullptr;
}

template <typename Dtype>
bool ConvPasses<Dtype>::run(Format format, Pass pass, const Operands& operands, bool relu) const {
  if (!is_supported_) return false;
  for (const void* const operand : {operands.x, operands.w, operands.y, operands.bias,
                                    const_cast<const void*>(operands.result)}) {
    if (!fits(operand)) return false;
  }
  Convolution wanted = described(format, pass);
  wanted.bias = operands.bias != nullptr;
  wanted.relu = relu;
  return Plans::current().run(wanted, operands);
}

template <typename Dtype>
bool ConvPasses<Dtype>::forward(Format format, const void* x, const void* w, void* y) const {
  return run(format, Pass::kForward, {x, w, nullptr, nullptr, y});
}

template <typename Dtype>
bool ConvPasses<Dtype>::forward_fused(Format format, const void* x, const void* w, const void* bias,
                                      bool relu, void* y) const {
  return run(format, Pass::kForward, {x, w, nullptr, bias, y}, relu);
}

template <typename Dtype>
bool ConvPasses<Dtype>::data_gradient(Format format, const void* dy, const void* w,
                                      void* dx) const {
  const bool spreads = is_supported_ && format.order == Order::kNchw && skips_positions();
  if (spreads && fits(dy) && fits(w) && fits(dx) &&
      spread_data_gradient(static_cast<const Dtype*>(dy), static_cast<const Dtype*>(w),
                           static_cast<Dtype*>(dx))) {
    return true;
  }
  return run(format, Pass::kData, {nullptr, w, dy, nullptr, dx});
}

/// Whether the convolution reads only some positions, each once: a kernel of 1x1 with a stride and
/// without padding, as where a stage of a ResNet begins.
template <typename Dtype>
bool ConvPasses<Dtype>::skips_positions() const {
  const Convolution& c = plain_;
  bool strided = false;
  for (size_t a = 0; a < c.stride.size(); ++a) {
    if (c.w.lengths[2 + a] != 1 || c.pad[a] != 0) return false;
    strided = strided || c.stride[a] > 1;
  }
  return strided && !autotunes();  // timing finds the better of cuDNN's own
}

/// The gradient of the positions that the convolution reads, by a convolution without a stride, and
/// 0 at the others. cuDNN's heuristics choose well for the former; for the strided one they chose
/// kernels on an H200 that cost ResNet-152 up to 6 ms of a step.
template <typename Dtype>
bool ConvPasses<Dtype>::spread_data_gradient(const Dtype* dy, const Dtype* w, Dtype* dx) const {
  Convolution dense = described({Order::kNchw, type_of<Dtype>()}, Pass::kData);
  std::vector<int64_t> lengths = plain_.y.lengths;
  lengths[1] = plain_.x.lengths[1];
  dense.x = Tensor::plain(lengths);
  std::fill(dense.stride.begin(), dense.stride.end(), 1);
  std::fill(dense.dilation.begin(), dense.dilation.end(), 1);
  const WithResult<Dtype> memory(dense, dense.x.values());
  if (memory.ready.plan == nullptr) return false;
  memory.run({nullptr, w, dy});
  spread(plain_.x.lengths, plain_.stride, lengths, memory.result, dx);
  return true;
}

template <typename Dtype>
bool ConvPasses<Dtype>::add_weight_gradient(Format format, const void* x, const void* dy,
                                            Dtype* dw) const {
  if (!is_supported_ || !fits(x) || !fits(dy)) return false;
  const int64_t count = plain_.w.values();
  const WithResult<Dtype> memory(described(format, Pass::kWeights), count);
  if (memory.ready.plan == nullptr) return false;
  memory.run({x, nullptr, dy});
  if (is_half(format.type)) {
    half_to_nchw(weight_shape_, format.type, memory.result, reinterpret_cast<float*>(dw), true);
  } else if (format.order == Order::kNhwc) {
    nhwc_to_nchw(weight_shape_, memory.result, dw, true);
  } else {
    caffe_gpu_axpy(static_cast<int>(count), Dtype(1), memory.result, dw);
  }
  return true;
}

template class ConvPasses<float>;
template class ConvPasses<double>;

}  // namespace cudnn
}  // namespace caffe
