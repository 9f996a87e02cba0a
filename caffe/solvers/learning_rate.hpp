#ifndef CAFFE_SOLVERS_LEARNING_RATE_HPP_
#define CAFFE_SOLVERS_LEARNING_RATE_HPP_

#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// The learning rate of an iteration by lr_policy (SGDSolver::GetLearningRate has the formulas).
/// *current_step becomes the steps taken (step), or grows by one where the next stepvalue is
/// reached (multistep). Throws for an unknown policy and for settings that give no rate.
double learning_rate(const SolverParameter& param, int iter, int* current_step);

}  // namespace caffe

#endif  // CAFFE_SOLVERS_LEARNING_RATE_HPP_
