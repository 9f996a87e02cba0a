// A library with one layer, loaded at run time by test_layer_factory.cpp.

#include "tests/cpp/engine/toy_layer.hpp"

namespace caffe {

template <typename Dtype>
class ThriceLayer : public TimesLayer<Dtype, 3> {
 public:
  explicit ThriceLayer(const LayerParameter& param) : TimesLayer<Dtype, 3>(param) {}
  virtual inline const char* type() const { return "Thrice"; }
};

INSTANTIATE_CLASS(ThriceLayer);
REGISTER_LAYER_CLASS(Thrice);

}  // namespace caffe
