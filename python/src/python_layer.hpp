#ifndef PYTHON_SRC_PYTHON_LAYER_HPP_
#define PYTHON_SRC_PYTHON_LAYER_HPP_

#include "caffe/layers/python_layer.hpp"
#include "call.hpp"

namespace caffe {
namespace python {

/// The C++ part of a layer written in Python:
///
///   layer { type: "Python" bottom: "x" top: "y" python_param { module: "mine" layer: "Double" } }
///
///   class Double(caffe.Layer):
///       def setup(self, bottom, top): ...                          # once; self.param_str is text
///       def reshape(self, bottom, top): top[0].reshape(*bottom[0].shape)
///       def forward(self, bottom, top): top[0].data[...] = 2 * bottom[0].data
///       def backward(self, top, propagate_down, bottom): ...
///
/// It is part of the Python object, which the net's shared_ptr keeps alive.
class PythonLayer : public ::caffe::PythonLayer<float> {
 public:
  using Layer<float>::Blobs;
  explicit PythonLayer(const LayerParameter& param) : ::caffe::PythonLayer<float>(param) {}

  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  py::object self() const;
};

}  // namespace python
}  // namespace caffe

#endif  // PYTHON_SRC_PYTHON_LAYER_HPP_
