#ifndef TESTS_CPP_ENGINE_TRAINING_NETS_HPP_
#define TESTS_CPP_ENGINE_TRAINING_NETS_HPP_

// Small nets that train quickly, and solvers for them.

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "caffe/sgd_solvers.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/io.hpp"
#include "log_lines.hpp"

namespace caffe {

/// 6 images of 12 x 12 and their labels, 0 to 2.
const char kTrainingData[] =
    "layer { name: 'input' type: 'Input' top: 'data' top: 'label' input_param { "
    "shape { dim: 6 dim: 1 dim: 12 dim: 12 } shape { dim: 6 } } } ";

/// Convolution, pooling and two inner products up to `scores`, 3 for each image; `between` comes
/// behind the pooling and works on `pool`.
inline std::string trained_layers(const std::string& data, const std::string& between = "") {
  return "layer { name: 'conv' type: 'Convolution' bottom: '" + data +
         "' top: 'conv' param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 } "
         "convolution_param { num_output: 4 kernel_size: 3 engine: CAFFE "
         "weight_filler { type: 'xavier' } } } "
         "layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' } "
         "layer { name: 'pool' type: 'Pooling' bottom: 'conv' top: 'pool' "
         "pooling_param { kernel_size: 2 stride: 2 engine: CAFFE } } " +
         between +
         "layer { name: 'ip1' type: 'InnerProduct' bottom: 'pool' top: 'ip1' "
         "param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 } "
         "inner_product_param { num_output: 10 weight_filler { type: 'xavier' } } } "
         "layer { name: 'relu2' type: 'ReLU' bottom: 'ip1' top: 'ip1' } "
         "layer { name: 'scores' type: 'InnerProduct' bottom: 'ip1' top: 'scores' "
         "inner_product_param { num_output: 3 weight_filler { type: 'xavier' } } } ";
}

inline std::string softmax_loss(const std::string& more = "") {
  return "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'scores' bottom: 'label' "
         "top: 'loss' " +
         more + "} ";
}

/// With one accuracy for all classes and one for each.
inline std::string lenet() {
  return std::string(kTrainingData) + trained_layers("data") +
         "layer { name: 'accuracy' type: 'Accuracy' bottom: 'scores' bottom: 'label' "
         "top: 'accuracy' top: 'by_class' } " +
         softmax_loss();
}

inline SolverParameter solver_param(const std::string& net, const std::string& text) {
  SolverParameter param, more;
  ReadProtoFromText("random_seed: 5 base_lr: 0.05 lr_policy: 'fixed' type: 'SGD'", "test", &param);
  ReadProtoFromText(text, "test", &more);
  param.MergeFrom(more);
  ReadProtoFromText("name: 'small' " + net, "test", param.mutable_net_param());
  return param;
}

/// All six types.
inline const char* const kSolverTypes[] = {
    "type: 'SGD' momentum: 0.9",
    "type: 'Nesterov' momentum: 0.9",
    "type: 'AdaGrad'",
    "type: 'RMSProp' rms_decay: 0.9",
    "type: 'AdaDelta' momentum: 0.95 base_lr: 1 delta: 1e-6",
    "type: 'Adam' momentum: 0.9 momentum2: 0.999 base_lr: 0.01"};

/// Values that are the same every time.
template <typename Dtype>
void fill_images(Net<Dtype>* net, int batch = 0) {
  Blob<Dtype>& data = *net->blob_by_name("data");
  Blob<Dtype>& label = *net->blob_by_name("label");
  for (int i = 0; i < data.count(); ++i) {
    data.mutable_cpu_data()[i] =
        static_cast<Dtype>(std::sin(0.37 * i + 0.11 * batch) + 0.5 * std::cos(0.013 * i * i));
  }
  for (int i = 0; i < label.count(); ++i) {
    label.mutable_cpu_data()[i] = static_cast<Dtype>((i + batch) % 3);
  }
}

template <typename Dtype>
std::unique_ptr<Solver<Dtype>> make_solver(const SolverParameter& param) {
  const QuietLog quiet;
  std::unique_ptr<Solver<Dtype>> solver(SolverRegistry<Dtype>::CreateSolver(param));
  fill_images(solver->net().get());
  return solver;
}

/// All weights, one behind the other.
template <typename Dtype>
std::vector<Dtype> weights(Solver<Dtype>* solver) {
  std::vector<Dtype> all;
  for (const Blob<Dtype>* blob : solver->net()->learnable_params()) {
    all.insert(all.end(), blob->cpu_data(), blob->cpu_data() + blob->count());
  }
  return all;
}

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_TRAINING_NETS_HPP_
