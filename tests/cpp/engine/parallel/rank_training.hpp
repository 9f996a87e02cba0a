#ifndef TESTS_CPP_ENGINE_PARALLEL_RANK_TRAINING_HPP_
#define TESTS_CPP_ENGINE_PARALLEL_RANK_TRAINING_HPP_

// Trains small nets with several ranks, each a thread, from one data base.

#include <memory>
#include <string>
#include <vector>

#include "caffe/parallel/data_parallel.hpp"
#include "datums.hpp"
#include "fixtures.hpp"
#include "parallel/ranks.hpp"
#include "temp_dir.hpp"
#include "training_nets.hpp"

namespace caffe {

/// Square images of 3 classes, which float_data holds.
inline std::vector<Datum> float_images(int n, int channels = 1, int size = 12) {
  std::vector<Datum> datums(n);
  for (int i = 0; i < n; ++i) {
    datums[i].set_channels(channels);
    datums[i].set_height(size);
    datums[i].set_width(size);
    datums[i].set_label(i % 3);
    for (int k = 0; k < channels * size * size; ++k) {
      datums[i].add_float_data(
          static_cast<float>(std::sin(0.37 * k + 2 * (i % 3)) + 0.3 * std::sin(1.7 * k * (i + 1))));
    }
  }
  return datums;
}

inline std::string data_layer(const std::string& source, int batch, const std::string& more = "") {
  return "layer { name: 'input' type: 'Data' top: 'data' top: 'label' data_param { backend: LMDB "
         "source: '" +
         source + "' batch_size: " + std::to_string(batch) + " } " + more + " } ";
}

/// A solver for one rank, which trains together with the others.
template <typename Dtype>
std::unique_ptr<Solver<Dtype>> join(const std::shared_ptr<Communicator>& rank,
                                    SolverParameter param) {
  become_rank(rank.get(), &param);
  std::unique_ptr<Solver<Dtype>> solver(SolverRegistry<Dtype>::CreateSolver(param));
  solver->TrainTogether(rank);
  return solver;
}

/// sqrt(sum (a - b)^2 / sum b^2)
template <typename Dtype>
double relative_difference(const std::vector<Dtype>& a, const std::vector<Dtype>& b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0, size = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference += std::pow(double(a[i]) - double(b[i]), 2);
    size += std::pow(double(b[i]), 2);
  }
  return std::sqrt(difference / size);
}

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_PARALLEL_RANK_TRAINING_HPP_
