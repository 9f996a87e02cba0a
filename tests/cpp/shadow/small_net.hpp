#ifndef TESTS_CPP_SHADOW_SMALL_NET_HPP_
#define TESTS_CPP_SHADOW_SMALL_NET_HPP_

// A small net that trains on the shadow device, and its numbers.

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "caffe/sgd_solvers.hpp"
#include "tests/cpp/engine/toy_net.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {

/// GPU mode while it exists.
class OnGpu {
 public:
  OnGpu() { Caffe::set_mode(Caffe::GPU); }
  ~OnGpu() { Caffe::set_mode(Caffe::CPU); }
};

/// That many GPUs while it exists.
class Devices {
 public:
  explicit Devices(int count) { shadow::set_devices(count); }
  ~Devices() { shadow::set_devices(1); }
};

/// Calls f in a new thread in GPU mode, and waits for it.
template <typename F>
void in_thread(const F& f) {
  std::string error;
  std::thread other([&] {
    const OnGpu mode;
    error = error_of(f);
  });
  other.join();
  EXPECT_EQ(error, "");
}

/// A convolution, a pooling and an inner product over 2 images of 3 x 8 x 8.
inline string small_net(const string& name = "small") {
  return "name: '" + name +
         "' layer { name: 'data' type: 'Input' top: 'data' top: 'label' input_param { "
         "shape { dim: 2 dim: 3 dim: 8 dim: 8 } shape { dim: 2 } } } "
         "layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' "
         "convolution_param { num_output: 4 kernel_size: 3 engine: CAFFE "
         "weight_filler { type: 'xavier' } } } "
         "layer { name: 'norm' type: 'BatchNorm' bottom: 'conv' top: 'conv' } "
         "layer { name: 'scale' type: 'Scale' bottom: 'conv' top: 'conv' "
         "scale_param { bias_term: true } } "
         "layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' } "
         "layer { name: 'pool' type: 'Pooling' bottom: 'conv' top: 'pool' "
         "pooling_param { kernel_size: 2 stride: 2 } } "
         "layer { name: 'ip' type: 'InnerProduct' bottom: 'pool' top: 'ip' "
         "inner_product_param { num_output: 5 weight_filler { type: 'xavier' } } } "
         "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: 'loss' } ";
}

/// A solver of that net; the weights depend on the seed alone.
inline std::unique_ptr<SGDSolver<float>> small_solver(unsigned int seed = 5) {
  const QuietLog quiet;
  SolverParameter param;
  param.mutable_net_param()->CopyFrom(net_param(small_net()));
  param.set_base_lr(0.05f);
  param.set_lr_policy("fixed");
  param.set_momentum(0.9f);
  param.set_max_iter(1000);
  param.set_solver_mode(SolverParameter::GPU);
  param.set_random_seed(seed);
  return std::unique_ptr<SGDSolver<float>>(new SGDSolver<float>(param));
}

/// Other images and labels in each iteration.
inline void feed(Net<float>* net, int iteration) {
  Blob<float>* const data = net->input_blobs()[0];
  float* const values = data->mutable_cpu_data();
  for (int i = 0; i < data->count(); ++i) {
    values[i] = static_cast<float>((i * 7919 + iteration * 31) % 101) / 50 - 1;
  }
  for (int n = 0; n < 2; ++n) {
    net->input_blobs()[1]->mutable_cpu_data()[n] = static_cast<float>((n + iteration) % 5);
  }
}

inline void train(Solver<float>* solver, int iterations) {
  const QuietLog quiet;
  for (int i = 0; i < iterations; ++i) {
    feed(solver->net().get(), solver->iter());
    solver->Step(1);
  }
}

inline vector<double> weights(const Net<float>& net) {
  vector<double> all;
  for (const Blob<float>* const blob : net.learnable_params()) {
    const vector<double> own = values(*blob);
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

/// The weights after some iterations by a solver of its own.
inline vector<double> trained(int iterations, unsigned int seed = 5) {
  const auto solver = small_solver(seed);
  train(solver.get(), iterations);
  return weights(*solver->net());
}

}  // namespace caffe

#endif  // TESTS_CPP_SHADOW_SMALL_NET_HPP_
