#ifndef CAFFE_SOLVERS_LEARNING_RATE_HPP_
#define CAFFE_SOLVERS_LEARNING_RATE_HPP_

#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// The learning rate of an iteration by lr_policy (SGDSolver::GetLearningRate has the formulas).
/// Sets *current_step to the number of steps taken (step), or increases it by one if the next
/// stepvalue is reached (multistep). Throws for an unknown policy and for settings that give no
/// rate.
double learning_rate(const SolverParameter& param, int iter, int* current_step);

}  // namespace caffe

#endif  // CAFFE_SOLVERS_LEARNING_RATE_HPP_
