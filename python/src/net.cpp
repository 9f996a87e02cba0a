#include "caffe/net.hpp"

#include "caffe/util/io.hpp"
#include "net_calls.hpp"

namespace caffe {
namespace python {

namespace {

using FloatNet = Net<float>;
using NetPtr = shared_ptr<FloatNet>;
using AddCallback = void (FloatNet::*)(FloatNet::Callback*);

/// Calls a Python function with the index of the layer.
class NetCallback : public FloatNet::Callback, public PythonCallback {
 public:
  explicit NetCallback(const py::function& run) : PythonCallback({run}) {}

 protected:
  void run(int layer) override { call(0, layer); }
};

template <AddCallback add>
void add_callback(const NetPtr& net, const py::function& run) {
  auto callback = std::make_shared<NetCallback>(run);
  companion_of(net)->callbacks.push_back(callback);
  (net.get()->*add)(callback.get());
}

NetPtr make_net(const Path& network_file, int phase, int level,
                const std::optional<vector<string>>& stages, const std::optional<Path>& weights) {
  if (phase != TRAIN && phase != TEST) {
    throw py::value_error("phase must be caffe.TRAIN or caffe.TEST, not " + std::to_string(phase));
  }
  NetPtr net;
  {
    const WithoutPython without_python;
    net = std::make_shared<FloatNet>(network_file.string(), static_cast<Phase>(phase), level,
                                     stages ? &*stages : nullptr);
    if (weights) net->CopyTrainedLayersFrom(weights->string());
  }
  remember_shapes(*net, companion_of(net).get());
  return net;
}

/// The layers from `start` to `end`, both included; IndexError if there are none.
void check_layers(const FloatNet& net, int start, int end) {
  for (const int layer : {start, end}) {
    if (layer < 0 || layer >= static_cast<int>(net.layers().size())) {
      throw py::index_error("layer " + std::to_string(layer) + " of " +
                            std::to_string(net.layers().size()));
    }
  }
}

float forward(const NetPtr& net, int start, int end) {
  check_layers(*net, start, end);
  Running running(net, start, end);
  const float loss = net->ForwardFromTo(start, end);
  running.succeeded();
  return loss;
}

void backward(const NetPtr& net, int start, int end) {
  check_layers(*net, start, end);
  check_shapes(net, start, end);
  const Call call(companion_of(net));
  net->BackwardFromTo(start, end);
}

void keep_only(const NetPtr& net, const py::object& names) {
  if (py::isinstance<py::str>(names)) throw py::type_error("blobs must be a list of names");
  const auto blobs = names.cast<vector<string>>();
  const Call call(companion_of(net));
  net->KeepOnly(blobs);
}

void share_with(const NetPtr& net, const NetPtr& other) {
  if (other == nullptr) throw py::type_error("expected a net, not None");
  const Call call(companion_of(net));
  if (other != net) net->ShareTrainedLayersWith(other.get());
}

void save(const NetPtr& net, const Path& path) {
  const Call call(companion_of(net));
  NetParameter param;
  net->ToProto(&param);
  WriteProtoToBinaryFile(param, path.string());
}

py::list blobs_of(const FloatNet& net) {
  return py::cast(net.blobs());
}

const vector<int>& ids_of(const vector<int>& (FloatNet::*ids)(int) const, const FloatNet& net,
                          py::ssize_t layer) {
  return (net.*ids)(checked_index(layer, net.layers().size(), "layer"));
}

template <typename Class>
void bind_making(Class* net) {
  net->def(py::init([](const Path& network_file, const Path& weights, int phase) {
             return make_net(network_file, phase, 0, std::nullopt, weights);
           }),
           py::arg("network_file"), py::arg("weights"), py::arg("phase"))
      .def(py::init(&make_net), py::arg("network_file"), py::arg("phase"), py::arg("level") = 0,
           py::arg("stages") = py::none(), py::arg("weights") = py::none(),
           "Creates the net of a prototxt.\n\n"
           "phase: caffe.TRAIN or caffe.TEST. level, stages: the rest of the state that the\n"
           "layers' include and exclude rules test. weights: a .caffemodel or HDF5 file to copy\n"
           "from, by layer name. CaffeError names the file and the layer of an error.");
}

void fetch(const NetPtr& net, const vector<shared_ptr<Blob<float>>>& blobs, bool gradients) {
  vector<SyncedMemory*> blocks;
  for (const auto& blob : blobs) {
    blocks.push_back((gradients ? blob->diff() : blob->data()).get());
  }
  const Call call(companion_of(net));
  SyncedMemory::fetch(blocks);
}

template <typename Class>
void bind_running(Class* net) {
  net->def("_forward", &forward, py::arg("start"), py::arg("end"),
           "Runs layers start to end, both included, and returns their loss.")
      .def("_backward", &backward, py::arg("start"), py::arg("end"),
           "Runs backward from layer start down to layer end, both included.")
      .def("_fetch", &fetch, py::arg("blobs"), py::arg("gradients"),
           "Copies the blobs' values, or gradients, from the GPU, where they are there alone, with "
           "one\n"
           "wait for all of them.")
      .def(
          "reshape",
          [](const NetPtr& net) {
            Running running(net);
            net->Reshape();
            running.succeeded();
          },
          "Passes the shapes of the inputs through the net, without computing.")
      .def(
          "clear_param_diffs",
          [](const NetPtr& net) {
            const Call call(companion_of(net));
            net->ClearParamDiffs();
          },
          "Sets the gradients of all parameters to 0; backward adds to them.")
      .def("before_forward", &add_callback<&FloatNet::add_before_forward>, py::arg("run"),
           "Calls run(layer index) before each layer's forward, from now on.")
      .def("after_forward", &add_callback<&FloatNet::add_after_forward>, py::arg("run"),
           "Calls run(layer index) after each layer's forward, from now on.")
      .def("before_backward", &add_callback<&FloatNet::add_before_backward>, py::arg("run"),
           "Calls run(layer index) before each layer's backward, from now on.")
      .def("after_backward", &add_callback<&FloatNet::add_after_backward>, py::arg("run"),
           "Calls run(layer index) after each layer's backward, from now on.")
      .def(
          "keep_only", &keep_only, py::arg("blobs"),
          "Gives up Caffe's promise that every blob can be read after a pass.\n\n"
          "From now on only the inputs, the outputs and the blobs of these names, a list of str,\n"
          "can be; of the gradients, only those of the inputs and of the layers' own blobs. The\n"
          "memory of the others is used again, also for the next iteration, and layers may be\n"
          "joined. A net in phase TEST keeps only what a later layer reads; it runs backward only\n"
          "with force_backward: true in its prototxt. Later calls add names. Giving memory up\n"
          "changes no result. Reading a blob that was given up is a CaffeError; so is a name that\n"
          "the net does not have. Nothing is given up in a pass that debug_info or a callback of\n"
          "that pass watches, and no blob of which an array exists.")
      .def("_set_input_arrays", &set_input_arrays, py::arg("data"), py::arg("labels"));
}

template <typename Class>
void bind_files(Class* net) {
  net->def(
         "copy_from",
         [](const NetPtr& net, const Path& path) {
           const Call call(companion_of(net));
           net->CopyTrainedLayersFrom(path.string());
         },
         py::arg("weights"),
         "Copies the parameters from a .caffemodel or HDF5 file, by layer name. CaffeError, and\n"
         "nothing is copied, if a blob's shape differs.")
      .def("save", &save, py::arg("path"), "Writes the parameters to a .caffemodel.")
      .def(
          "save_hdf5",
          [](const NetPtr& net, const Path& path) {
            const Call call(companion_of(net));
            net->ToHDF5(path.string());
          },
          py::arg("path"), "Writes the parameters to an HDF5 file.")
      .def(
          "load_hdf5",
          [](const NetPtr& net, const Path& path) {
            const Call call(companion_of(net));
            net->CopyTrainedLayersFromHDF5(path.string());
          },
          py::arg("path"), "Copies the parameters from an HDF5 file, by layer name.")
      .def("share_with", &share_with, py::arg("other"),
           "Uses the memory of the other net's weights in the layers that both have, by name.");
}

template <typename Class>
void bind_parts(Class* net) {
  net->def_property_readonly("layers", &FloatNet::layers, "The layers, a list, first to last.")
      .def_property_readonly("_blobs", &blobs_of)
      .def_property_readonly("_blob_names",
                             [](const FloatNet& net) { return to_list(net.blob_names()); })
      .def_property_readonly("_layer_names",
                             [](const FloatNet& net) { return to_list(net.layer_names()); })
      .def_property_readonly("_blob_loss_weights", &FloatNet::blob_loss_weights)
      .def_property_readonly("_inputs", &FloatNet::input_blob_indices)
      .def_property_readonly("_outputs", &FloatNet::output_blob_indices)
      .def("_bottom_ids",
           [](const FloatNet& net, py::ssize_t layer) {
             return ids_of(&FloatNet::bottom_ids, net, layer);
           })
      .def("_top_ids", [](const FloatNet& net,
                          py::ssize_t layer) { return ids_of(&FloatNet::top_ids, net, layer); })
      .def_property_readonly(
          "name", [](const FloatNet& net) { return to_str(net.name()); },
          "The name in the prototxt.");
}

}  // namespace

void bind_net(py::module_* module) {
  py::class_<FloatNet, NetPtr> net(*module, "Net", py::dynamic_attr(),
                                   collect_callbacks<FloatNet>());
  bind_making(&net);
  bind_running(&net);
  bind_files(&net);
  bind_parts(&net);
}

}  // namespace python
}  // namespace caffe
