#include <cstdint>

#include "caffe/util/device.hpp"
#include "call.hpp"

namespace caffe {
namespace python {

namespace {

/// The values, or the gradient, as an array that is a view of them and keeps their memory.
py::array view(Blob<float>* blob, bool gradient) {
  const shared_ptr<SyncedMemory>& memory = gradient ? blob->diff() : blob->data();
  auto held = std::make_unique<shared_ptr<void>>(memory->share_cpu_data());
  float* const values = static_cast<float*>(held->get());
  const py::capsule base(held.get(),
                         [](void* mine) { delete static_cast<shared_ptr<void>*>(mine); });
  held.release();
  const vector<py::ssize_t> shape(blob->shape().begin(), blob->shape().end());
  return py::array_t<float>(shape, values, base);
}

/// The address of the values, or the gradient, on the GPU. AttributeError without a GPU, so that
/// hasattr() tells.
std::uintptr_t gpu_address(Blob<float>* blob, bool gradient) {
  if (device::count() == 0) {
    throw py::attribute_error("a Blob has an address on a GPU only where Caffe can use one");
  }
  gradient ? blob->gpu_diff() : blob->gpu_data();  // an error if the values were given up
  float* const values = gradient ? blob->mutable_gpu_diff() : blob->mutable_gpu_data();
  return reinterpret_cast<std::uintptr_t>(values);
}

vector<int> read_shape(const py::args& lengths) {
  vector<int> shape;
  for (const py::handle length : lengths) {
    const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(length.ptr()));
    if (!index) throw py::error_already_set();
    shape.push_back(index.cast<int>());
  }
  return shape;
}

py::tuple shape_of(const Blob<float>& blob) {
  py::tuple shape(blob.num_axes());
  for (int axis = 0; axis < blob.num_axes(); ++axis) shape[axis] = blob.shape(axis);
  return shape;
}

/// For assignments that would replace what only its values can be written to.
[[noreturn]] void refuse(const string& name) {
  throw py::attribute_error(name == "shape"
                                ? "blob.shape cannot be set: call blob.reshape(2, 3)"
                                : "blob." + name + " cannot be replaced: write into it, blob." +
                                      name + "[...] = array");
}

}  // namespace

void bind_blob(py::module_* module) {
  using FloatBlob = Blob<float>;
  py::class_<FloatBlob, shared_ptr<FloatBlob>>(
      *module, "Blob",
      "A float32 array and its gradient, of the same shape. ``data`` and ``diff`` are views\n"
      "without a copy; they stay valid, and keep their memory, if the net is deleted or the blob\n"
      "gets different memory, as that of a data layer does with every batch.")
      .def(py::init([](const py::args& shape) {
             return std::make_shared<FloatBlob>(read_shape(shape));
           }),
           "Blob(2, 3) is a blob of 2 x 3 zeros.")
      .def_property(
          "data", [](FloatBlob& blob) { return view(&blob, false); },
          [](const FloatBlob&, const py::object&) { refuse("data"); },
          "The values: a float32 array of shape ``shape``. In GPU mode they are copied at\n"
          "each access of this property; arrays from earlier accesses are not updated.")
      .def_property(
          "diff", [](FloatBlob& blob) { return view(&blob, true); },
          [](const FloatBlob&, const py::object&) { refuse("diff"); },
          "The gradient of the loss: a float32 array of shape ``shape``.")
      .def_property(
          "shape", &shape_of, [](const FloatBlob&, const py::object&) { refuse("shape"); },
          "The lengths of the axes, a tuple of int; reshape changes them.")
      .def_property_readonly(
          "_gpu_data_ptr", [](FloatBlob& blob) { return gpu_address(&blob, false); },
          "The address of the values on the GPU, an int, for libraries that compute there.\n"
          "They may be written: the next access of ``data`` copies them. The address is valid\n"
          "as long as the blob has this memory.")
      .def_property_readonly(
          "_gpu_diff_ptr", [](FloatBlob& blob) { return gpu_address(&blob, true); },
          "The address of the gradient on the GPU.")
      .def_property_readonly(
          "count", [](const FloatBlob& blob) { return blob.count(); }, "The number of values.")
      .def_property_readonly("num", &FloatBlob::num,
                             "The first of four axes. CaffeError if there are more than four.")
      .def_property_readonly("channels", &FloatBlob::channels, "The second of four axes.")
      .def_property_readonly("height", &FloatBlob::height, "The third of four axes.")
      .def_property_readonly("width", &FloatBlob::width, "The fourth of four axes.")
      .def(
          "reshape",
          [](FloatBlob& blob, const py::args& shape) { blob.Reshape(read_shape(shape)); },
          "reshape(2, 3, 224, 224): sets the lengths of the axes. The values are kept if\n"
          "the memory is large enough; otherwise all become 0. CaffeError if a length is\n"
          "negative or the blob would have more than 2**31 - 1 values.")
      .def("__repr__", [](const FloatBlob& blob) {
        return "<caffe.Blob of shape (" + shape_text(blob.shape()) + ")>";
      });
}

}  // namespace python
}  // namespace caffe
