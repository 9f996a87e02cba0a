#ifndef TESTS_CPP_ENGINE_PARALLEL_RANK_TRAINING_HPP_
#define TESTS_CPP_ENGINE_PARALLEL_RANK_TRAINING_HPP_

// Trains small nets with several ranks, each a thread, from one data base; and a fixture for tests
// of that.

#include <memory>
#include <string>
#include <vector>

#include "caffe/parallel/data_parallel.hpp"
#include "caffe/parallel/nccl_sums.hpp"
#include "caffe/util/device.hpp"
#include "datums.hpp"
#include "fixtures.hpp"
#include "layers/layer_test.hpp"
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

inline std::string iteration_file(const TempDir& folder, int iter) {
  return folder / ("w_iter_" + std::to_string(iter) + ".solverstate");
}

template <typename TypeParam>
class DataParallelTest : public ::testing::Test {
 public:
  typedef typename TypeParam::Dtype Dtype;
  typedef std::vector<Dtype> Values;

 protected:
  void SetUp() override {
    if (TypeParam::mode == Caffe::GPU && (!has_nccl() || device::count() < 4)) {
      GTEST_SKIP() << "no NCCL, or fewer than 4 GPUs";
    }
    Caffe::set_mode(TypeParam::mode);
    FLAGS_minloglevel = google::GLOG_ERROR;
    write_database(folder_ / "images", float_images(26));
  }
  void TearDown() override {
    FLAGS_minloglevel = google::GLOG_INFO;
    Caffe::set_mode(Caffe::CPU);
    Caffe::set_solver_count(1);
    Caffe::set_solver_rank(0);
  }

  std::string images(int batch, const std::string& more = "") {
    return data_layer(folder_ / "images", batch, more);
  }
  std::string small_net(int batch) {
    return images(batch) + trained_layers("data") + softmax_loss();
  }
  std::string with_prefix(const std::string& text) {
    return text + " snapshot_prefix: '" + (folder_ / "w") + "' ";
  }

  /// Each rank's weights after some iterations of its solver.
  std::vector<Values> trained(int ranks, const SolverParameter& param, int iterations) {
    std::vector<Values> all(ranks);
    const auto errors = run_ranks(ranks, [&](const std::shared_ptr<Communicator>& rank) {
      const auto solver = join<Dtype>(rank, param);
      solver->Step(iterations);
      all[rank->rank()] = weights(solver.get());
    });
    for (const std::string& error : errors) EXPECT_EQ(error, "");
    return all;
  }

  /// net(batch) of several ranks with 12 images together, against one rank with all of them.
  void expect_same(const std::function<std::string(int)>& net, const std::string& solver, int ranks,
                   int iterations = 50) {
    SCOPED_TRACE(solver + ", " + std::to_string(ranks) + " ranks");
    const Values one = trained(1, solver_param(net(12), solver), iterations)[0];
    const auto all = trained(ranks, solver_param(net(12 / ranks), solver), iterations);
    const double most = sizeof(Dtype) == 4 ? 1e-5 : 1e-10;
    EXPECT_LE(relative_difference(all[0], one), most);
    for (int rank = 1; rank < ranks; ++rank) EXPECT_EQ(all[rank], all[0]) << rank;  // every bit
    EXPECT_GT(relative_difference(one, trained(1, solver_param(net(12), solver), 1)[0]), 1e-3);
  }

  const ShadowGpus gpus_{4};
  TempDir folder_;
};

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_PARALLEL_RANK_TRAINING_HPP_
