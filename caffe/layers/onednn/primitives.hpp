#ifndef CAFFE_LAYERS_ONEDNN_PRIMITIVES_HPP_
#define CAFFE_LAYERS_ONEDNN_PRIMITIVES_HPP_

// Descriptions of oneDNN's primitives, for its versions 2 and 3: the only place that handles their
// differences. All use scratch memory of the caller (Slot::kPrimitive).

#include <string>

#include "caffe/layers/onednn/memory.hpp"

namespace caffe {
namespace onednn {

inline dnnl::primitive_attr attributes() {
  dnnl::primitive_attr result;
  result.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return result;
}

/// Attributes of a primitive that ends with a ReLU.
inline dnnl::primitive_attr attributes_with_relu(float slope) {
  dnnl::post_ops relu;
#if DNNL_VERSION_MAJOR < 3
  relu.append_eltwise(1.f, dnnl::algorithm::eltwise_relu, slope, 0.f);
#else
  relu.append_eltwise(dnnl::algorithm::eltwise_relu, slope, 0.f);
#endif
  dnnl::primitive_attr result = attributes();
  result.set_post_ops(relu);
  return result;
}

/// The description of a primitive. The arguments are those of version 3 without engine and
/// attributes; version 2's operation descriptor takes the same.
template <typename Primitive, typename... Args>
typename Primitive::primitive_desc describe_with(const dnnl::primitive_attr& attributes,
                                                 const Args&... args) {
#if DNNL_VERSION_MAJOR < 3
  return {typename Primitive::desc(args...), attributes, cpu_engine()};
#else
  return {cpu_engine(), args..., attributes};
#endif
}

/// The same without more attributes.
template <typename Primitive, typename... Args>
typename Primitive::primitive_desc describe(const Args&... args) {
  return describe_with<Primitive>(attributes(), args...);
}

/// The same for a backward pass; `forward` describes its forward pass.
template <typename Primitive, typename Forward, typename... Args>
typename Primitive::primitive_desc describe_backward(const Forward& forward, const Args&... args) {
#if DNNL_VERSION_MAJOR < 3
  return {typename Primitive::desc(args...), attributes(), cpu_engine(), forward};
#else
  return {cpu_engine(), args..., forward, attributes()};
#endif
}

/// Whether oneDNN has more than a slow reference implementation for it.
template <typename Description>
bool is_fast(const Description& description) {
  return std::string(description.impl_info_str()).find("ref") == std::string::npos;
}

// ---- primitives with different arguments in version 3

struct PoolingShape {
  dnnl::algorithm algorithm;
  Dims strides, kernel, pad_low, pad_high;
};

inline dnnl::pooling_forward::primitive_desc describe_pooling(const Layout& from, const Layout& to,
                                                              const PoolingShape& shape) {
  const auto kind = dnnl::prop_kind::forward_training;
#if DNNL_VERSION_MAJOR < 3
  return describe<dnnl::pooling_forward>(kind, shape.algorithm, from, to, shape.strides,
                                         shape.kernel, shape.pad_low, shape.pad_high);
#else
  return describe<dnnl::pooling_forward>(kind, shape.algorithm, from, to, shape.strides,
                                         shape.kernel, Dims(shape.kernel.size(), 0), shape.pad_low,
                                         shape.pad_high);
#endif
}

inline dnnl::pooling_backward::primitive_desc describe_pooling_backward(
    const dnnl::pooling_forward::primitive_desc& forward, const PoolingShape& shape) {
#if DNNL_VERSION_MAJOR < 3
  return describe_backward<dnnl::pooling_backward>(forward, shape.algorithm, forward.src_desc(),
                                                   forward.dst_desc(), shape.strides, shape.kernel,
                                                   shape.pad_low, shape.pad_high);
#else
  return describe_backward<dnnl::pooling_backward>(
      forward, shape.algorithm, forward.src_desc(), forward.dst_desc(), shape.strides, shape.kernel,
      Dims(shape.kernel.size(), 0), shape.pad_low, shape.pad_high);
#endif
}

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_PRIMITIVES_HPP_
