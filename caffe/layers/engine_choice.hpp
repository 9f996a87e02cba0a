#ifndef CAFFE_LAYERS_ENGINE_CHOICE_HPP_
#define CAFFE_LAYERS_ENGINE_CHOICE_HPP_

// Which class computes a layer: the plain one, which handles any shape and both devices, or an
// adapter to oneDNN (in CPU mode) or cuDNN (in GPU mode). The field `engine` in the layer's
// parameters chooses:
//
//   DEFAULT  the mode's adapter if there is one that supports the case, else the plain class
//   CAFFE    the plain class
//   CUDNN    in GPU mode as DEFAULT, in CPU mode the plain class. Where there is no cuDNN this is
//            not an error, so that a prototxt for training with cuDNN also runs here
//   ONEDNN   oneDNN's adapter; an Error with the reason if it does not support the case
//
// The thread's mode at the layer's construction counts. An adapter derives from the plain class and
// overrides the methods of its own device; the other device's remain the plain ones, so the layer
// also works after a later change of mode.

#include <string>

#include "caffe/layer.hpp"

namespace caffe {

/// A library with adapters.
enum class Library { kOneDnn, kCudnn };

template <typename Dtype>
struct EngineChoice {
  typedef shared_ptr<Layer<Dtype>> (*Maker)(const LayerParameter&);

  /// Registers a library's adapter for a layer type, at static initialisation; the last
  /// registration counts. The maker returns nullptr for a case that the adapter does not support;
  /// if the engine is ONEDNN, it may throw an Error with the reason instead.
  static void offer(Library library, const string& type, Maker maker);

  /// The layer for param.type(), where `engine` is the value of the type's own enum Engine (they
  /// all have the same values) and `plain` creates the plain class.
  static shared_ptr<Layer<Dtype>> make(const LayerParameter& param, int engine, Maker plain);
};

/// The plain maker for EngineChoice::make.
template <typename Dtype, template <typename> class LayerClass>
shared_ptr<Layer<Dtype>> make_plain(const LayerParameter& param) {
  return shared_ptr<Layer<Dtype>>(new LayerClass<Dtype>(param));
}

}  // namespace caffe

/// Registers `type` with a creator that chooses the engine: field is the name of the parameter's
/// message in LayerParameter.
#define REGISTER_LAYER_WITH_ENGINE(type, field)                                       \
  template <typename Dtype>                                                           \
  shared_ptr<Layer<Dtype>> Creator_##type##Layer(const LayerParameter& param) {       \
    return EngineChoice<Dtype>::make(param, static_cast<int>(param.field().engine()), \
                                     make_plain<Dtype, type##Layer>);                 \
  }                                                                                   \
  REGISTER_LAYER_CREATOR(type, Creator_##type##Layer)

/// The same for a type whose parameters have no field `engine`: always DEFAULT.
#define REGISTER_LAYER_WITH_ADAPTER(type)                                                    \
  template <typename Dtype>                                                                  \
  shared_ptr<Layer<Dtype>> Creator_##type##Layer(const LayerParameter& param) {              \
    return EngineChoice<Dtype>::make(param, static_cast<int>(ConvolutionParameter::DEFAULT), \
                                     make_plain<Dtype, type##Layer>);                        \
  }                                                                                          \
  REGISTER_LAYER_CREATOR(type, Creator_##type##Layer)

#endif  // CAFFE_LAYERS_ENGINE_CHOICE_HPP_
