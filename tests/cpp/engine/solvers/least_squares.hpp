#ifndef TESTS_CPP_ENGINE_SOLVERS_LEAST_SQUARES_HPP_
#define TESTS_CPP_ENGINE_SOLVERS_LEAST_SQUARES_HPP_

// A problem with a gradient in closed form, as a layer and in plain doubles.
//
//   y = w x + b,  loss = sum (y - t)^2 / (2 N)     w 2 x 3, b 2, N = 4 rows of x and t
//
// Every batch has different rows; tests may set the number of the next one.

#include <cmath>
#include <vector>

#include "caffe/layer.hpp"

namespace caffe {
namespace least_squares {

constexpr int kRows = 4, kIn = 3, kOut = 2, kParams = kOut * kIn + kOut;

/// The next batch.
inline int& next_batch() {
  static int batch = 0;
  return batch;
}

inline double x_at(int batch, int row, int i) {
  return std::sin(1.3 * batch + 2.1 * row + 0.7 * i * i + 0.2);
}
inline double t_at(int batch, int row, int o) {
  return 0.5 + std::cos(0.9 * batch - 1.1 * row + 1.9 * o);
}
/// The initial weights: w row by row, then b.
inline std::vector<double> start() {
  return {0.5, -0.25, 0.125, -0.75, 0.3125, 0.0, 0.1875, -0.0625};
}

/// The loss of a batch, and its gradient added to *gradient.
inline double loss(const std::vector<double>& w, int batch, std::vector<double>* gradient) {
  double sum = 0;
  for (int row = 0; row < kRows; ++row) {
    for (int o = 0; o < kOut; ++o) {
      double error = w[kOut * kIn + o] - t_at(batch, row, o);
      for (int i = 0; i < kIn; ++i) error += w[o * kIn + i] * x_at(batch, row, i);
      sum += error * error / (2 * kRows);
      for (int i = 0; i < kIn; ++i) {
        (*gradient)[o * kIn + i] += error * x_at(batch, row, i) / kRows;
      }
      (*gradient)[kOut * kIn + o] += error / kRows;
    }
  }
  return sum;
}

}  // namespace least_squares

template <typename Dtype>
class LeastSquaresLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit LeastSquaresLayer(const LayerParameter& param) : Layer<Dtype>(param) {}

  void LayerSetUp(const Blobs&, const Blobs&) override {
    using namespace least_squares;
    this->blobs_ = {std::make_shared<Blob<Dtype>>(std::vector<int>{kOut, kIn}),
                    std::make_shared<Blob<Dtype>>(std::vector<int>{kOut})};
    for (int k = 0; k < kParams; ++k) put(k, start()[k], false);
  }
  void Reshape(const Blobs&, const Blobs& top) override { top[0]->Reshape(std::vector<int>()); }
  const char* type() const override { return "LeastSquares"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const Blobs&, const Blobs& top) override {
    std::vector<double> w;
    for (int k = 0; k < least_squares::kParams; ++k) w.push_back(*at(k, false));
    gradient_.assign(least_squares::kParams, 0);
    top[0]->mutable_cpu_data()[0] =
        static_cast<Dtype>(least_squares::loss(w, least_squares::next_batch()++, &gradient_));
  }
  void Backward_cpu(const Blobs& top, const std::vector<bool>&, const Blobs&) override {
    for (int k = 0; k < least_squares::kParams; ++k) {
      if (!this->param_propagate_down(k < least_squares::kOut * least_squares::kIn ? 0 : 1))
        continue;
      put(k, *at(k, true) + top[0]->cpu_diff()[0] * gradient_[k], true);
    }
  }

 private:
  /// Parameter k, of both blobs, or its gradient.
  Dtype* at(int k, bool diff) {
    const int weights = least_squares::kOut * least_squares::kIn;
    Blob<Dtype>& blob = *this->blobs_[k < weights ? 0 : 1];
    return (diff ? blob.mutable_cpu_diff() : blob.mutable_cpu_data()) +
           (k < weights ? k : k - weights);
  }
  void put(int k, double value, bool diff) { *at(k, diff) = static_cast<Dtype>(value); }

  std::vector<double> gradient_;
};

REGISTER_LAYER_CLASS(LeastSquares);

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_SOLVERS_LEAST_SQUARES_HPP_
