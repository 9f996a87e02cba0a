#include "net_calls.hpp"

#include <algorithm>

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
                    << (known ? "its blobs have got other shapes since" : "it has failed in")
                    << " the last forward: run forward again before backward");
  }
}

void set_input_arrays(const shared_ptr<Net<float>>&, const py::object&, const py::object&) {
  CAFFE_FAIL("set_input_arrays may only be called if the first layer is a MemoryDataLayer");
}

}  // namespace python
}  // namespace caffe
