#include "caffe/layers/engine_choice.hpp"

namespace caffe {

namespace {

/// Created at the first use, since files register in any order, and never destroyed.
template <typename Dtype>
map<string, typename EngineChoice<Dtype>::Maker>& offers() {
  static auto* const all = new map<string, typename EngineChoice<Dtype>::Maker>();
  return *all;
}

}  // namespace

template <typename Dtype>
void EngineChoice<Dtype>::offer(const string& type, Maker maker) {
  offers<Dtype>()[type] = maker;
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> EngineChoice<Dtype>::make(const LayerParameter& param, int engine,
                                                   Maker plain) {
  const bool asked = engine == ConvolutionParameter::ONEDNN;
  if (!asked && engine != ConvolutionParameter::DEFAULT) return plain(param);
  const auto found = offers<Dtype>().find(param.type());
  string reason;
  if (Caffe::mode() != Caffe::CPU) {
    reason = "oneDNN computes on the CPU, and the mode is GPU";
  } else if (found == offers<Dtype>().end()) {
    reason = string("this Caffe has no oneDNN adapter for it in ") +
             (sizeof(Dtype) == sizeof(float) ? "float" : "double");
  } else {
    const shared_ptr<Layer<Dtype>> adapter = found->second(param);
    if (adapter != nullptr) return adapter;
    reason = "the oneDNN adapter does not support these parameters";
  }
  CAFFE_CHECK(!asked, "layer '" << param.name() << "' (" << param.type() << "): engine: ONEDNN: "
                                << reason << "; remove engine to use the default");
  return plain(param);
}

template struct EngineChoice<float>;
template struct EngineChoice<double>;

}  // namespace caffe
