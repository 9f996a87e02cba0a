// A library with a layer whose name test_layer_factory.cpp has already registered.

#include "tests/cpp/engine/toy_layer.hpp"

namespace caffe {

namespace {

template <typename Dtype>
class TakenLayer : public TimesLayer<Dtype, 5> {
 public:
  explicit TakenLayer(const LayerParameter& param) : TimesLayer<Dtype, 5>(param) {}
};

template <typename Dtype>
shared_ptr<Layer<Dtype>> make_taken(const LayerParameter& param) {
  return std::make_shared<TakenLayer<Dtype>>(param);
}

}  // namespace

REGISTER_LAYER_CREATOR(Taken, make_taken);

}  // namespace caffe
