#ifndef TESTS_CPP_ENGINE_LAYERS_RECURRENT_TEST_HPP_
#define TESTS_CPP_ENGINE_LAYERS_RECURRENT_TEST_HPP_

// What the tests of LSTM, RNN and their base have in common.

#include <cmath>
#include <string>
#include <vector>

#include "layers/layer_test.hpp"

namespace caffe {

/// A matrix of a layer's parameters, row by row; `columns` is 1 for a bias.
struct Matrix {
  template <typename Dtype>
  explicit Matrix(const Blob<Dtype>& blob)
      : columns(blob.num_axes() > 1 ? blob.shape(1) : 1),
        values(blob.cpu_data(), blob.cpu_data() + blob.count()) {}
  double at(int row, int column = 0) const { return values[row * columns + column]; }
  /// The product of a row with `x`, of `columns` values.
  double times(int row, const double* x) const {
    double sum = 0;
    for (int i = 0; i < columns; ++i) sum += at(row, i) * x[i];
    return sum;
  }

  int columns;
  std::vector<double> values;
};

inline double logistic(double x) {
  return 1 / (1 + std::exp(-x));
}

/// Bottoms: x (T x N x I), cont, and on request a static input and first states.
template <typename TypeParam>
class RecurrentTest : public LayerTest<TypeParam> {
 protected:
  typedef typename LayerTest<TypeParam>::Dtype Dtype;
  static constexpr int kSteps = 3, kStreams = 2, kOutputs = 4;

  /// `cont` has kSteps x kStreams values.
  void add_inputs(const std::vector<double>& cont = {0, 0, 1, 1, 0, 1}) {
    this->add_bottom({kSteps, kStreams, 5});
    this->add_bottom({kSteps, kStreams}, cont);
  }
  void add_static() { this->add_bottom({kStreams, 3}); }
  void add_states(int count) {
    for (int i = 0; i < count; ++i) this->add_bottom({1, kStreams, kOutputs});
    for (int i = 0; i <= count; ++i) this->add_top();
  }
  void clear() {
    this->bottom.clear();
    this->top.clear();
  }
  static std::string text(const std::string& type, const std::string& more = "") {
    return "name: 'r' type: '" + type + "' recurrent_param { num_output: 4 " +
           "weight_filler { type: 'uniform' min: -0.8 max: 0.8 } " +
           "bias_filler { type: 'uniform' min: -0.5 max: 0.5 } " + more + " }";
  }
  /// The gradient of every input that has one, and of all parameters.
  void check_gradients(const std::string& description) {
    GradientOptions options;
    this->check_gradient(description, options);
    if (this->HasFatalFailure()) return;
    clear();
    add_inputs();
    add_static();
    options.bottoms = {0, 2};
    this->check_gradient(description, options);
  }
};

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_LAYERS_RECURRENT_TEST_HPP_
