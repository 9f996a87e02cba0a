#include "caffe/layers/cudnn/plan.hpp"

#include <sstream>
#include <utility>

#include "caffe/util/device.hpp"

namespace caffe {
namespace cudnn {

namespace {

std::string by(const std::vector<int64_t>& lengths) {
  std::ostringstream text;
  for (size_t i = 0; i < lengths.size(); ++i) text << (i == 0 ? "" : "x") << lengths[i];
  return text.str();
}

}  // namespace

Tensor Tensor::plain(std::vector<int64_t> lengths) {
  Tensor tensor;
  tensor.strides.assign(lengths.size(), 1);
  for (size_t i = lengths.size(); i-- > 1;) {
    tensor.strides[i - 1] = tensor.strides[i] * lengths[i];
  }
  tensor.lengths = std::move(lengths);
  return tensor;
}

Tensor Tensor::channels_last(std::vector<int64_t> lengths) {
  Tensor tensor;
  tensor.strides.assign(lengths.size(), 1);
  int64_t stride = lengths[1];
  for (size_t i = lengths.size(); i-- > 2;) {
    tensor.strides[i] = stride;
    stride *= lengths[i];
  }
  tensor.strides[0] = stride;
  tensor.lengths = std::move(lengths);
  return tensor;
}

int64_t Tensor::values() const {
  int64_t product = 1;
  for (const int64_t length : lengths) product *= length;
  return product;
}

int64_t Tensor::extent() const {
  int64_t last = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] == 0) return 0;
    last += (lengths[i] - 1) * strides[i];
  }
  return last + 1;
}

const char* name_of(Pass pass) {
  switch (pass) {
    case Pass::kForward:
      return "forward pass";
    case Pass::kData:
      return "data gradient";
    case Pass::kWeights:
      return "weight gradient";
  }
  return "";
}

std::string Convolution::describe() const {
  std::ostringstream text;
  text << name_of(pass) << (bias ? " with bias" : "") << (relu ? " and ReLU" : "") << " of "
       << by(x.lengths) << " by " << by(w.lengths) << ", stride " << by(stride) << ", pad "
       << by(pad);
  if (by(dilation) != by(std::vector<int64_t>(dilation.size(), 1))) {
    text << ", dilation " << by(dilation);
  }
  text << ", " << name_of(type) << (tf32 ? " as TF32" : "");
  if (!(x == Tensor::plain(x.lengths))) text << ", x not row by row";
  return text.str();
}

bool autotunes() {
  static const bool asked = device::is_asked_for("CAFFE_CUDNN_AUTOTUNE");
  return asked;
}

}  // namespace cudnn
}  // namespace caffe
