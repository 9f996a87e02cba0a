#ifndef CAFFE_PYTHON_NET_CALLS_HPP_
#define CAFFE_PYTHON_NET_CALLS_HPP_

#include "caffe/net.hpp"
#include "call.hpp"

namespace caffe {
namespace python {

/// A Call that runs layers start to end forward, or reshapes them.
///
/// It notes what shapes the layers' blobs have afterwards. Anybody may reshape a blob from Python,
/// or run a part of the net only; a layer whose blobs have changed since its own Reshape would read
/// gradients where there is no memory, and check_shapes() is what stops it.
class Running {
 public:
  explicit Running(const shared_ptr<Net<float>>& net);
  Running(const shared_ptr<Net<float>>& net, int start, int end);
  ~Running();
  /// Without this call the layers count as not run.
  void succeeded() { succeeded_ = true; }

 private:
  shared_ptr<Net<float>> net_;
  shared_ptr<Companion> companion_;
  int start_, end_;
  bool succeeded_ = false;
  Call call_;
};

/// Notes the shapes of all layers of a net that has just been made or run.
void remember_shapes(const Net<float>& net, Companion* companion);

/// CaffeError that names the layer when backward from layer start down to end would go wrong.
void check_shapes(const shared_ptr<Net<float>>& net, int start, int end);

/// Lets the net's first layer, of type MemoryData, read from the arrays, which it then holds.
/// CaffeError when the first layer is another, or the arrays do not fit.
void set_input_arrays(const shared_ptr<Net<float>>& net, const py::object& data,
                      const py::object& labels);

}  // namespace python
}  // namespace caffe

#endif  // CAFFE_PYTHON_NET_CALLS_HPP_
