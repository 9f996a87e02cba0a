#include "caffe/util/signal_handler.hpp"

#include <signal.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace caffe {

namespace {

std::atomic<bool> in_use{false};
std::atomic<bool> got_sigint{false};
std::atomic<bool> got_sighup{false};

static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "signal handlers may touch only lock-free atomics");

void note_signal(int signal) {
  (signal == SIGINT ? got_sigint : got_sighup) = true;
}

void catch_signal(int signal, struct sigaction* before) {
  struct sigaction action;
  std::memset(&action, 0, sizeof(action));
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  CAFFE_CHECK(sigaction(signal, &action, before) == 0,
              "cannot catch signal " << signal << ": " << std::strerror(errno));
}

}  // namespace

SignalHandler::SignalHandler(SolverAction::Enum SIGINT_action, SolverAction::Enum SIGHUP_action)
    : SIGINT_action_(SIGINT_action), SIGHUP_action_(SIGHUP_action) {
  CAFFE_CHECK(!in_use.exchange(true),
              "there is already a SignalHandler: only one can exist at a time");
  got_sigint = false;
  got_sighup = false;
  catch_signal(SIGINT, &SIGINT_before_);
  catch_signal(SIGHUP, &SIGHUP_before_);
}

SignalHandler::~SignalHandler() {
  sigaction(SIGINT, &SIGINT_before_, nullptr);
  sigaction(SIGHUP, &SIGHUP_before_, nullptr);
  in_use = false;
}

ActionCallback SignalHandler::GetActionFunction() {
  return [this] { return CheckForSignals(); };
}

SolverAction::Enum SignalHandler::CheckForSignals() const {
  if (got_sighup.exchange(false)) return SIGHUP_action_;
  if (got_sigint.exchange(false)) return SIGINT_action_;
  return SolverAction::NONE;
}

}  // namespace caffe
