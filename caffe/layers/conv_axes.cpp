#include "caffe/layers/conv_axes.hpp"

#include <algorithm>
#include <cstdint>

#include "caffe/common.hpp"

namespace caffe {

namespace {

// So that sums and products of these numbers fit in an int.
constexpr int kMostSize = 1 << 24;
constexpr int64_t kMostExtent = 1 << 28;  // of a window

typedef google::protobuf::RepeatedField<google::protobuf::uint32> FieldValues;

/// A parameter with one value for all axes, one per axis, or, for two axes, an _h and a _w field.
struct AxisField {
  const char* name;
  const FieldValues* values;
  bool has_h_or_w;
  unsigned h, w;
  int otherwise;  // the default; -1: none
  int at_least;
};

std::vector<int> read_axis_field(const std::string& layer, const AxisField& field, int axes) {
  std::vector<int> out(std::max(axes, 1));
  const int given = field.values->size();
  if (field.has_h_or_w) {
    CAFFE_CHECK(given == 0, layer << "give " << field.name << " or its _h and _w, not both");
    CAFFE_CHECK(axes == 2, layer << field.name << "'s _h and _w are for two spatial axes, not "
                                 << axes << ": write " << field.name << " once for each axis");
    out[0] = static_cast<int>(field.h);
    out[1] = static_cast<int>(field.w);
  } else {
    CAFFE_CHECK(given > 0 || field.otherwise >= 0 || axes == 0,
                layer << field.name << " is missing");
    CAFFE_CHECK(given <= 1 || given == axes,
                layer << field.name << " has " << given << " values for " << axes
                      << " spatial axes: give one, or one for each axis");
    if (axes == 0) return {field.at_least};  // a window of one value, whatever is given
    for (int a = 0; a < axes; ++a) {
      out[a] =
          given == 0 ? field.otherwise : static_cast<int>(field.values->Get(given == 1 ? 0 : a));
    }
  }
  for (int a = 0; a < axes; ++a) {
    CAFFE_CHECK(out[a] >= field.at_least, layer << field.name << " is " << out[a]
                                                << ", which must be at least " << field.at_least);
    CAFFE_CHECK(out[a] <= kMostSize,
                layer << field.name << " is " << out[a] << ", which must be at most " << kMostSize);
  }
  return out;
}

}  // namespace

ConvAxes read_conv_axes(const std::string& layer, const ConvolutionParameter& p, int axes) {
  const AxisField kernel = {"kernel_size",
                            &p.kernel_size(),
                            p.has_kernel_h() || p.has_kernel_w(),
                            p.kernel_h(),
                            p.kernel_w(),
                            -1,
                            1};
  const AxisField stride = {
      "stride", &p.stride(), p.has_stride_h() || p.has_stride_w(), p.stride_h(), p.stride_w(), 1,
      1};
  const AxisField pad = {"pad", &p.pad(), p.has_pad_h() || p.has_pad_w(), p.pad_h(), p.pad_w(),
                         0,     0};
  const AxisField dilation = {"dilation", &p.dilation(), false, 0, 0, 1, 1};
  const ConvAxes found = {read_axis_field(layer, kernel, axes),
                          read_axis_field(layer, stride, axes), read_axis_field(layer, pad, axes),
                          read_axis_field(layer, dilation, axes)};
  for (size_t a = 0; a < found.kernel.size(); ++a) {
    const int64_t extent = static_cast<int64_t>(found.dilation[a]) * (found.kernel[a] - 1) + 1;
    CAFFE_CHECK(extent <= kMostExtent,
                layer << "kernel_size " << found.kernel[a] << " with dilation " << found.dilation[a]
                      << " is a window of " << extent << " values, which is too long");
  }
  return found;
}

}  // namespace caffe
