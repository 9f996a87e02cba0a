#include "caffe/layers/engine_choice.hpp"

namespace caffe {

namespace {

/// Created at the first use, since files register in any order, and never destroyed.
template <typename Dtype>
map<string, typename EngineChoice<Dtype>::Maker>& offers(Library library) {
  static auto* const all = new map<Library, map<string, typename EngineChoice<Dtype>::Maker>>();
  return (*all)[library];
}

/// The library's adapter; null if it has none for this case.
template <typename Dtype>
shared_ptr<Layer<Dtype>> adapter(Library library, const LayerParameter& param) {
  const auto& all = offers<Dtype>(library);
  const auto found = all.find(param.type());
  return found == all.end() ? nullptr : found->second(param);
}

}  // namespace

template <typename Dtype>
void EngineChoice<Dtype>::offer(Library library, const string& type, Maker maker) {
  offers<Dtype>(library)[type] = maker;
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> EngineChoice<Dtype>::make(const LayerParameter& param, int engine,
                                                   Maker plain) {
  const bool on_cpu = Caffe::mode() == Caffe::CPU;
  if (engine == ConvolutionParameter::ONEDNN) {
    const auto& all = offers<Dtype>(Library::kOneDnn);
    const auto describe = [&]() -> string {
      if (!on_cpu) return "oneDNN computes on the CPU, and the mode is GPU";
      if (all.count(param.type()) > 0)
        return "the oneDNN adapter does not support these parameters";
      return string("this Caffe has no oneDNN adapter for it in ") +
             (sizeof(Dtype) == sizeof(float) ? "float" : "double");
    };
    const shared_ptr<Layer<Dtype>> made =
        on_cpu ? adapter<Dtype>(Library::kOneDnn, param) : nullptr;
    CAFFE_CHECK(made != nullptr, "layer '" << param.name() << "' (" << param.type()
                                           << "): engine: ONEDNN: " << describe()
                                           << "; remove engine to use the default");
    return made;
  }
  if (engine == ConvolutionParameter::DEFAULT ||
      (engine == ConvolutionParameter::CUDNN && !on_cpu)) {
    const shared_ptr<Layer<Dtype>> made =
        adapter<Dtype>(on_cpu ? Library::kOneDnn : Library::kCudnn, param);
    if (made != nullptr) return made;
  }
  return plain(param);
}

template struct EngineChoice<float>;
template struct EngineChoice<double>;

}  // namespace caffe
