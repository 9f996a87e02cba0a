#include "python_layer.hpp"

namespace caffe {
namespace python {

py::object PythonLayer::self() const {
  return py::cast(static_cast<const Layer<float>*>(this), py::return_value_policy::reference);
}

void PythonLayer::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  const WithPython lock;
  const py::object object = self();
  object.attr("param_str") = to_str(layer_param_.python_param().param_str());
  object.attr("phase") = static_cast<int>(phase_);
  object.attr("setup")(to_list(bottom), to_list(top));
}

void PythonLayer::Reshape(const Blobs& bottom, const Blobs& top) {
  const WithPython lock;
  self().attr("reshape")(to_list(bottom), to_list(top));
}

void PythonLayer::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  const WithPython lock;
  self().attr("forward")(to_list(bottom), to_list(top));
}

void PythonLayer::Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                               const Blobs& bottom) {
  const WithPython lock;
  py::list down;
  for (const bool wanted : propagate_down) down.append(wanted);
  const char* const why = "propagate_down says which gradients are wanted: the net decides that";
  const py::object fixed = py::module_::import("caffe.fixed").attr("FixedList")(down, why);
  self().attr("backward")(to_list(top), fixed, to_list(bottom));
}

namespace {

/// The class that python_param names. Where it is not there, the exception is Python's own, with a
/// text that names the layer.
py::object class_of(const LayerParameter& param) {
  const PythonParameter& python = param.python_param();
  const string where = "layer '" + param.name() + "' (Python): ";
  try {
    return py::module_::import(python.module().c_str()).attr(python.layer().c_str());
  } catch (py::error_already_set& error) {
    string text;
    if (error.matches(PyExc_ModuleNotFoundError)) {
      text = where + "python_param's module is " + python.module() + ": " +
             py::str(error.value()).cast<string>() +
             "; the folder that it is in must be in PYTHONPATH or sys.path";
    } else if (error.matches(PyExc_AttributeError)) {
      text = where + py::str(error.value()).cast<string>();
    } else {
      throw;
    }
    py::raise_from(error, error.type().ptr(), text.c_str());
    throw py::error_already_set();
  }
}

/// Makes the object of the user's class. The result keeps the object, and the object keeps its C++
/// part.
shared_ptr<Layer<float>> create(const LayerParameter& param) {
  const WithPython lock;
  const PythonParameter& python = param.python_param();
  CAFFE_CHECK(!python.module().empty() && !python.layer().empty(),
              "layer '" << param.name() << "' (Python): python_param must name a module and, in "
                        << "it, a layer class");
  const py::object type = class_of(param);
  const py::object object = type(py::cast(param));
  CAFFE_CHECK(py::isinstance<Layer<float>>(object),
              "layer '" << param.name() << "' (Python): " << python.module() << "."
                        << python.layer() << " is no subclass of caffe.Layer");
  const shared_ptr<void> held = hold(object);
  Layer<float>* const layer = object.cast<Layer<float>*>();
  CAFFE_CHECK(
      layer != nullptr && dynamic_cast<PythonLayer*>(layer) != nullptr,
      "layer '" << param.name() << "' (Python): " << python.layer() << " did not make a layer");
  return shared_ptr<Layer<float>>(held, layer);
}

shared_ptr<Layer<double>> create_double(const LayerParameter& param) {
  CAFFE_FAIL("layer '" << param.name() << "' (Python): Python layers need nets of type float");
}

}  // namespace

void register_python_layer() {
  LayerRegistry<float>::AddCreator("Python", create);
  LayerRegistry<double>::AddCreator("Python", create_double);
}

}  // namespace python
}  // namespace caffe
