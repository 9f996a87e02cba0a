#include "net_calls.hpp"

#include <algorithm>

#include "caffe/layers/memory_data_layer.hpp"

namespace caffe {
namespace python {

namespace {

/// One number for the shapes of a layer's bottoms and tops; never 0.
uint64_t shapes_of(const Net<float>& net, int layer) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a
  const auto add = [&hash](uint64_t value) { hash = (hash ^ value) * 1099511628211u; };
  for (const auto* blobs : {&net.bottom_vecs()[layer], &net.top_vecs()[layer]}) {
    for (const Blob<float>* blob : *blobs) {
      add(static_cast<uint64_t>(blob->num_axes()));
      for (const int length : blob->shape()) add(static_cast<uint64_t>(length));
    }
  }
  return std::max<uint64_t>(hash, 1);
}

/// The object as an array of four axes that the engine can use without a copy.
py::array checked_array(const py::object& object, const char* what) {
  if (!py::isinstance<py::array>(object)) {
    throw py::type_error(string(what) + " must be a NumPy array");
  }
  const auto array = py::reinterpret_borrow<py::array>(object);
  CAFFE_CHECK(py::isinstance<py::array_t<float>>(array), what << " array must be float32");
  CAFFE_CHECK((array.flags() & py::array::c_style) != 0, what << " array must be C contiguous");
  CAFFE_CHECK(array.ndim() == 4, what << " array must be 4-d, not " << array.ndim() << "-d");
  CAFFE_CHECK(array.writeable(), what << " array must be writeable: the engine gives it to blobs");
  return array;
}

/// The values, which keep the array alive.
shared_ptr<float> values_of(const py::array& array) {
  return shared_ptr<float>(hold(array), static_cast<float*>(const_cast<void*>(array.data())));
}

}  // namespace

Running::Running(const shared_ptr<Net<float>>& net)
    : Running(net, 0, static_cast<int>(net->layers().size()) - 1) {}

Running::Running(const shared_ptr<Net<float>>& net, int start, int end)
    : net_(net), companion_(companion_of(net)), start_(start), end_(end), call_(companion_) {}

Running::~Running() {
  companion_->shapes.resize(net_->layers().size());
  for (int layer = start_; layer <= end_; ++layer) {
    companion_->shapes[layer] = succeeded_ ? shapes_of(*net_, layer) : 0;
  }
}

void remember_shapes(const Net<float>& net, Companion* companion) {
  companion->shapes.clear();
  for (size_t layer = 0; layer < net.layers().size(); ++layer) {
    companion->shapes.push_back(shapes_of(net, static_cast<int>(layer)));
  }
}

void check_shapes(const shared_ptr<Net<float>>& net, int start, int end) {
  const vector<uint64_t>& noted = companion_of(net)->shapes;
  for (int layer = start; layer >= end; --layer) {
    const bool known = layer < static_cast<int>(noted.size()) && noted[layer] != 0;
    CAFFE_CHECK(known && noted[layer] == shapes_of(*net, layer),
                net->layers()[layer]->name()
                    << (known ? "its blobs have changed shape since" : "it has failed in")
                    << " the last forward: run forward again before backward");
  }
}

void set_input_arrays(const shared_ptr<Net<float>>& net, const py::object& data,
                      const py::object& labels) {
  const auto layer = std::dynamic_pointer_cast<MemoryDataLayer<float>>(net->layers().at(0));
  CAFFE_CHECK(layer != nullptr,
              "set_input_arrays may only be called if the first layer is a "
              "MemoryDataLayer");
  const py::array images = checked_array(data, "data");
  const py::array numbers = checked_array(labels, "labels");
  const py::ssize_t rows = images.shape(0);
  CAFFE_CHECK(numbers.shape(0) == rows && numbers.size() == rows,
              "there are " << rows << " rows of data and " << numbers.shape(0) << " x "
                           << (numbers.shape(0) == 0 ? 0 : numbers.size() / numbers.shape(0))
                           << " labels: give one label for each");
  CAFFE_CHECK(images.shape(1) == layer->channels() && images.shape(2) == layer->height() &&
                  images.shape(3) == layer->width(),
              layer->name() << "takes images of " << layer->channels() << " x " << layer->height()
                            << " x " << layer->width() << ", not " << images.shape(1) << " x "
                            << images.shape(2) << " x " << images.shape(3));
  CAFFE_CHECK(rows <= INT_MAX, "there are " << rows << " rows: give fewer at a time");
  const shared_ptr<float> image_values = values_of(images), number_values = values_of(numbers);
  const Call call(companion_of(net));
  layer->Reset(image_values, number_values, static_cast<int>(rows));
}

}  // namespace python
}  // namespace caffe
