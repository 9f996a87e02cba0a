#ifndef CAFFE_LAYER_FACTORY_HPP_
#define CAFFE_LAYER_FACTORY_HPP_

// Layer types by name. A layer class registers itself when its library is loaded:
//
//   template <typename Dtype> class DoubleLayer : public Layer<Dtype> { ... };
//   INSTANTIATE_CLASS(DoubleLayer);
//   REGISTER_LAYER_CLASS(Double);            // type: "Double" in a prototxt
//
// or, if the parameters decide which class to use, registers a function:
//   REGISTER_LAYER_CREATOR(Double, GetDoubleLayer);
// A layer need not be part of this library: load_layers("libmine.so") loads it at run time.

#include <map>
#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

template <typename Dtype>
class Layer;

template <typename Dtype>
class LayerRegistry {
 public:
  typedef shared_ptr<Layer<Dtype>> (*Creator)(const LayerParameter&);
  typedef std::map<string, Creator> CreatorRegistry;

  static CreatorRegistry& Registry();

  /// Registers a type. A second registration of the same name is ignored; load_layers, or the
  /// construction of the first layer of that name, reports it. (This function runs while a library
  /// loads, when nothing may be thrown.)
  static void AddCreator(const string& type, Creator creator);
  /// For an unknown type, throws an Error that lists the known types and suggests the nearest.
  static shared_ptr<Layer<Dtype>> CreateLayer(const LayerParameter& param);
  /// All types, sorted.
  static vector<string> LayerTypeList();
  static string LayerTypeListString();
};

template <typename Dtype>
class LayerRegisterer {
 public:
  LayerRegisterer(const string& type, typename LayerRegistry<Dtype>::Creator creator) {
    LayerRegistry<Dtype>::AddCreator(type, creator);
  }
};

/// Loads a shared library of layers, built with this library's headers, and returns the types it
/// adds. Throws an Error when the library cannot be loaded, adds no type (which is also so at a
/// second load), or has a type that is already registered; the first registration then remains.
vector<string> load_layers(const string& path);

}  // namespace caffe

#define REGISTER_LAYER_CREATOR(type, creator)                                       \
  static ::caffe::LayerRegisterer<float> g_creator_f_##type(#type, creator<float>); \
  static ::caffe::LayerRegisterer<double> g_creator_d_##type(#type, creator<double>)

#define REGISTER_LAYER_CLASS(type)                                                  \
  template <typename Dtype>                                                         \
  ::std::shared_ptr<::caffe::Layer<Dtype>> Creator_##type##Layer(                   \
      const ::caffe::LayerParameter& param) {                                       \
    return ::std::shared_ptr<::caffe::Layer<Dtype>>(new type##Layer<Dtype>(param)); \
  }                                                                                 \
  REGISTER_LAYER_CREATOR(type, Creator_##type##Layer)

#endif  // CAFFE_LAYER_FACTORY_HPP_
