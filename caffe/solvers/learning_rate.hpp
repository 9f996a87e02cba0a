#ifndef CAFFE_SOLVERS_LEARNING_RATE_HPP_
#define CAFFE_SOLVERS_LEARNING_RATE_HPP_

#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// The learning rate of an iteration by lr_policy (SGDSolver::GetLearningRate has the formulas).
/// Sets *current_step to the number of steps taken (step), or increases it by one if the next
/// stepvalue is reached (multistep). Throws for an unknown policy and for settings that give no
/// rate.
double learning_rate(const SolverParameter& param, int iter, int* current_step);

/// What the policy "plateau" remembers of the losses.
struct Plateau {
  float minimum_loss = 1e38f;  // as in a new SolverState
  int iter_last_event = 0;
};

/// For the policy "plateau", once in each iteration before its learning rate is asked for: a loss
/// below the smallest one so far is an event; plateau_winsize[*current_step] iterations without an
/// event increase *current_step by one, which is an event as well. Behind the last plateau_winsize
/// there are no more steps.
void note_loss(const SolverParameter& param, int iter, double loss, int* current_step,
               Plateau* plateau);

}  // namespace caffe

#endif  // CAFFE_SOLVERS_LEARNING_RATE_HPP_
