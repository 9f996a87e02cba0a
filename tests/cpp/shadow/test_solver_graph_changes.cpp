// Training with CUDA graphs on the shadow device when something changes between iterations, fails,
// or runs beside it.

#include <algorithm>
#include <atomic>
#include <thread>

#include "caffe/util/gpu_context.hpp"
#include "caffe/util/gpu_workspace.hpp"
#include "tests/cpp/engine/temp_dir.hpp"
#include "tests/cpp/shadow/graph_training.hpp"
#include "tests/cpp/shadow/small_net.hpp"

namespace caffe {

TEST_F(SolverGraphTest, WhatTheHostChangesBetweenIterationsCounts) {
  const Between change = [](Solver<float>* solver, int i) {
    Blob<float>& w = *solver->net()->learnable_params()[0];
    if (i == 6) w.mutable_cpu_data()[1] = 0.75f;
    if (i == 7) caffe_gpu_set(w.count(), 0.5f, w.mutable_gpu_data());
    // Another loss weight.
    if (i == 8) caffe_set(1, 0.25f, solver->net()->blob_by_name("loss")->mutable_cpu_diff());
  };
  expect_same_with_graph(lenet(), "momentum: 0.9 display: 1", 12, change);
}

TEST_F(SolverGraphTest, WhatTheHostReadsIsOfThisIteration) {
  const auto read = [](std::vector<double>* all) -> Between {
    return [all](Solver<float>* solver, int) {
      for (const auto& blob : solver->net()->blobs()) {
        for (const double value : values(*blob)) all->push_back(value);
        for (const double value : gradient(*blob)) all->push_back(value);
      }
    };
  };
  std::vector<double> plain, graph;
  train(solver_param(lenet(), "momentum: 0.9"), 9, read(&plain));
  const Trained trained =
      train(solver_param(lenet(), "momentum: 0.9" + string(kGraph)), 9, read(&graph));
  EXPECT_EQ(trained.graph_launches, 9 - kBefore);
  EXPECT_EQ(plain, graph);
}

TEST_F(SolverGraphTest, TestsAndPassesInBetweenDisturbNothing) {
  const Between run = [](Solver<float>* solver, int i) {
    if (i % 3 == 2) solver->net()->Forward();
    if (i % 4 == 3) solver->net()->ForwardBackward();
  };
  const std::string test = " test_iter: 2 test_interval: 3 test_initialization: true ";
  const Trained graph =
      expect_same_with_graph(all_losses(), "momentum: 0.9 display: 1" + test, 12, run);
  EXPECT_GE(graph.graph_launches, 6);
}

TEST_F(SolverGraphTest, AnotherBatchSizeIsRecordedAnew) {
  const Between reshape = [](Solver<float>* solver, int i) {
    Net<float>& net = *solver->net();
    const int images = i < 6 ? 6 : i < 13 ? 3 : 8;
    if (net.blob_by_name("label")->count() == images) return;
    net.blob_by_name("data")->Reshape({images, 1, 12, 12});
    net.blob_by_name("label")->Reshape({images});
    fill_images(&net, i);
  };
  const Trained graph = expect_same_with_graph(lenet(), "momentum: 0.9 display: 1", 20, reshape);
  EXPECT_EQ(graph.graph_launches, 3 + 4 + 4);
}

TEST_F(SolverGraphTest, AnotherSettingIsRecordedAnew) {
  const Between change = [](Solver<float>* solver, int i) {
    if (i == 6) const_cast<SolverParameter&>(solver->param()).set_momentum(0.5f);
    if (i == 7) const_cast<SolverParameter&>(solver->param()).set_base_lr(0.001f);
    if (i == 14) const_cast<SolverParameter&>(solver->param()).set_iter_size(2);
  };
  const Trained graph = expect_same_with_graph(lenet(), "momentum: 0.9 display: 1", 20, change);
  EXPECT_EQ(graph.graph_launches, 3 + 5 + 2 * 3);
}

TEST_F(SolverGraphTest, ARestoredStateGoesOn) {
  const TempDir folder;
  const Between restore = [&folder](Solver<float>* solver, int i) {
    if (i == 6) solver->Snapshot();
    if (i == 8) solver->Restore((folder / "at_iter_6.solverstate").c_str());
  };
  const std::string prefix = "snapshot_prefix: '" + (folder / "at") + "' ";
  const Trained plain = train(solver_param(lenet(), "momentum: 0.9 " + prefix), 14, restore);
  const Trained graph =
      train(solver_param(lenet(), "momentum: 0.9 " + prefix + kGraph), 14, restore);
  EXPECT_EQ(plain.weights, graph.weights);
  EXPECT_GE(graph.graph_launches, 8);
}

TEST_F(SolverGraphTest, AnErrorOfAReplayChangesNoWeight) {
  const auto solver = make_solver<float>(solver_param(lenet(), "momentum: 0.9" + string(kGraph)));
  solver->Step(kBefore + 3);
  const std::vector<float> before = weights(solver.get());
  solver->net()->blob_by_name("label")->mutable_cpu_data()[3] = 7;
  EXPECT_NE(error_of([&] { solver->Step(1); }).find("label"), std::string::npos);
  EXPECT_EQ(weights(solver.get()), before);
  fill_images(solver->net().get());
  solver->Step(2);
  EXPECT_NE(weights(solver.get()), before);
}

TEST_F(SolverGraphTest, ARecordingThatFailsCostsNothing) {
  const std::string text = "momentum: 0.9 display: 1 iter_size: 2";
  const Trained plain = train(solver_param(all_losses(), text), 14);
  for (const int failing : {1, 2}) {
    SCOPED_TRACE(failing);
    shadow::fail_capture(failing);
    const Trained graph = train(solver_param(all_losses(), text + kGraph), 14);
    expect_same(plain, graph);
    EXPECT_GE(graph.graph_launches, 2 * 4);
  }
}

TEST_F(SolverGraphTest, WithoutTheMemoryForARecordingTrainingGoesOn) {
  const Devices two(2);
  in_thread([] {
    const Trained plain = train(solver_param(lenet(), "momentum: 0.9"), 9);
    Caffe::SetDevice(1);  // whose contexts have no room for cuBLAS yet
    shadow::set_memory(size_t(20) << 20);
    const Trained trained = train(solver_param(lenet(), "momentum: 0.9" + string(kGraph)), 9);
    shadow::set_memory(size_t(8) << 30);
    EXPECT_EQ(trained.graph_launches, 0);
    EXPECT_EQ(trained.weights, plain.weights);
  });
}

TEST_F(SolverGraphTest, TwoSolversWithTheSameWeights) {
  const auto run = [](const std::string& more) {
    const auto a = make_solver<float>(solver_param(lenet(), "momentum: 0.9" + more));
    const auto b = make_solver<float>(solver_param(lenet(), "momentum: 0.5" + more));
    b->net()->ShareTrainedLayersWith(a->net().get());
    for (int i = 0; i < 24; ++i) {
      a->Step(1);
      b->Step(1);
    }
    std::vector<float> all = weights(a.get());
    const std::vector<float> other = weights(b.get());
    all.insert(all.end(), other.begin(), other.end());
    return all;
  };
  EXPECT_EQ(run(""), run(kGraph));
}

TEST_F(SolverGraphTest, EachThreadRecordsItsOwn) {
  const auto solver = make_solver<float>(solver_param(lenet(), "momentum: 0.9" + string(kGraph)));
  const auto plain = make_solver<float>(solver_param(lenet(), "momentum: 0.9"));
  for (Solver<float>* const one : {solver.get(), plain.get()}) {
    one->Step(kBefore + 2);
    for (int i = 0; i < 4; ++i) {  // a thread that has ended leaves its context to the next one
      std::thread other([one] {
        Caffe::set_mode(Caffe::GPU);
        one->Step(kBefore + 1);
      });
      other.join();
    }
    one->Step(kBefore + 2);
  }
  EXPECT_EQ(weights(solver.get()), weights(plain.get()));
}

TEST_F(SolverGraphTest, AnotherThreadMayUseTheWeightsMeanwhile) {
  const std::string text = "momentum: 0.9 display: 1";
  const Trained plain = train(solver_param(all_losses(), text), 12);
  std::atomic<bool> ends{false};
  const auto other = make_net<float>(all_losses(), TEST);
  std::thread reader;
  std::string error;
  const Trained graph =
      train(solver_param(all_losses(), text + kGraph), 12, [&](Solver<float>* solver, int i) {
        if (i != 2) return;
        other->ShareTrainedLayersWith(solver->net().get());
        reader = std::thread([&] {
          Caffe::set_mode(Caffe::GPU);
          error = error_of([&] {
            while (!ends) {
              fill_images(other.get());
              other->Forward();
              Blob<float> fresh(std::vector<int>{64});
              fresh.mutable_gpu_data();
            }
          });
        });
      });
  ends = true;
  reader.join();
  EXPECT_EQ(error, "");
  expect_same(plain, graph);
}

TEST_F(SolverGraphTest, ADataLayerMayStandBehindOthers) {
  const std::string label =
      "layer { name: 'late' type: 'Input' top: 'label' input_param { shape { dim: 6 } } } ";
  const std::string data =
      "layer { name: 'input' type: 'Input' top: 'data' input_param { shape { dim: 6 dim: 1 dim: 12 "
      "dim: 12 } } } ";
  const std::string drop = "layer { name: 'drop' type: 'Dropout' bottom: 'pool' top: 'pool' } ";
  const Trained graph = expect_same_with_graph(
      data + trained_layers("data", drop) + label + softmax_loss(), "display: 1", 8);
  EXPECT_EQ(graph.graph_launches, 8 - kBefore);
  const std::string noise =
      "layer { name: 'noise' type: 'DummyData' top: 'noise' dummy_data_param { shape { dim: 6 dim: "
      "4 dim: 5 dim: 5 } data_filler { type: 'gaussian' } } } "
      "layer { name: 'sum' type: 'Eltwise' bottom: 'pool' bottom: 'noise' top: 'sum' } "
      "layer { name: 'quiet' type: 'Silence' bottom: 'sum' } ";
  const auto solver = make_solver<float>(
      solver_param(string(kTrainingData) + trained_layers("data", noise) + softmax_loss(), kGraph));
  EXPECT_EQ(reason_of(solver.get()),
            "layer 'noise' (DummyData) stands behind layers that have bottoms: move it to the "
            "net's beginning");
}

TEST_F(SolverGraphTest, WeightsThatAreSharedLaterAreUsed) {
  const auto other = make_net<float>("name: 'small' " + lenet());
  for (const auto& blob : other->learnable_params()) fill(blob, 0.03f);
  std::vector<float> start;
  for (const auto* blob : other->learnable_params()) {
    start.insert(start.end(), blob->cpu_data(), blob->cpu_data() + blob->count());
  }
  const Between share = [&](Solver<float>* solver, int i) {
    if (i != 6) return;
    size_t at = 0;
    for (Blob<float>* const blob : other->learnable_params()) {
      std::copy_n(start.begin() + at, blob->count(), blob->mutable_cpu_data());
      at += blob->count();
    }
    solver->net()->ShareTrainedLayersWith(other.get());
  };
  expect_same_with_graph(lenet(), "momentum: 0.9 display: 1", 12, share);
}

TEST_F(SolverGraphTest, ARestoredHistoryMovesFrozenWeights) {
  const TempDir folder;
  const auto learnt = make_solver<float>(
      solver_param(lenet(), "momentum: 0.9 snapshot_prefix: '" + (folder / "all") + "'"));
  learnt->Step(3);
  learnt->Snapshot();
  const std::string frozen = std::regex_replace(lenet(), std::regex("lr_mult: 1"), "lr_mult: 0");
  const Between restore = [&](Solver<float>* solver, int i) {
    if (i == 7) solver->Restore((folder / "all_iter_3.solverstate").c_str());
  };
  expect_same_with_graph(frozen, "momentum: 0.9 display: 1", 12, restore);
}

/// Its parameter is updated by itself from then on.
TEST_F(SolverGraphTest, AFrozenParametersGradientMayBeRead) {
  const std::string frozen = std::regex_replace(lenet(), std::regex("lr_mult: 1"), "lr_mult: 0",
                                                std::regex_constants::format_first_only);
  ASSERT_NE(frozen, lenet());
  const Between read = [&](Solver<float>* solver, int i) {
    const Blob<float>& param = *solver->net()->learnable_params()[0];
    if (i == 6) {
      EXPECT_EQ(param.cpu_diff()[0], 0);
    }
  };
  const Trained graph = expect_same_with_graph(frozen, "momentum: 0.9 display: 1", 12, read);
  EXPECT_EQ(graph.graph_launches, 6 - kBefore);
  const auto solver = make_solver<float>(solver_param(frozen, "momentum: 0.9" + string(kGraph)));
  solver->Step(1);
  solver->net()->learnable_params()[0]->cpu_diff();
  EXPECT_NE(reason_of(solver.get()).find("a parameter with lr_mult 0 whose gradient"),
            std::string::npos);
}

TEST_F(SolverGraphTest, ABackwardPassBehindAReplayHasItsSeeds) {
  const auto run = [](const std::string& more) {
    std::vector<double> found;
    train(solver_param(all_losses(), "momentum: 0.9" + more), 10,
          [&](Solver<float>* solver, int i) {
            if (i == 8) {
              solver->net()->Backward();
              found = gradient(*solver->net()->blob_by_name("norm"));
            }
            if (i == 7) solver->net()->Forward();
          });
    return found;
  };
  EXPECT_EQ(run(""), run(kGraph));
}

TEST_F(SolverGraphTest, ALargerWorkspaceIsNoticed) {
  const Between grow = [](Solver<float>*, int i) {
    if (i != 6) return;
    // Where the smaller one was is somebody else's now.
    device::workspace(GpuContext::current().workspace_bytes() + (1 << 20));
  };
  const std::string net = std::regex_replace(all_losses(), std::regex("engine: CAFFE"), "");
  const Trained graph = expect_same_with_graph(net, "momentum: 0.9 display: 1", 12, grow);
  EXPECT_EQ(graph.graph_launches, 3 + 3);
}

}  // namespace caffe
