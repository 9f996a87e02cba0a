#include "caffe/caffe.hpp"
#include "caffe/net_memory.hpp"
#include "caffe/parallel/data_parallel.hpp"
#include "caffe/parallel/gpu_ranks.hpp"
#include "caffe/parallel/mpi.hpp"
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

using Ranks = std::shared_ptr<caffe::Communicator>;

/// The solver that the flags describe.
caffe::SolverParameter chosen_solver() {
  caffe::SolverParameter param;
  caffe::ReadSolverParamsFromTextFileOrDie(FLAGS_solver, &param);
  param.mutable_train_state()->set_level(FLAGS_level);
  for (const std::string& stage : chosen_stages()) param.mutable_train_state()->add_stage(stage);
  if (!FLAGS_weights.empty()) {
    param.clear_weights();
    param.add_weights(FLAGS_weights);
  }
  if (!FLAGS_math.empty()) param.clear_math_mode();  // the thread's is that of the flag
  if (FLAGS_cuda_graph) param.set_cuda_graph(true);
  return param;
}

/// The GPU to train on, -1 for the CPU: that of -gpu, otherwise the solver's, otherwise the CPU. Of
/// a list, each of the processes on a machine takes one. If each sees one GPU only, which is its
/// own (srun --gpus-per-task=1), all may name it.
int training_gpu(const caffe::SolverParameter& solver, caffe::Communicator* ranks) {
  const std::vector<int> gpus = chosen_gpus();
  const bool gpu = solver.has_solver_mode() && solver.solver_mode() == caffe::SolverParameter::GPU;
  if (gpus.empty() && !gpu) return -1;
  const size_t place = ranks == nullptr ? 0 : ranks->local_rank();
  const size_t needed = ranks == nullptr ? 1 : ranks->local_size();
  if (gpus.size() <= 1 && caffe::device::count() == 1) {
    return gpus.empty() ? solver.device_id() : gpus[0];
  }
  if (gpus.empty()) {
    CAFFE_CHECK(needed == 1, "the solver names one GPU, but this machine has "
                                 << needed << " ranks: give -gpu all, or a list of " << needed);
    return solver.device_id();
  }
  CAFFE_CHECK(gpus.size() >= needed, "-gpu " << FLAGS_gpu << " names " << gpus.size()
                                             << " GPUs, but this machine has " << needed
                                             << " ranks: each needs one");
  return gpus[place];
}

/// Trains on the device that this thread has chosen, together with the other ranks if there are
/// any.
void train_here(caffe::SolverParameter param, const caffe::ActionCallback& requests,
                const Ranks& ranks) {
  if (ranks != nullptr) caffe::become_rank(ranks.get(), &param);
  const std::shared_ptr<caffe::Solver<float>> solver(
      caffe::SolverRegistry<float>::CreateSolver(param));
  solver->SetActionFunction(requests);
  // A solver reads the outputs. A recorded iteration needs its memory to stay where it is.
  const bool is_recorded = param.cuda_graph() && ranks == nullptr && Caffe::mode() == Caffe::GPU;
  if (!is_recorded) solver->net()->KeepOnly({});
  for (const auto& net : solver->test_nets()) net->KeepOnly({});
  const bool logs = Caffe::root_solver();
  if (!FLAGS_snapshot.empty()) {
    LOG_IF(INFO, logs) << "Resuming from " << FLAGS_snapshot;
    solver->Restore(FLAGS_snapshot.c_str());
  }
  if (ranks != nullptr) solver->TrainTogether(ranks);
  LOG_IF(INFO, logs) << "Starting Optimization";
  solver->Solve();
  LOG_IF(INFO, logs) << caffe::memory_line(*solver->net());
}

void train_solver(caffe::SolverParameter param, const caffe::ActionCallback& requests,
                  const Ranks& ranks) {
  const int gpu = training_gpu(param, ranks.get());
  choose_device(gpu);
  if (gpu >= 0) param.set_device_id(gpu);
  train_here(param, requests, ranks);
}

/// A thread of this process for each GPU; rank 0's, which is this one, hears of signals.
void train_on_several(const std::vector<int>& gpus, const caffe::ActionCallback& requests) {
  std::vector<std::string> names;
  for (const int gpu : gpus) names.push_back(std::to_string(gpu));
  LOG(INFO) << "Using GPUs " << caffe::join(names);
  const caffe::SolverParameter param = chosen_solver();
  caffe::run_on_gpus(gpus, [&](const Ranks& ranks) {
    caffe::SolverParameter own = param;
    own.set_device_id(gpus[ranks->rank()]);
    train_here(own, ranks->rank() == 0 ? requests : caffe::ActionCallback(), ranks);
  });
}

/// As one of the processes that a launcher started. An error of this rank ends the others with the
/// same text.
void train_as_rank(const caffe::ActionCallback& requests, const Ranks& ranks) {
  const std::string name = caffe::rank_name(ranks->rank(), ranks->size());
  try {
    caffe::prepare_process(ranks.get());
    train_solver(chosen_solver(), requests, ranks);
  } catch (const std::exception& error) {
    ranks->abort(name + ": " + error.what());
    throw caffe::Error(name + ": " + error.what());
  }
}

}  // namespace

int train() {
  CAFFE_CHECK(!FLAGS_solver.empty(), "train needs a solver: -solver solver.prototxt");
  CAFFE_CHECK(FLAGS_snapshot.empty() || FLAGS_weights.empty(),
              "give -snapshot to resume training or -weights to finetune, but not both");
  const caffe::SolverAction::Enum on_sigint = action("sigint_effect", FLAGS_sigint_effect);
  const caffe::SolverAction::Enum on_sighup = action("sighup_effect", FLAGS_sighup_effect);

  const Ranks ranks = caffe::world_communicator();
  caffe::SignalHandler signals(on_sigint, on_sighup);
  if (ranks != nullptr) {
    train_as_rank(signals.GetActionFunction(), ranks);
  } else if (chosen_gpus().size() > 1) {
    train_on_several(chosen_gpus(), signals.GetActionFunction());
  } else {
    train_solver(chosen_solver(), signals.GetActionFunction(), nullptr);
  }
  LOG(INFO) << "Optimization Done.";
  return 0;
}

}  // namespace caffe_command
