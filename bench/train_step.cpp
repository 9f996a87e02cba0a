// Times whole training steps (clear, forward, backward, update) of a solver, on either device:
//
//   bench_train_step SOLVER [cpu|gpu|graph] [STEPS a round] [ROUNDS] [MATH MODE]
//
// `graph` is a GPU with cuda_graph: true. The net's data must come from Input layers named data and
// label; both are filled once with random values, so that no data layer is timed. Prints one line
// of JSON: the milliseconds a step of each round, the last step's loss, and the parameters.

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>

#include "bench/timing.hpp"
#include "caffe/caffe.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/math_mode.hpp"

namespace {

void fill(caffe::Net<float>* net, int classes) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  caffe::Blob<float>* const data = net->blob_by_name("data").get();
  for (int i = 0; i < data->count(); ++i) data->mutable_cpu_data()[i] = normal(random);
  caffe::Blob<float>* const label = net->blob_by_name("label").get();
  for (int i = 0; i < label->count(); ++i) {
    label->mutable_cpu_data()[i] = static_cast<float>(random() % classes);
  }
}

int run(const std::string& file, const std::string& device, int steps, int rounds,
        const std::string& math) {
  const bool gpu = device != "cpu";
  caffe::SolverParameter param;
  caffe::ReadSolverParamsFromTextFileOrDie(file, &param);
  param.set_solver_mode(gpu ? caffe::SolverParameter::GPU : caffe::SolverParameter::CPU);
  param.set_cuda_graph(device == "graph");
  if (gpu) {
    caffe::Caffe::SetDevice(0);
    caffe::Caffe::set_mode(caffe::Caffe::GPU);
  }
  if (!math.empty()) {
    param.clear_math_mode();
    caffe::set_math_mode(caffe::math_mode_of(math));
  }
  std::unique_ptr<caffe::Solver<float>> solver(caffe::SolverRegistry<float>::CreateSolver(param));
  caffe::Net<float>* const net = solver->net().get();
  fill(net, 200);
  const auto finish = [&] {
    if (gpu) caffe::device::wait();
  };
  solver->Step(device == "graph" ? 5 : 3);  // a graph exists from the fourth one on
  finish();
  std::printf("{\"ms\": [");
  for (int round = 0; round < rounds; ++round) {
    const double ms = bench::milliseconds([&] {
      solver->Step(steps);
      finish();
    });
    std::printf("%s%.3f", round > 0 ? ", " : "", ms / steps);
  }
  size_t count = 0;
  for (const auto* const blob : net->learnable_params()) count += blob->count();
  std::printf("], \"loss\": %g, \"parameters\": %zu}\n",
              static_cast<double>(net->output_blobs().back()->cpu_data()[0]), count);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(
        stderr, "usage: bench_train_step SOLVER [cpu|gpu|graph] [STEPS a round] [ROUNDS] [MODE]\n");
    return 1;
  }
  FLAGS_minloglevel = 2;
  google::InitGoogleLogging(argv[0]);
  try {
    return run(argv[1], argc > 2 ? argv[2] : "cpu", argc > 3 ? std::atoi(argv[3]) : 10,
               argc > 4 ? std::atoi(argv[4]) : 5, argc > 5 ? argv[5] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
