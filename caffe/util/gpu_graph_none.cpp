// Graphs in a build without CUDA: there are none.

#include "caffe/util/error.hpp"
#include "caffe/util/gpu_graph.hpp"

namespace caffe {
namespace device {

namespace {

[[noreturn]] void no_cuda() {
  throw Error("this Caffe was built without CUDA: it cannot record work for a GPU");
}

}  // namespace

void Graph::prepare() {
  no_cuda();
}
void Graph::begin() {
  no_cuda();
}
std::unique_ptr<Graph> Graph::end() {
  no_cuda();
}
void Graph::abandon() noexcept {}
Graph::~Graph() = default;
void Graph::launch() const {
  no_cuda();
}
bool Graph::is_stale() const {
  return true;
}

}  // namespace device
}  // namespace caffe
