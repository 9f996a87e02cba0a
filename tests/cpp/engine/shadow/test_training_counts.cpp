// What an iteration of a training asks of a GPU, counted by the shadow device: AlexNet with LAAP,
// its published shapes and layers, and a small AlexNet with both MAAP layers, from an LMDB.

#include <algorithm>
#include <memory>
#include <string>

#include "caffe/sgd_solvers.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/db.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "test_paths.hpp"
#include "tests/cpp/engine/fixtures.hpp"
#include "tests/cpp/engine/temp_dir.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {
namespace {

class TrainingCounts : public ::testing::Test {
 protected:
  void SetUp() override {
    Caffe::SetDevice(0);
    Caffe::set_mode(Caffe::GPU);
    Caffe::set_random_seed(1);
    FLAGS_minloglevel = google::GLOG_WARNING;
  }
  void TearDown() override {
    FLAGS_minloglevel = google::GLOG_INFO;
    Caffe::set_mode(Caffe::CPU);
  }

  /// Images of `size` x `size` pixels.
  void write_images(int size) {
    const std::unique_ptr<db::DB> db(db::GetDB("lmdb"));
    db->Open(folder_ / "images", db::NEW);
    const std::unique_ptr<db::Transaction> transaction(db->NewTransaction());
    Datum datum;
    datum.set_channels(3);
    datum.set_height(size);
    datum.set_width(size);
    for (int i = 0; i < 4; ++i) {
      string pixels(3 * size * size, '\x70');
      for (size_t k = 0; k < pixels.size(); ++k) pixels[k] += static_cast<char>(k * (i + 7) % 61);
      datum.set_data(pixels);
      datum.set_label(i);
      string value;
      datum.SerializeToString(&value);
      transaction->Put(std::to_string(i), value);
    }
    transaction->Commit();
  }

  /// A solver of the net, with its images replaced and no test net.
  std::unique_ptr<Solver<float>> solver_of(const string& net, const string& type) {
    SolverParameter param;
    ReadNetParamsFromTextFileOrDie(net, param.mutable_train_net_param());
    for (LayerParameter& layer : *param.mutable_train_net_param()->mutable_layer()) {
      if (layer.type() != "Data") continue;
      layer.mutable_data_param()->set_source(folder_ / "images");
      layer.mutable_data_param()->set_batch_size(2);
    }
    param.set_type(type);
    param.set_base_lr(1e-5f);
    param.set_momentum(0.9f);
    param.set_weight_decay(0.0005f);
    param.set_clip_gradients(35);
    param.set_lr_policy("fixed");
    param.set_display(1);
    param.set_solver_mode(SolverParameter::GPU);
    return std::unique_ptr<Solver<float>>(SolverRegistry<float>::CreateSolver(param));
  }

  TempDir folder_;
};

/// The third iteration and those after it wait once, for the loss, copy no blob to the host and
/// allocate nothing.
void expect_one_wait(Solver<float>* solver, int iterations) {
  solver->Step(2);
  for (int i = 0; i < iterations; ++i) {
    SCOPED_TRACE("iteration " + std::to_string(solver->iter()));
    shadow::reset_counts();
    solver->Step(1);
    const shadow::Counts counts = shadow::counts();
    EXPECT_EQ(counts.synchronisations, 1);
    EXPECT_EQ(counts.allocations, 0);
    EXPECT_EQ(counts.pinned_allocations, 0);
    EXPECT_LE(counts.largest_to_host, 1024);
    EXPECT_GT(counts.launches, 20);
  }
}

TEST_F(TrainingCounts, AlexNetWithLaapWaitsOncePerIteration) {
  write_images(256);
  const auto solver = solver_of(PROTOTXT "/alexnet/train_val_laap.prototxt", "SGD");
  expect_one_wait(solver.get(), 1);
}

TEST_F(TrainingCounts, SoDoesANetWithBothMaapLayersAndAnotherSolver) {
  write_images(36);
  const auto solver = solver_of(PROTOTXT "/../tests/nets/small_alexnet/net.prototxt", "Adam");
  expect_one_wait(solver.get(), 4);
}

}  // namespace
}  // namespace caffe
