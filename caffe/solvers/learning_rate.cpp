#include "caffe/solvers/learning_rate.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "caffe/common.hpp"

namespace caffe {

namespace {

double multistep(const SolverParameter& param, int iter, int* current_step) {
  if (*current_step < param.stepvalue_size() && iter >= param.stepvalue(*current_step)) {
    ++*current_step;
  }
  return param.base_lr() * std::pow(double(param.gamma()), *current_step);
}

void check_plateau(const SolverParameter& param) {
  CAFFE_CHECK(param.plateau_winsize_size() > 0,
              "lr_policy \"plateau\": plateau_winsize is not set: give the number of iterations "
              "without a smaller loss for each step");
  for (const int size : param.plateau_winsize()) {
    CAFFE_CHECK(size > 0,
                "lr_policy \"plateau\": plateau_winsize is " << size << "; it must be 1 or more");
  }
}

}  // namespace

double learning_rate(const SolverParameter& param, int iter, int* current_step) {
  const string& policy = param.lr_policy();
  const double base = param.base_lr(), gamma = param.gamma(), power = param.power();
  if (policy == "fixed") return base;
  if (policy == "step") {
    CAFFE_CHECK(param.stepsize() > 0,
                "lr_policy \"step\": stepsize is " << param.stepsize() << "; it must be 1 or more");
    *current_step = iter / param.stepsize();
    return base * std::pow(gamma, *current_step);
  }
  if (policy == "exp") return base * std::pow(gamma, iter);
  if (policy == "inv") return base * std::pow(1 + gamma * iter, -power);
  if (policy == "multistep") return multistep(param, iter, current_step);
  if (policy == "poly") {
    CAFFE_CHECK(param.max_iter() > 0, "lr_policy \"poly\": max_iter is not set");
    return base * std::pow(std::max(0., 1 - double(iter) / param.max_iter()), power);
  }
  if (policy == "sigmoid") return base / (1 + std::exp(-gamma * (iter - double(param.stepsize()))));
  if (policy == "plateau") {
    check_plateau(param);
    return base * std::pow(gamma, *current_step);
  }
  const vector<string> known = {"fixed",     "step", "exp",     "inv",
                                "multistep", "poly", "sigmoid", "plateau"};
  const string nearest = nearest_name(policy, known);
  CAFFE_FAIL("unknown lr_policy \"" << policy << "\""
                                    << (nearest.empty() ? "" : "; did you mean " + nearest + "?")
                                    << " (known: " << join(known) << ")");
}

void note_loss(const SolverParameter& param, int iter, double loss, int* current_step,
               Plateau* plateau) {
  if (loss < plateau->minimum_loss) {
    plateau->minimum_loss = static_cast<float>(loss);
    plateau->iter_last_event = iter;
  }
  if (*current_step < param.plateau_winsize_size() &&
      int64_t{iter} - plateau->iter_last_event >= param.plateau_winsize(*current_step)) {
    ++*current_step;
    plateau->iter_last_event = iter;
  }
}

}  // namespace caffe
