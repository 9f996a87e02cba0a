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
  const vector<string> known = {"fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid"};
  const string nearest = nearest_name(policy, known);
  CAFFE_FAIL("unknown lr_policy \"" << policy << "\""
                                    << (nearest.empty() ? "" : "; did you mean " + nearest + "?")
                                    << " (known: " << join(known) << ")");
}

}  // namespace caffe
