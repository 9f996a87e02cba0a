#include "caffe/util/signal_handler.h"

#include <csignal>

#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

TEST(SignalHandler, TurnsEachSignalIntoItsActionOnce) {
  SignalHandler handler(SolverAction::STOP, SolverAction::SNAPSHOT);
  const ActionCallback action = handler.GetActionFunction();
  EXPECT_EQ(action(), SolverAction::NONE);
  std::raise(SIGINT);
  EXPECT_EQ(action(), SolverAction::STOP);
  EXPECT_EQ(action(), SolverAction::NONE);
  std::raise(SIGHUP);
  std::raise(SIGINT);
  EXPECT_EQ(action(), SolverAction::SNAPSHOT);
  EXPECT_EQ(action(), SolverAction::STOP);
  EXPECT_EQ(action(), SolverAction::NONE);
}

TEST(SignalHandler, TakesOtherActionsAndNone) {
  SignalHandler handler(SolverAction::SNAPSHOT, SolverAction::NONE);
  const ActionCallback action = handler.GetActionFunction();
  std::raise(SIGHUP);
  EXPECT_EQ(action(), SolverAction::NONE);
  std::raise(SIGINT);
  EXPECT_EQ(action(), SolverAction::SNAPSHOT);
}

TEST(SignalHandler, RefusesASecondOne) {
  {
    SignalHandler handler(SolverAction::STOP, SolverAction::NONE);
    EXPECT_ERROR(SignalHandler(SolverAction::STOP, SolverAction::NONE), "SignalHandler");
  }
  SignalHandler again(SolverAction::STOP, SolverAction::NONE);
}

TEST(SignalHandler, ForgetsWhatCameBeforeAndRestoresWhatWasInForce) {
  static volatile std::sig_atomic_t caught;
  caught = 0;  // also when the test is repeated
  const auto before = std::signal(SIGINT, [](int) { caught = 1; });
  {
    SignalHandler handler(SolverAction::STOP, SolverAction::NONE);
    std::raise(SIGINT);
    EXPECT_EQ(caught, 0);
  }
  std::raise(SIGINT);
  EXPECT_EQ(caught, 1);
  {
    SignalHandler handler(SolverAction::STOP, SolverAction::NONE);
    EXPECT_EQ(handler.GetActionFunction()(), SolverAction::NONE);
  }
  std::signal(SIGINT, before);
}

}  // namespace caffe
