#include "caffe/caffe.hpp"
#include "caffe/net_memory.hpp"
#include "caffe/util/signal_handler.hpp"
#include "tools/caffe_command.hpp"

namespace caffe_command {

using caffe::Caffe;

namespace {

caffe::SolverAction::Enum action(const std::string& flag, const std::string& value) {
  if (value == "stop") return caffe::SolverAction::STOP;
  if (value == "snapshot") return caffe::SolverAction::SNAPSHOT;
  if (value == "none") return caffe::SolverAction::NONE;
  CAFFE_FAIL("-" << flag << " " << value << ": must be stop, snapshot or none");
}

/// The GPU to train on, -1 for the CPU: that of -gpu, otherwise the solver's, otherwise the CPU.
int training_gpu(const caffe::SolverParameter& solver) {
  const std::vector<int> gpus = chosen_gpus();
  CAFFE_CHECK(gpus.size() <= 1, "-gpu " << FLAGS_gpu
                                        << ": training on several GPUs at once is "
                                           "not supported; name one");
  if (!gpus.empty()) return gpus[0];
  const bool gpu = solver.has_solver_mode() && solver.solver_mode() == caffe::SolverParameter::GPU;
  return gpu ? solver.device_id() : -1;
}

}  // namespace

int train() {
  CAFFE_CHECK(!FLAGS_solver.empty(), "train needs a solver: -solver solver.prototxt");
  CAFFE_CHECK(FLAGS_snapshot.empty() || FLAGS_weights.empty(),
              "give -snapshot to resume training or -weights to finetune, but not both");
  const caffe::SolverAction::Enum on_sigint = action("sigint_effect", FLAGS_sigint_effect);
  const caffe::SolverAction::Enum on_sighup = action("sighup_effect", FLAGS_sighup_effect);

  caffe::SolverParameter param;
  caffe::ReadSolverParamsFromTextFileOrDie(FLAGS_solver, &param);
  param.mutable_train_state()->set_level(FLAGS_level);
  for (const std::string& stage : chosen_stages()) param.mutable_train_state()->add_stage(stage);
  if (!FLAGS_weights.empty()) {
    param.clear_weights();
    param.add_weights(FLAGS_weights);
  }

  if (!FLAGS_math.empty()) param.clear_math_mode();  // the thread's is that of the flag

  const int gpu = training_gpu(param);
  choose_device(gpu);
  if (gpu >= 0) param.set_device_id(gpu);

  caffe::SignalHandler signals(on_sigint, on_sighup);
  const std::shared_ptr<caffe::Solver<float>> solver(
      caffe::SolverRegistry<float>::CreateSolver(param));
  solver->SetActionFunction(signals.GetActionFunction());
  solver->net()->KeepOnly({});  // a solver reads the outputs
  for (const auto& net : solver->test_nets()) net->KeepOnly({});
  if (!FLAGS_snapshot.empty()) {
    LOG(INFO) << "Resuming from " << FLAGS_snapshot;
    solver->Restore(FLAGS_snapshot.c_str());
  }
  LOG(INFO) << "Starting Optimization";
  solver->Solve();
  LOG(INFO) << caffe::memory_line(*solver->net());
  LOG(INFO) << "Optimization Done.";
  return 0;
}

}  // namespace caffe_command
