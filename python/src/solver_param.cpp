#include "solver_param.hpp"

#include <set>

#include "caffe/sgd_solvers.hpp"

namespace caffe {
namespace python {

namespace {

using FloatSolver = Solver<float>;

/// What a solver reads when it is made, and not again.
const std::set<string>& fixed_settings() {
  static const auto* const all =
      new std::set<string>{"net",       "net_param",      "train_net",         "train_net_param",
                           "test_net",  "test_net_param", "train_state",       "test_state",
                           "weights",   "type",           "solver_type",       "solver_mode",
                           "device_id", "random_seed",    "layer_wise_reduce", "math_mode"};
  return *all;
}

/// The message without the fields of which `drop(name)` is true.
template <typename Drop>
string without(SolverParameter param, const Drop& drop) {
  const auto* const fields = SolverParameter::descriptor();
  for (int i = 0; i < fields->field_count(); ++i) {
    if (drop(fields->field(i)->name())) {
      param.GetReflection()->ClearField(&param, fields->field(i));
    }
  }
  return param.SerializeAsString();
}

bool same(const SolverParameter& one, const SolverParameter& other, const string& field) {
  const auto is_another = [&field](const string& name) { return name != field; };
  return without(one, is_another) == without(other, is_another);
}

void check_fixed(const SolverParameter& now, const SolverParameter& wanted) {
  const auto may_change = [](const string& name) { return fixed_settings().count(name) == 0; };
  if (without(now, may_change) == without(wanted, may_change)) return;
  for (const string& field : fixed_settings()) {
    if (same(now, wanted, field)) continue;
    throw py::attribute_error("solver.param." + field +
                              " cannot be changed: the solver read it when it was made. Make "
                              "another solver");
  }
}

/// The protected members that are needed, by pointers that a derived class may form.
struct Open : FloatSolver {
  static SolverParameter* param(FloatSolver* solver) { return &(solver->*(&Open::param_)); }
  static int* current_step(FloatSolver* solver) { return &(solver->*(&Open::current_step_)); }
  static void check_settings(FloatSolver* solver) { (solver->*(&Open::CheckSettings))(); }
};
template <typename Solver>
struct Sane : Solver {
  static void check(FloatSolver* solver) {
    auto* const own = dynamic_cast<Solver*>(solver);
    if (own != nullptr) (own->*(&Sane::constructor_sanity_check))();
  }
};

/// How many steps of the learning rate a solver has passed that began with these settings.
int passed_steps(const FloatSolver& solver) {
  const auto& steps = solver.param().stepvalue();
  int passed = 0;
  while (passed < steps.size() && solver.iter() >= steps.Get(passed)) ++passed;
  return passed;
}

void check(FloatSolver* solver, const SolverParameter& before) {
  const SolverParameter& param = solver->param();
  CAFFE_CHECK(param.average_loss() >= 1,
              "average_loss is " << param.average_loss() << ": it must be 1 or more");
  CAFFE_CHECK(param.iter_size() >= 1,
              "iter_size is " << param.iter_size() << ": it must be 1 or more");
  CAFFE_CHECK(static_cast<size_t>(param.test_iter_size()) == solver->test_nets().size(),
              "test_iter has " << param.test_iter_size() << " values for "
                               << solver->test_nets().size() << " test nets: give one for each");
  Open::check_settings(solver);
  Sane<AdaGradSolver<float>>::check(solver);
  Sane<RMSPropSolver<float>>::check(solver);
  const bool elsewhere = param.snapshot_prefix() != before.snapshot_prefix();
  if (param.snapshot() > 0 && (elsewhere || before.snapshot() <= 0)) {
    solver->CheckSnapshotWritePermissions();
  }
}

}  // namespace

py::bytes settings_of(const FloatSolver& solver) {
  return py::bytes(solver.param().SerializeAsString());
}

void change_settings(const shared_ptr<FloatSolver>& solver, const string& serialized) {
  SolverParameter wanted;
  CAFFE_CHECK(wanted.ParseFromString(serialized), "this is not a SolverParameter");
  // Other threads neither train with the settings nor, because of Python's lock, read them.
  const Call call(companion_of(solver->net()));
  const WithPython lock;
  SolverParameter* const param = Open::param(solver.get());
  check_fixed(*param, wanted);
  param->Swap(&wanted);
  try {
    check(solver.get(), wanted);
  } catch (...) {
    param->Swap(&wanted);
    throw;
  }
  if (!same(*param, wanted, "stepvalue") || !same(*param, wanted, "lr_policy")) {
    *Open::current_step(solver.get()) = passed_steps(*solver);
  }
}

}  // namespace python
}  // namespace caffe
