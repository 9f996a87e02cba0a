#ifndef PYTHON_SRC_NET_CALLS_HPP_
#define PYTHON_SRC_NET_CALLS_HPP_

#include "caffe/net.hpp"
#include "call.hpp"

namespace caffe {
namespace python {

/// A Call that runs layers start to end forward, or reshapes them.
///
/// It records the shapes of the layers' blobs afterwards. A Python program may reshape a blob or
/// run only a part of the net. A layer whose blobs have changed since its own Reshape would then
/// read gradients outside their memory; check_shapes() prevents this.
class Running {
 public:
  explicit Running(const shared_ptr<Net<float>>& net);
  Running(const shared_ptr<Net<float>>& net, int start, int end);
  ~Running();
  /// If this is not called, the layers count as not run.
  void succeeded() { succeeded_ = true; }

 private:
  shared_ptr<Net<float>> net_;
  shared_ptr<Companion> companion_;
  int start_, end_;
  bool succeeded_ = false;
  Call call_;
};

/// Records the shapes of all layers of a net that was just made or run.
void remember_shapes(const Net<float>& net, Companion* companion);

/// CaffeError that names the layer if backward from layer start down to end would use wrong shapes.
void check_shapes(const shared_ptr<Net<float>>& net, int start, int end);

/// Lets the net's first layer, of type MemoryData, read from the arrays, which it then keeps.
/// CaffeError if the first layer has a different type or the arrays do not fit.
void set_input_arrays(const shared_ptr<Net<float>>& net, const py::object& data,
                      const py::object& labels);

}  // namespace python
}  // namespace caffe

#endif  // PYTHON_SRC_NET_CALLS_HPP_
