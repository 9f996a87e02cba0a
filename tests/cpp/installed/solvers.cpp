// solver.hpp, sgd_solvers.hpp, solver_factory.hpp, parallel.hpp and what solvers need: signals,
// timers, threads, queues.

#include <csignal>
#include <string>
#include <vector>

#include "caffe/internal_thread.hpp"
#include "caffe/parallel.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/solver.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/benchmark.hpp"
#include "caffe/util/blocking_queue.hpp"
#include "caffe/util/format.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/nccl.hpp"
#include "caffe/util/signal_handler.h"
#include "caffe/util/upgrade_proto.hpp"

using caffe::BlockingQueue;
using caffe::Caffe;
using caffe::InternalThread;
using caffe::shared_ptr;
using caffe::Solver;

using caffe::SolverParameter;
using caffe::string;
using caffe::vector;

class Counts : public Solver<float>::Callback {
 public:
  Counts() : starts_(0), gradients_(0) {}
  int starts_, gradients_;

 protected:
  virtual void on_start() { ++starts_; }
  virtual void on_gradients_ready() { ++gradients_; }
};

class Squares : public InternalThread {
 public:
  BlockingQueue<int> in_, out_;

 protected:
  virtual void InternalThreadEntry() {
    while (!must_stop()) {
      int value = in_.pop();
      out_.push(value * value);
    }
  }
};

int main(int argc, char** argv) {
  FLAGS_alsologtostderr = 1;
  caffe::GlobalInit(&argc, &argv);
  CHECK_EQ(argc, 2) << "solver";
  SolverParameter param;
  caffe::ReadSolverParamsFromTextFileOrDie(argv[1], &param);
  CHECK_EQ(caffe::SolverRegistry<float>::Registry().count("SGD"), 1);
  shared_ptr<Solver<float>> solver(caffe::SolverRegistry<float>::CreateSolver(param));
  CHECK_STREQ(solver->type(), "SGD");

  caffe::SignalHandler signal_handler(caffe::SolverAction::STOP, caffe::SolverAction::SNAPSHOT);
  solver->SetActionFunction(signal_handler.GetActionFunction());
  Counts counts;
  solver->add_callback(&counts);
  caffe::Timer timer;
  timer.Start();
  solver->Step(3);
  timer.Stop();
  CHECK(timer.has_run_at_least_once());
  CHECK_GE(timer.MicroSeconds(), 0);
  CHECK_EQ(solver->iter(), 3);
  CHECK_EQ(counts.starts_, 3);
  CHECK_EQ(counts.gradients_, 3);
  std::raise(SIGINT);
  CHECK_EQ(solver->GetRequestedAction(), caffe::SolverAction::STOP);

  Squares squares;
  squares.StartInternalThread();
  squares.in_.push(7);
  CHECK_EQ(squares.out_.pop("waiting"), 49);
  squares.StopInternalThread();

  const vector<shared_ptr<caffe::Blob<float>>>& params = solver->net()->params();
  CHECK_EQ(params.size(), 2);
  std::cout << caffe::format_int(params[0]->count(), 5) << std::endl;
}
