#ifndef CAFFE_LAYERS_ENGINE_CHOICE_HPP_
#define CAFFE_LAYERS_ENGINE_CHOICE_HPP_

// Which class computes a layer: the plain one, which takes any shape and both devices, or an
// adapter to oneDNN. A field `engine` in the layer's parameters says what is wanted:
//
//   DEFAULT  in CPU mode the adapter when there is one and it takes the case, else the plain class
//   CAFFE    the plain class
//   CUDNN    the plain class where cuDNN cannot serve: in a build without CUDA and in CPU mode.
//   That
//            is no error, so that one prototxt serves training on a GPU and a look at it anywhere
//   ONEDNN   the adapter; an Error that says why when it cannot serve
//
// The mode that counts is the thread's when the layer is made. An adapter derives from the plain
// class and overrides Forward_cpu and Backward_cpu; the GPU methods stay the plain ones, so that a
// later change of mode is right, too.

#include <string>

#include "caffe/layer.hpp"

namespace caffe {

template <typename Dtype>
struct EngineChoice {
  typedef shared_ptr<Layer<Dtype>> (*Maker)(const LayerParameter&);

  /// Offers oneDNN's adapter for a layer type, at static initialisation; the last offer counts. The
  /// maker returns nullptr for a case the adapter does not support. Where the engine is ONEDNN it
  /// may throw an Error with the reason instead.
  static void offer(const string& type, Maker maker);

  /// The layer for param.type(), with `engine` the value of the type's own enum Engine (they are
  /// all alike) and `plain` the maker of the plain class.
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

/// The same for a type whose parameters have no field `engine`: as DEFAULT.
#define REGISTER_LAYER_WITH_ADAPTER(type)                                                    \
  template <typename Dtype>                                                                  \
  shared_ptr<Layer<Dtype>> Creator_##type##Layer(const LayerParameter& param) {              \
    return EngineChoice<Dtype>::make(param, static_cast<int>(ConvolutionParameter::DEFAULT), \
                                     make_plain<Dtype, type##Layer>);                        \
  }                                                                                          \
  REGISTER_LAYER_CREATOR(type, Creator_##type##Layer)

#endif  // CAFFE_LAYERS_ENGINE_CHOICE_HPP_
