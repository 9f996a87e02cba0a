#ifndef PYTHON_SRC_SOLVER_PARAM_HPP_
#define PYTHON_SRC_SOLVER_PARAM_HPP_

#include "caffe/solver.hpp"
#include "call.hpp"

namespace caffe {
namespace python {

/// A solver's settings, a serialized SolverParameter. caffe.solver_param makes of them what
/// solver.param is.
py::bytes settings_of(const Solver<float>& solver);

/// Makes the solver continue with other settings. AttributeError for a setting that it read when it
/// was made, CaffeError for one that allows no update; then nothing changes.
void change_settings(const shared_ptr<Solver<float>>& solver, const string& serialized);

}  // namespace python
}  // namespace caffe

#endif  // PYTHON_SRC_SOLVER_PARAM_HPP_
