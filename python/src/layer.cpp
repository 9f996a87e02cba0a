#include "python_layer.hpp"

namespace caffe {
namespace python {

namespace {

using FloatLayer = Layer<float>;
using FloatBlob = Blob<float>;

/// A layer's parameters, as a list of blobs that Python may extend. Blobs cannot be removed or
/// replaced: the layer uses them.
struct BlobVec {
  shared_ptr<FloatLayer> layer;
  vector<shared_ptr<FloatBlob>>& blobs() const { return layer->blobs(); }
};

py::list as_list(const BlobVec& all) {
  return py::cast(all.blobs());
}

void append(const BlobVec& all, const shared_ptr<FloatBlob>& blob) {
  if (blob == nullptr) throw py::type_error("expected a blob, not None");
  all.blobs().push_back(blob);
}

py::object add_blob(const BlobVec& all, const py::args& shape) {
  const py::object blob = py::type::of<FloatBlob>()(*shape);
  append(all, blob.cast<shared_ptr<FloatBlob>>());
  return py::none();
}

template <typename... Arguments>
void refuse(const BlobVec&, Arguments...) {
  throw py::type_error(
      "the blobs of a layer cannot be replaced or deleted: write into one, "
      "net.params[name][0].data[...] = array");
}

[[noreturn]] void not_implemented(const FloatLayer& layer, const char* what) {
  const string text = layer.name() + what;
  PyErr_SetString(PyExc_NotImplementedError, text.c_str());
  throw py::error_already_set();
}

void bind_blobs(py::module_* module) {
  py::class_<BlobVec>(*module, "BlobVec",
                      "A layer's parameters: weights first, then biases. A sequence of Blob.")
      .def("__len__", [](const BlobVec& all) { return all.blobs().size(); })
      .def("__getitem__",
           [](const BlobVec& all, py::ssize_t index) {
             return all.blobs()[checked_index(index, all.blobs().size(), "blob")];
           })
      .def("__getitem__",
           [](const BlobVec& all, const py::slice& range) { return py::list(as_list(all)[range]); })
      .def("__setitem__", &refuse<py::object, py::object>)
      .def("__delitem__", &refuse<py::object>)
      .def("__iter__", [](const BlobVec& all) { return py::iter(as_list(all)); })
      .def("__contains__",
           [](const BlobVec& all, const py::object& blob) { return as_list(all).contains(blob); })
      .def("append", &append, py::arg("blob"), "Adds a blob. TypeError for None.")
      .def(
          "extend",
          [](const BlobVec& all, const vector<shared_ptr<FloatBlob>>& blobs) {
            for (const shared_ptr<FloatBlob>& blob : blobs) append(all, blob);
          },
          py::arg("blobs"), "Adds several blobs.")
      .def("add_blob", &add_blob,
           "add_blob(3, 4): adds a blob of 3 x 4 zeros. A Python layer's setup creates its\n"
           "weights.");
}

}  // namespace

void bind_layer(py::module_* module) {
  bind_blobs(module);
  py::class_<LayerParameter>(*module, "LayerParameter",
                             "Caffe's arguments for a Python layer; passed to Layer.__init__.");
  py::class_<FloatLayer, shared_ptr<FloatLayer>, PythonLayer>(
      *module, "Layer",
      "A layer of a net, and the base class of layers written in Python:\n\n"
      "    class Double(caffe.Layer):\n"
      "        def setup(self, bottom, top):       # once; self.param_str, self.phase, self.blobs\n"
      "            self.factor = 2\n"
      "        def reshape(self, bottom, top):     # before every forward\n"
      "            top[0].reshape(*bottom[0].shape)\n"
      "        def forward(self, bottom, top):\n"
      "            top[0].data[...] = self.factor * bottom[0].data\n"
      "        def backward(self, top, propagate_down, bottom):\n"
      "            if propagate_down[0]:\n"
      "                bottom[0].diff[...] = self.factor * top[0].diff\n\n"
      "in a module on Python's path, and in the prototxt\n\n"
      "    layer { name: \"d\" type: \"Python\" bottom: \"x\" top: \"y\"\n"
      "            python_param { module: \"mine\" layer: \"Double\" param_str: \"...\" } }\n\n"
      "bottom and top are lists of Blob. What a method raises comes out of Net.forward (or\n"
      "wherever it was called from) as it is.")
      .def(py::init(
               [](const LayerParameter& param) { return std::make_shared<PythonLayer>(param); }),
           py::arg("param"))
      .def_property_readonly(
          "blobs", [](const shared_ptr<FloatLayer>& layer) { return BlobVec{layer}; },
          "The layer's parameters, a BlobVec.")
      .def_property_readonly("type", &FloatLayer::type, "As in the prototxt: \"Convolution\".")
      .def(
          "setup", [](const FloatLayer&, const py::object&, const py::object&) {},
          py::arg("bottom"), py::arg("top"), "A Python layer reads its parameters here, once.")
      .def(
          "reshape",
          [](const FloatLayer& layer, const py::object&, const py::object&) {
            not_implemented(layer, "its Python class has no method reshape(self, bottom, top)");
          },
          py::arg("bottom"), py::arg("top"),
          "A Python layer gives its tops their shapes here, before every forward.")
      .def(
          "forward",
          [](const FloatLayer& layer, const py::object&, const py::object&) {
            not_implemented(layer, "its Python class has no method forward(self, bottom, top)");
          },
          py::arg("bottom"), py::arg("top"), "A Python layer fills top[i].data here.")
      .def(
          "backward",
          [](const FloatLayer& layer, const py::object&, const py::object&, const py::object&) {
            not_implemented(layer,
                            "its Python class has no method backward(self, top, "
                            "propagate_down, bottom)");
          },
          py::arg("top"), py::arg("propagate_down"), py::arg("bottom"),
          "A Python layer fills bottom[i].diff here from top[i].diff where propagate_down[i].")
      .def("__repr__",
           [](const FloatLayer& layer) { return "<caffe.Layer " + string(layer.type()) + ">"; });
  register_python_layer();
}

}  // namespace python
}  // namespace caffe
