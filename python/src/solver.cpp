#include "caffe/solver.hpp"

#include "caffe/parallel/communicator.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "net_calls.hpp"
#include "solver_param.hpp"

namespace caffe {
namespace python {

namespace {

using FloatSolver = Solver<float>;
using SolverPtr = shared_ptr<FloatSolver>;

/// Calls a Python function at the start of every iteration, and another when the gradients are
/// ready.
class SolverCallback : public FloatSolver::Callback, public PythonCallback {
 public:
  SolverCallback(const py::function& on_start, const py::function& on_gradients_ready)
      : PythonCallback({on_start, on_gradients_ready}) {}

 protected:
  void on_start() override { call(0); }
  void on_gradients_ready() override { call(1); }
};

void add_callback(const SolverPtr& solver, const py::function& on_start,
                  const py::function& on_gradients_ready) {
  auto callback = std::make_shared<SolverCallback>(on_start, on_gradients_ready);
  companion_of(solver)->callbacks.push_back(callback);
  solver->add_callback(callback.get());
}

/// Between two iterations: lets Python handle signals. An exception of the handler,
/// KeyboardInterrupt for Ctrl-C, ends Step or Solve.
SolverAction::Enum check_signals() {
  const WithPython lock;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  return SolverAction::NONE;
}

vector<shared_ptr<Net<float>>> nets_of(FloatSolver* solver) {
  vector<shared_ptr<Net<float>>> nets = {solver->net()};
  nets.insert(nets.end(), solver->test_nets().begin(), solver->test_nets().end());
  return nets;
}

template <typename Class>
vector<shared_ptr<void>> parts_of(Class* solver) {
  const auto nets = nets_of(solver);
  return {nets.begin(), nets.end()};
}

/// Passes the solver to Python.
SolverPtr adopt(SolverPtr solver) {
  solver->SetActionFunction(check_signals);
  for (const auto& net : nets_of(solver.get())) remember_shapes(*net, companion_of(net).get());
  return solver;
}

template <typename Class>
shared_ptr<Class> make_solver(const Path& path) {
  shared_ptr<Class> solver;
  {
    const WithoutPython without_python;
    solver = std::make_shared<Class>(path.string());
  }
  adopt(solver);
  return solver;
}

SolverPtr get_solver(const Path& path) {
  SolverPtr solver;
  {
    const WithoutPython without_python;
    SolverParameter param;
    ReadSolverParamsFromTextFileOrDie(path.string(), &param);
    solver.reset(SolverRegistry<float>::CreateSolver(param));
  }
  return adopt(solver);
}

/// While it exists, this thread runs the solver and all its nets.
class Training {
 public:
  explicit Training(const SolverPtr& solver)
      : solver_(solver), companions_(companions_of(nets_of(solver.get()))), call_(companions_) {
    for (const auto& companion : companions_) companion->shapes.clear();
  }
  /// If this is not called, the layers count as not run (Running).
  void succeeded() {
    const auto nets = nets_of(solver_.get());
    for (size_t i = 0; i < nets.size(); ++i) remember_shapes(*nets[i], companions_[i].get());
  }

 private:
  static vector<shared_ptr<Companion>> companions_of(const vector<shared_ptr<Net<float>>>& nets) {
    vector<shared_ptr<Companion>> all;
    for (const auto& net : nets) all.push_back(companion_of(net));
    return all;
  }

  SolverPtr solver_;
  vector<shared_ptr<Companion>> companions_;  // of its nets, in order
  Call call_;
};

void step(const SolverPtr& solver, int iterations) {
  if (iterations < 0) {
    throw py::value_error("cannot take " + std::to_string(iterations) + " steps");
  }
  Training training(solver);
  solver->Step(iterations);
  training.succeeded();
}

void solve(const SolverPtr& solver, const std::optional<Path>& resume_file) {
  Training training(solver);
  solver->Solve(resume_file ? resume_file->string().c_str() : nullptr);
  training.succeeded();
}

float learning_rate(FloatSolver* solver) {
  auto* sgd = dynamic_cast<SGDSolver<float>*>(solver);
  CAFFE_CHECK(sgd != nullptr, "a solver of type " << solver->type() << " has no learning rate");
  return sgd->GetLearningRate();
}

template <typename Class>
void bind_running(Class* solver) {
  solver
      ->def("step", &step, py::arg("iterations"),
            "Runs more iterations, regardless of max_iter. Ctrl-C ends it after an iteration with\n"
            "KeyboardInterrupt. CaffeError if the loss is no longer finite.")
      .def("solve", &solve, py::arg("resume_file") = py::none(),
           "Trains up to max_iter, from a .solverstate if one is given; then snapshots and tests\n"
           "as the solver's prototxt says. Ctrl-C works as in step.")
      .def(
          "snapshot",
          [](const SolverPtr& solver) {
            const Call call(companion_of(solver->net()));
            solver->Snapshot();
          },
          "Writes a .caffemodel and a .solverstate at snapshot_prefix. Of ranks that train\n"
          "together, all call it, and rank 0 writes.")
      .def(
          "restore",
          [](const SolverPtr& solver, const Path& path) {
            const Call call(companion_of(solver->net()));
            solver->Restore(path.string().c_str());
          },
          py::arg("state_file"), "Continues from a .solverstate.")
      .def(
          "apply_update",
          [](const SolverPtr& solver) {
            const Call call(companion_of(solver->net()));
            solver->ApplyUpdate();
          },
          "Updates the weights from the gradients in the diffs.")
      .def(
          "share_weights",
          [](const SolverPtr& solver, const shared_ptr<Net<float>>& net) {
            if (net == nullptr) throw py::type_error("expected a net, not None");
            const Call call(companion_of(solver->net()));
            if (net != solver->net()) solver->net()->ShareTrainedLayersWith(net.get());
          },
          py::arg("net"), "Makes the training net use the weights of another net, by layer name.");
}

void train_together(const SolverPtr& solver, const shared_ptr<Communicator>& ranks) {
  if (ranks == nullptr) throw py::type_error("expected a Communicator, not None");
  Training training(solver);
  solver->TrainTogether(ranks);
  training.succeeded();
}

template <typename Class>
void bind_rest(Class* solver) {
  solver->def_property_readonly("net", &FloatSolver::net, "The net that is trained.")
      .def_property_readonly("test_nets", &FloatSolver::test_nets, "The test nets, a list.")
      .def_property_readonly("iter", &FloatSolver::iter, "The number of updates so far.")
      .def_property_readonly("lr", &learning_rate, "The learning rate of the next update.")
      .def("_settings", &settings_of)
      .def("_change_settings", &change_settings, py::arg("serialized"))
      .def_property_readonly("type", &FloatSolver::type, "As in the prototxt: \"SGD\".")
      .def("add_callback", &add_callback, py::arg("on_start"), py::arg("on_gradients_ready"),
           "Calls on_start() at the start of every iteration, and on_gradients_ready() before its\n"
           "update, from now on.")
      .def(
          "train_together", &train_together, py::arg("ranks"),
          "step and solve train together with the other ranks from now on (caffe.ranks.world):\n"
          "gradients are the mean over the ranks, and rank 0 alone logs, tests and snapshots. All\n"
          "ranks make the same calls. Call caffe.ranks.world() before the solver is made, or this\n"
          "raises CaffeError: the solver would read the records of another rank. Give it a\n"
          "random_seed if a data layer shuffles. An error of one rank ends all of them with\n"
          "CaffeError.");
}

template <typename Class, typename Base>
void bind_type(py::module_* module, const char* name) {
  py::class_<Class, Base, shared_ptr<Class>>(*module, name, py::dynamic_attr(),
                                             collect_callbacks<Class>(parts_of<Class>),
                                             "A solver of this type (see type).")
      .def(py::init(&make_solver<Class>), py::arg("solver_file"),
           "Creates the solver of a prototxt and its nets. CaffeError says what is wrong where.");
}

}  // namespace

void bind_solver(py::module_* module) {
  py::class_<FloatSolver, SolverPtr> solver(*module, "Solver", py::dynamic_attr(),
                                            collect_callbacks<FloatSolver>(parts_of<FloatSolver>),
                                            "Trains a net.");
  bind_running(&solver);
  bind_rest(&solver);
  bind_type<SGDSolver<float>, FloatSolver>(module, "SGDSolver");
  bind_type<NesterovSolver<float>, SGDSolver<float>>(module, "NesterovSolver");
  bind_type<AdaGradSolver<float>, SGDSolver<float>>(module, "AdaGradSolver");
  bind_type<RMSPropSolver<float>, SGDSolver<float>>(module, "RMSPropSolver");
  bind_type<AdaDeltaSolver<float>, SGDSolver<float>>(module, "AdaDeltaSolver");
  bind_type<AdamSolver<float>, SGDSolver<float>>(module, "AdamSolver");
  module->def("get_solver", &get_solver, py::arg("solver_file"),
              "Creates the solver of a prototxt, of the type given there.");
}

}  // namespace python
}  // namespace caffe
