#include <glog/logging.h>

#include "caffe/layers/keeps_weights.hpp"
#include "caffe/util/benchmark.hpp"
#include "caffe/util/dialects.hpp"
#include "caffe/util/log_state.hpp"
#include "caffe/util/math_mode.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "caffe/util/weights.hpp"
#include "call.hpp"

namespace caffe {
namespace python {

namespace {

/// caffe.CaffeError for caffe::Error. The message may quote bytes of a damaged file.
void bind_errors(py::module_* module) {
  static py::handle caffe_error;
  caffe_error = PyErr_NewExceptionWithDoc(
      "caffe.CaffeError",
      "An error in a file, a net or the arguments of a function. The message names the\n"
      "file, layer or blob and says what to correct.",
      PyExc_RuntimeError, nullptr);
  if (!caffe_error) throw py::error_already_set();
  module->attr("CaffeError") = caffe_error;
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const Error& error) {
      const string text = error.what();
      PyObject* message = PyUnicode_DecodeUTF8(text.data(), static_cast<py::ssize_t>(text.size()),
                                               "backslashreplace");
      if (message == nullptr) return;
      PyErr_SetObject(caffe_error.ptr(), message);
      Py_DECREF(message);
    }
  });
}

void start_log() {
  if (log_has_started()) return;
  FLAGS_logtostderr = true;
  google::InitGoogleLogging("caffe");
}

void init_log(int level, bool to_stderr) {
  FLAGS_minloglevel = level;
  FLAGS_logtostderr = to_stderr;
}

unsigned int checked_seed(long long seed) {
  if (seed < 0 || seed > static_cast<long long>(UINT_MAX)) {
    throw py::value_error("a seed must be a number from 0 to 4294967295, not " +
                          std::to_string(seed));
  }
  return static_cast<unsigned int>(seed);
}

void bind_settings(py::module_* module) {
  module->def(
      "set_mode_cpu", [] { Caffe::set_mode(Caffe::CPU); },
      "From now on this thread computes on the CPU.");
  module->def(
      "set_mode_gpu", [] { Caffe::set_mode(Caffe::GPU); },
      "From now on this thread computes on its GPU.");
  module->def("set_device", &Caffe::SetDevice, py::arg("device"),
              "Selects a GPU for this thread. CaffeError if no GPU has that number.");
  module->def(
      "set_random_seed", [](long long seed) { Caffe::set_random_seed(checked_seed(seed)); },
      py::arg("seed"), "From now on this thread draws the random numbers of this seed.");
  module->def("solver_count", &Caffe::solver_count,
              "The number of solvers that train one net together.");
  module->def("set_solver_count", &Caffe::set_solver_count, py::arg("count"),
              "Sets the number of solvers that train one net together.");
  module->def("solver_rank", &Caffe::solver_rank,
              "The rank of this thread's solver; the first is 0.");
  module->def("set_solver_rank", &Caffe::set_solver_rank, py::arg("rank"),
              "Sets the rank of this thread's solver.");
  module->def("set_multiprocess", &Caffe::set_multiprocess, py::arg("multiprocess"),
              "Whether the solvers that train together are processes, not threads.");
}

void bind_dialect(py::module_* module) {
  module->def(
      "set_dialect", &set_dialect, py::arg("name"),
      "Sets the fork of Caffe whose rules hold, in nets that are made from now on, where two\n"
      "forks give a layer type two meanings: 'ssd', 'pspnet', 'segnet' ... (docs/forks.md).\n"
      "'', the start: each net's own types and fields decide. CaffeError lists the names if\n"
      "there is none of that name.");
  module->def("dialect", &chosen_dialect, "The dialect that set_dialect chose; '' if none.");
}

void bind_math_mode(py::module_* module) {
  module->def(
      "set_math_mode", [](const string& name) { set_math_mode(math_mode_of(name)); },
      py::arg("name"),
      "Sets what nets that this thread makes from now on store their activations in and\n"
      "multiply matrices in: 'FLOAT' (at the start), 'BF16', 'FP16' or 'TF32'\n"
      "(docs/math-modes.md). A solver whose prototxt has a math_mode takes that. CaffeError\n"
      "if there is no such mode; a net whose device does not have it raises one when it is\n"
      "made.");
  module->def(
      "math_mode", [] { return math_mode_name(math_mode()); },
      "The mode that set_math_mode chose for this thread.");
}

void bind_log(py::module_* module) {
  module->def(
      "init_log", &init_log, py::arg("level") = 0, py::arg("stderr") = true,
      "Which lines are logged: 0 all, 1 warnings and errors, 2 errors; and whether they go\n"
      "to stderr or into glog's files.");
  module->def(
      "log", [](const string& text) { LOG(INFO) << text; }, py::arg("text"),
      "Writes a line to Caffe's log.");
}

void bind_timer(py::module_* module) {
  py::class_<Timer>(*module, "Timer",
                    "A stopwatch. In GPU mode it first waits for the GPU's queued work.")
      .def(py::init<>())
      .def("start", &Timer::Start, "Starts it; does nothing if it is running.")
      .def("stop", &Timer::Stop, "Stops it; does nothing if it is not running.")
      .def_property_readonly("ms", &Timer::MilliSeconds,
                             "Milliseconds from the last start to stop; stops a running one.");
}

}  // namespace

}  // namespace python
}  // namespace caffe

PYBIND11_MODULE(_caffe, module) {
  namespace py = pybind11;
  using namespace caffe::python;  // NOLINT
  module.doc() = "The engine's Python interface; import caffe instead.";
  start_log();
  caffe::KeepsWeights::allow_keeping_everywhere();  // arrays hold what they look at
  wait_for_threads_at_exit();
  bind_errors(&module);
  bind_settings(&module);
  bind_dialect(&module);
  bind_math_mode(&module);
  bind_log(&module);
  bind_timer(&module);
  module.def(
      "layer_type_list", [] { return to_list(caffe::LayerRegistry<float>::LayerTypeList()); },
      "All layer types, sorted.");
  module.def(
      "load_layers", [](const Path& path) { return to_list(caffe::load_layers(path.string())); },
      py::arg("path"),
      "Loads a shared library of layers and returns the types it adds. CaffeError if it cannot\n"
      "be loaded, adds no type, or has a type that is already registered.");
  module.def(
      "read_net",
      [](const Path& path, bool dialects) {
        caffe::NetParameter net;
        caffe::ReadNetParamsFromTextFileOrDie(path.string(), &net);
        if (dialects) caffe::resolve_dialect(caffe::find_dialect(net), &net);
        return py::bytes(net.SerializeAsString());
      },
      py::arg("path"), py::arg("dialects") = false,
      "The net of a prototxt as a serialized NetParameter; for caffe.io.read_net. With dialects\n"
      "it is written into the layers which fork's rules hold for them, as when a net is made.");
  module.def(
      "read_weights",
      [](const Path& path) {
        caffe::NetParameter net;
        caffe::ReadWeightsFromBinaryFile(path.string(), &net);
        return py::bytes(net.SerializeAsString());
      },
      py::arg("path"),
      "A caffemodel's names, types and blobs as a serialized NetParameter; for\n"
      "caffe.io.read_weights.");
  bind_blob(&module);
  bind_layer(&module);
  bind_net(&module);
  bind_ranks(&module);  // before the solvers, which take a Communicator
  bind_solver(&module);
  bind_nccl(&module);
}
