// caffe.NCCL, with which scripts for BVLC Caffe train on several GPUs.

#include "caffe/parallel.hpp"
#include "caffe/parallel/nccl_sums.hpp"
#include "call.hpp"

namespace caffe {
namespace python {

namespace {

using Nccl = NCCL<float>;
using NcclPtr = shared_ptr<Nccl>;
using SolverPtr = shared_ptr<Solver<float>>;
using NetPtr = shared_ptr<Net<float>>;

/// The end of a rank may wait for the others, which may need Python for theirs.
void end(Nccl* nccl) {
  if (PyGILState_Check() == 0) {
    delete nccl;
    return;
  }
  const WithoutPython without_python;
  delete nccl;
}

NcclPtr make(const SolverPtr& solver, const py::bytes& uid) {
  if (solver == nullptr) throw py::type_error("expected a solver, not None");
  const string id = uid;
  const WithoutPython without_python;
  return NcclPtr(new Nccl(solver, id), end);
}

void broadcast(const NcclPtr& nccl) {
  const WithoutPython without_python;
  nccl->Broadcast();
}

/// Keeps an NCCL for the solver or net to which it was given. It calls nothing of Python's.
class HeldNccl : public PythonCallback {
 public:
  explicit HeldNccl(NcclPtr nccl) : PythonCallback({}), nccl_(std::move(nccl)) {}

 private:
  const NcclPtr nccl_;
};

template <typename T>
void hold_for(const shared_ptr<T>& object, const NcclPtr& nccl) {
  if (nccl == nullptr) throw py::type_error("expected an NCCL, not None");
  companion_of(object)->callbacks.push_back(std::make_shared<HeldNccl>(nccl));
}

/// solver.add_callback(nccl) and net.after_backward(nccl), beside those that take functions.
void bind_registering(py::module_* module) {
  using SolverClass = py::class_<Solver<float>, SolverPtr>;
  using NetClass = py::class_<Net<float>, NetPtr>;
  py::reinterpret_borrow<SolverClass>(module->attr("Solver"))
      .def(
          "add_callback",
          [](const SolverPtr& solver, const NcclPtr& nccl) {
            hold_for(solver, nccl);
            solver->add_callback(nccl.get());
          },
          py::arg("nccl"),
          "Gradients are the mean of all ranks' from now on, also for callbacks that are added\n"
          "later.");
  py::reinterpret_borrow<NetClass>(module->attr("Net"))
      .def(
          "after_backward",
          [](const NetPtr& net, const NcclPtr& nccl) {
            hold_for(net, nccl);
            net->add_after_backward(nccl.get());
          },
          py::arg("nccl"),
          "The sums of a layer's gradients start behind its backward pass from now on; with the\n"
          "NCCL of this net's solver, which was given to it with add_callback.");
}

}  // namespace

void bind_nccl(py::module_* module) {
  py::class_<Nccl, NcclPtr>(
      *module, "NCCL",
      "A rank of several GPUs that train one net: solver.add_callback(nccl) averages the\n"
      "gradients over all. solver_count, solver_rank, the device and GPU mode are set first;\n"
      "docs/ranks.md shows a script.")
      .def(py::init(&make), py::arg("solver"), py::arg("uid"), py::keep_alive<1, 2>(),
           "Connects this thread's GPU with the others'; returns when all have done so. uid:\n"
           "what one of them got from new_uid(). CaffeError in CPU mode, if this build has no\n"
           "NCCL, or if the GPUs cannot be connected.")
      .def_static(
          "new_uid", [] { return py::bytes(Nccl::new_uid()); },
          "128 bytes that connect a group of GPUs, for one group. CaffeError without NCCL.")
      .def("bcast", &broadcast, "Gives all ranks the weights of rank 0.");
  module->def("has_nccl", &has_nccl, "Whether this build can train on several GPUs with NCCL.");
  bind_registering(module);
}

}  // namespace python
}  // namespace caffe
