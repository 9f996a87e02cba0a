#ifndef CAFFE_LAYERS_PYTHON_LAYER_HPP_
#define CAFFE_LAYERS_PYTHON_LAYER_HPP_

#include "caffe/layer.hpp"

namespace caffe {

/// A layer written in Python (type "Python"). The class that calls the Python object is in
/// pycaffe's extension, which registers the type when it is imported (python/src/python_layer.hpp);
/// a C++ program can ask whether a layer is one: dynamic_cast<PythonLayer<float>*>(layer).
template <typename Dtype>
class PythonLayer : public Layer<Dtype> {
 public:
  explicit PythonLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  const char* type() const override { return "Python"; }
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_PYTHON_LAYER_HPP_
