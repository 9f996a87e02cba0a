// What a training step asks of a GPU, counted by the shadow device (tests/shadow):
//
//   bench_gpu_counts SOLVER [ITERATIONS]
//
// Each iteration is a step of the solver. The net's data come from Input layers named data and
// label, filled once. Prints one line of JSON: the counts of every iteration, and the device memory
// at its peak and after the last one. With SHADOW_COMPUTES=0 in the environment nothing is
// computed, so that a large batch can be counted too.

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>

#include "caffe/caffe.hpp"
#include "caffe/util/device.hpp"
#include "tests/shadow/control.hpp"

namespace {

void fill(caffe::Net<float>* net) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  caffe::Blob<float>* const data = net->blob_by_name("data").get();
  for (int i = 0; i < data->count(); ++i) data->mutable_cpu_data()[i] = normal(random);
  caffe::Blob<float>* const label = net->blob_by_name("label").get();
  for (int i = 0; i < label->count(); ++i) label->mutable_cpu_data()[i] = float(random() % 100);
}

int run(const std::string& file, int iterations) {
  caffe::SolverParameter param;
  caffe::ReadSolverParamsFromTextFileOrDie(file, &param);
  param.set_solver_mode(caffe::SolverParameter::GPU);
  caffe::Caffe::SetDevice(0);
  caffe::Caffe::set_mode(caffe::Caffe::GPU);
  std::unique_ptr<caffe::Solver<float>> solver(caffe::SolverRegistry<float>::CreateSolver(param));
  fill(solver->net().get());
  int64_t peak = 0;
  std::printf("{\"iterations\": [");
  for (int i = 0; i < iterations; ++i) {
    shadow::reset_counts();
    solver->Step(1);
    const shadow::Counts counts = shadow::counts();
    caffe::device::wait();  // not counted: the next iteration's work would wait in its place
    peak = std::max(peak, shadow::counts().memory_peak);
    std::printf(
        "%s{\"launches\": %lld, \"library_calls\": %lld, \"fills\": %lld, \"copies\": %lld, "
        "\"synchronisations\": %lld, \"allocations\": %lld, \"bytes_to_host\": %lld, "
        "\"largest_to_host\": %lld, \"bytes_to_device\": %lld, \"bytes_on_device\": %lld}",
        i > 0 ? ", " : "", static_cast<long long>(counts.launches),
        static_cast<long long>(counts.library_calls), static_cast<long long>(counts.fills),
        static_cast<long long>(counts.copies_to_host + counts.copies_to_device +
                               counts.copies_on_device),
        static_cast<long long>(counts.synchronisations), static_cast<long long>(counts.allocations),
        static_cast<long long>(counts.bytes_to_host),
        static_cast<long long>(counts.largest_to_host),
        static_cast<long long>(counts.bytes_to_device),
        static_cast<long long>(counts.bytes_on_device));
  }
  std::printf("], \"memory_peak\": %lld, \"memory_in_use\": %lld}\n", static_cast<long long>(peak),
              static_cast<long long>(shadow::counts().memory_in_use));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_gpu_counts SOLVER [ITERATIONS]\n");
    return 1;
  }
  FLAGS_minloglevel = 2;
  google::InitGoogleLogging(argv[0]);
  try {
    return run(argv[1], argc > 2 ? std::atoi(argv[2]) : 4);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
