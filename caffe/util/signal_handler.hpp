#ifndef CAFFE_UTIL_SIGNAL_HANDLER_HPP_
#define CAFFE_UTIL_SIGNAL_HANDLER_HPP_

#include <csignal>

#include "caffe/proto/caffe.pb.h"
#include "caffe/solver.hpp"

namespace caffe {

/// Turns Ctrl-C and a terminal's hang-up into requests to a solver, at most one per signal:
///
///   SignalHandler handler(SolverAction::STOP, SolverAction::SNAPSHOT);
///   solver->SetActionFunction(handler.GetActionFunction());
///
/// Catches the signals as long as the object exists, even if the action is NONE; the destructor
/// restores the previous handlers. Only one can exist at a time: a second one throws. The action
/// function must not outlive the handler.
class SignalHandler {
 public:
  SignalHandler(SolverAction::Enum SIGINT_action, SolverAction::Enum SIGHUP_action);
  ~SignalHandler();
  ActionCallback GetActionFunction();

 private:
  SolverAction::Enum CheckForSignals() const;

  SolverAction::Enum SIGINT_action_;
  SolverAction::Enum SIGHUP_action_;
  struct sigaction SIGINT_before_;
  struct sigaction SIGHUP_before_;

  DISABLE_COPY_AND_ASSIGN(SignalHandler);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_SIGNAL_HANDLER_HPP_
