// Several ranks train what one rank with all their images trains.

#include "caffe/parallel/data_parallel.hpp"

#include <google/protobuf/text_format.h>

#include <filesystem>

#include "caffe/parallel/nccl_sums.hpp"
#include "caffe/util/device.hpp"
#include "layers/layer_test.hpp"
#include "parallel/rank_training.hpp"
#include "test_paths.hpp"

namespace caffe {
namespace {

typedef std::shared_ptr<Communicator> Rank;

const char* const kSolvers[] = {"type: 'SGD' momentum: 0.9",
                                "type: 'Nesterov' momentum: 0.9",
                                "type: 'AdaGrad'",
                                "type: 'RMSProp' rms_decay: 0.9",
                                "type: 'AdaDelta' momentum: 0.95 base_lr: 1 delta: 1e-6",
                                "type: 'Adam' momentum: 0.9 momentum2: 0.999 base_lr: 0.01"};

/// A loss on the values of a first inner product, whose parameters a second one shares.
std::string shared_layers() {
  const std::string shared = "param { name: 'w' lr_mult: 1 } param { name: 'b' lr_mult: 2 } ";
  const auto product = [&](const std::string& name, const std::string& bottom,
                           const std::string& params, int out) {
    return "layer { name: '" + name + "' type: 'InnerProduct' bottom: '" + bottom + "' top: '" +
           name + "' " + params + "inner_product_param { num_output: " + std::to_string(out) +
           " weight_filler { type: 'xavier' } } } ";
  };
  return product("first", "data", "", 10) + product("a", "first", shared, 10) +
         "layer { name: 'relu' type: 'ReLU' bottom: 'a' top: 'a' } " +
         product("b", "a", shared, 10) + product("scores", "b", "", 3);
}

std::string iteration_file(const TempDir& folder, int iter) {
  return folder / ("w_iter_" + std::to_string(iter) + ".solverstate");
}

}  // namespace

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
    const auto errors = run_ranks(ranks, [&](Rank rank) {
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
TYPED_TEST_SUITE(DataParallelTest, DtypesAndDevices);

TYPED_TEST(DataParallelTest, TrainsAsOneRankDoesWithAnySolver) {
  const auto net = [this](int batch) { return this->small_net(batch); };
  for (const char* solver : kSolvers) {
    for (const int ranks : {2, 4}) this->expect_same(net, solver, ranks);
  }
}

TYPED_TEST(DataParallelTest, TrainsAsOneRankDoesWithAllSettings) {
  const auto net = [this](int batch) { return this->small_net(batch); };
  for (const char* more :
       {"weight_decay: 0.01", "weight_decay: 0.001 regularization_type: 'L1'",
        "clip_gradients: 0.05", "iter_size: 2 clip_gradients: 0.3 weight_decay: 0.01",
        "lr_policy: 'step' gamma: 0.5 stepsize: 7",
        "lr_policy: 'plateau' gamma: 0.5 plateau_winsize: 5 plateau_winsize: 9"}) {
    this->expect_same(net, std::string("momentum: 0.9 ") + more, 3);
  }
}

TYPED_TEST(DataParallelTest, TrainsAsOneRankDoesWithSharedParameters) {
  const auto net = [this](int batch) {
    return this->images(batch) + shared_layers() + softmax_loss();
  };
  this->expect_same(net, "momentum: 0.9 weight_decay: 0.001", 2);
  this->expect_same(net, "momentum: 0.9 iter_size: 2", 4);
}

/// Gradients that are added up in place, and several buckets.
TYPED_TEST(DataParallelTest, TrainsAsOneRankDoesWithLargeParameters) {
  const auto net = [this](int batch) {
    return this->images(batch) +
           "layer { name: 'wide' type: 'InnerProduct' bottom: 'data' top: 'wide' "
           "inner_product_param { num_output: 5000 weight_filler { type: 'xavier' } } } "
           "layer { name: 'relu' type: 'ReLU' bottom: 'wide' top: 'wide' } "
           "layer { name: 'wide2' type: 'InnerProduct' bottom: 'wide' top: 'wide2' "
           "inner_product_param { num_output: 20 weight_filler { type: 'xavier' } } } "
           "layer { name: 'scores' type: 'InnerProduct' bottom: 'wide2' top: 'scores' "
           "inner_product_param { num_output: 3 weight_filler { type: 'xavier' } } } " +
           softmax_loss();
  };
  this->expect_same(net, "momentum: 0.9 base_lr: 0.01", 2, 10);
}

/// AlexNet's layers without Dropout, on small images and with small inner products. After more
/// iterations the differences of rounding have grown: its pooling chooses other values.
TYPED_TEST(DataParallelTest, TrainsAnAlexNetAsOneRankDoes) {
  if (sizeof(typename TypeParam::Dtype) == 8) GTEST_SKIP() << "the one in float shows it";
  write_database(this->folder_ / "colour", float_images(26, 3, 67));
  NetParameter param;
  ReadProtoFromTextFile(PROTOTXT "/alexnet/train_val.prototxt", &param);
  std::string layers;
  for (LayerParameter layer : param.layer()) {
    if (layer.type() == "Data" || layer.type() == "Dropout") continue;
    if (layer.type() == "Convolution") {
      layer.mutable_convolution_param()->mutable_weight_filler()->set_type("xavier");
    }
    if (layer.type() == "InnerProduct") {
      InnerProductParameter* const product = layer.mutable_inner_product_param();
      product->set_num_output(product->num_output() == 4096 ? 64 : 3);
      product->mutable_weight_filler()->set_type("xavier");
    }
    string text;
    google::protobuf::TextFormat::PrintToString(layer, &text);
    layers += "layer { " + text + "} ";
  }
  const auto net = [&](int batch) { return data_layer(this->folder_ / "colour", batch) + layers; };
  const char solver[] = "momentum: 0.9 weight_decay: 0.0005 base_lr: 0.01";
  this->expect_same(net, solver, 4, 10);
}

/// A rank draws for an image what one rank would.
TYPED_TEST(DataParallelTest, CropsAsOneRankDoes) {
  const auto net = [this](int batch) {
    return this->images(batch, "transform_param { crop_size: 9 mirror: true }") +
           trained_layers("data") + softmax_loss();
  };
  this->expect_same(net, "momentum: 0.9", 4);
}

/// A class of the user's takes the steps of an update one by one, and callbacks see the mean.
TYPED_TEST(DataParallelTest, CallbacksSeeTheMean) {
  typedef typename TypeParam::Dtype Dtype;
  struct Reader : Solver<Dtype>::Callback {
    explicit Reader(Net<Dtype>* net) : net(net) {}
    void on_start() override { ++starts; }
    void on_gradients_ready() override {
      for (const Blob<Dtype>* blob : net->learnable_params()) {
        gradients.insert(gradients.end(), blob->cpu_diff(), blob->cpu_diff() + blob->count());
      }
    }
    Net<Dtype>* net;
    int starts = 0;
    std::vector<Dtype> gradients;
  };
  const auto gradients = [this](int ranks) {
    std::vector<Dtype> of_root;
    run_ranks(ranks, [&](Rank rank) {
      const auto solver =
          join<Dtype>(rank, solver_param(this->small_net(12 / ranks), "momentum: 0.9"));
      Reader reader(solver->net().get());
      solver->add_callback(&reader);
      solver->Step(3);
      EXPECT_EQ(reader.starts, 3);
      if (rank->rank() == 0) of_root = reader.gradients;
    });
    return of_root;
  };
  const std::vector<Dtype> one = gradients(1), three = gradients(3);
  EXPECT_LE(relative_difference(three, one), sizeof(Dtype) == 4 ? 1e-5 : 1e-12);
}

// ---- what ends a training

/// The fourth iteration's images of rank 1 have a NaN: all ranks stay at the weights before it.
TYPED_TEST(DataParallelTest, ALossThatIsNotFiniteEndsAllRanks) {
  typedef typename TypeParam::Dtype Dtype;
  auto datums = float_images(26);
  datums[6 * 3 + 3].set_float_data(5, std::numeric_limits<float>::infinity());  // the 4th of rank 1
  write_database(this->folder_ / "bad", datums);
  const auto net = [&](const std::string& source) {
    return data_layer(this->folder_ / source, 3) + trained_layers("data") + softmax_loss();
  };
  const std::string text = "momentum: 0.9 lr_policy: 'multistep' stepvalue: 2 gamma: 0.5";
  const std::vector<Dtype> good = this->trained(2, solver_param(net("images"), text), 3)[0];
  const auto errors = run_ranks(2, [&](Rank rank) {
    const auto solver = join<Dtype>(rank, solver_param(net("bad"), text));
    const std::string error = error_of([&] { solver->Step(10); });
    EXPECT_EQ(solver->iter(), 3);
    EXPECT_EQ(weights(solver.get()), good) << rank->rank();
    CAFFE_FAIL(error);
  });
  for (const std::string& error : errors) {
    EXPECT_PRED2(contains, error, "iteration 3: the training loss is ");
    EXPECT_PRED2(contains, error, " on rank 1 (learning rate 0.025)");
  }
  const SolverParameter goes_on =
      solver_param(net("bad"), text + " continue_on_nonfinite_loss: true");
  EXPECT_TRUE(std::isnan(this->trained(2, goes_on, 5)[0][0]));
}

TYPED_TEST(DataParallelTest, ARankThatFailsEndsAllRanks) {
  typedef typename TypeParam::Dtype Dtype;
  std::vector<std::string> values;
  for (const Datum& datum : float_images(26)) values.push_back(datum.SerializeAsString());
  values[7] = "not a datum";  // of rank 1, in its second batch
  write_database(this->folder_ / "bad", values);
  const std::string net =
      data_layer(this->folder_ / "bad", 2) + trained_layers("data") + softmax_loss();
  const auto errors =
      run_ranks(3, [&](Rank rank) { join<Dtype>(rank, solver_param(net, ""))->Step(10); });
  EXPECT_PRED2(contains, errors[1], "record 'key107'");
  for (const int other : {0, 2}) {
    EXPECT_PRED2(contains, errors[other], "rank 1 ended: ");
    EXPECT_PRED2(contains, errors[other], "record 'key107'");
  }
}

/// On a GPU this error is found late; the other ranks' weights must stay all the same.
TYPED_TEST(DataParallelTest, AWrongLabelOfOneRankChangesNothingOnAny) {
  typedef typename TypeParam::Dtype Dtype;
  auto datums = float_images(26);
  datums[5].set_label(7);  // of rank 1, in its second batch
  write_database(this->folder_ / "bad", datums);
  const auto net = [&](const std::string& source) {
    return data_layer(this->folder_ / source, 2) + trained_layers("data") + softmax_loss();
  };
  const std::vector<Dtype> good = this->trained(2, solver_param(net("images"), ""), 1)[0];
  const auto errors = run_ranks(2, [&](Rank rank) {
    const auto solver = join<Dtype>(rank, solver_param(net("bad"), ""));
    const std::string error = error_of([&] { solver->Step(10); });
    EXPECT_EQ(weights(solver.get()), good) << rank->rank();
    CAFFE_FAIL(error);
  });
  EXPECT_PRED2(contains, errors[1], "is out of range: there are 3 classes");
  EXPECT_PRED2(contains, errors[0], "rank 1 ended: ");
  EXPECT_PRED2(contains, errors[0], "is out of range: there are 3 classes");
}

TYPED_TEST(DataParallelTest, ARequestOfOneRankCountsForAll) {
  typedef typename TypeParam::Dtype Dtype;
  for (const SolverAction::Enum action : {SolverAction::STOP, SolverAction::SNAPSHOT}) {
    const auto errors = run_ranks(3, [&](Rank rank) {
      const auto solver = join<Dtype>(
          rank, solver_param(this->small_net(2),
                             this->with_prefix("max_iter: 6 snapshot_after_train: false")));
      int asked = 0;
      solver->SetActionFunction(
          [&] { return ++asked == 3 && rank->rank() == 2 ? action : SolverAction::NONE; });
      solver->Solve();
      EXPECT_EQ(solver->iter(), action == SolverAction::STOP ? 3 : 6);
    });
    for (const std::string& error : errors) EXPECT_EQ(error, "");
    EXPECT_EQ(std::filesystem::exists(iteration_file(this->folder_, 3)),
              action == SolverAction::SNAPSHOT);
  }
}

/// Rank 0 tests; a stop in its test ends all.
TYPED_TEST(DataParallelTest, AStopInATestEndsAllRanks) {
  typedef typename TypeParam::Dtype Dtype;
  const auto errors = run_ranks(2, [&](Rank rank) {
    const auto solver = join<Dtype>(rank, solver_param(this->small_net(2),
                                                       "max_iter: 6 snapshot_after_train: false "
                                                       "test_iter: 4 test_interval: 2"));
    EXPECT_EQ(solver->test_nets().size(), rank->rank() == 0 ? 1u : 0u);
    int asked = 0;  // 4 times in each test, once in each iteration
    solver->SetActionFunction([&] {
      return ++asked == 8 && rank->rank() == 0 ? SolverAction::STOP : SolverAction::NONE;
    });
    solver->Solve();
    EXPECT_EQ(solver->iter(), 2);
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

/// Rank 0 writes it alone, while the others wait for its test.
TYPED_TEST(DataParallelTest, ASnapshotInATestIsRankZeros) {
  typedef typename TypeParam::Dtype Dtype;
  const auto errors = run_ranks(2, [&](Rank rank) {
    const auto solver = join<Dtype>(
        rank, solver_param(this->small_net(2), this->with_prefix("max_iter: 3 test_iter: 4 "
                                                                 "test_interval: 2 "
                                                                 "snapshot_after_train: false")));
    int asked = 0;  // 4 times in each test, once in each iteration
    solver->SetActionFunction([&] {
      return ++asked == 8 && rank->rank() == 0 ? SolverAction::SNAPSHOT : SolverAction::NONE;
    });
    solver->Solve();
    EXPECT_EQ(solver->iter(), 3);
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
  EXPECT_TRUE(std::filesystem::exists(iteration_file(this->folder_, 2)));
}

// ---- what the ranks have in common

TYPED_TEST(DataParallelTest, RanksThatDifferAreNamed) {
  typedef typename TypeParam::Dtype Dtype;
  for (const char* other : {"base_lr: 0.01", "momentum: 0.5", "type: 'Adam'", "max_iter: 7"}) {
    const auto errors = run_ranks(2, [&](Rank rank) {
      const std::string text = rank->rank() == 1 ? other : "";
      join<Dtype>(rank, solver_param(this->small_net(2), text))->Step(1);
    });
    for (const std::string& error : errors) {
      EXPECT_PRED2(contains, error, "rank 1 trains with other settings than rank 0: '") << other;
    }
  }
  const auto errors = run_ranks(2, [&](Rank rank) {
    const std::string net = rank->rank() == 1 ? shared_layers() : trained_layers("data");
    join<Dtype>(rank, solver_param(this->images(2) + net + softmax_loss(), ""))->Step(1);
  });
  EXPECT_PRED2(contains, errors[0], "'parameter 0: ");
  EXPECT_EQ(errors[0], errors[1]);
}

TYPED_TEST(DataParallelTest, TheRankMustBeTheThreads) {
  typedef typename TypeParam::Dtype Dtype;
  const auto errors = run_ranks(2, [&](Rank rank) {
    Caffe::set_solver_rank(1 - rank->rank());
    const auto solver = make_solver<Dtype>(solver_param(lenet(), ""));
    solver->TrainTogether(rank);
  });
  EXPECT_PRED2(contains, errors[0], "rank 0 of 2: Caffe's settings are rank 1 of 2");
}

TYPED_TEST(DataParallelTest, TheSeedIsRankZeros) {
  typedef typename TypeParam::Dtype Dtype;
  SolverParameter param = solver_param(this->small_net(2), "");
  param.clear_random_seed();
  const auto all = this->trained(3, param, 4);
  EXPECT_EQ(all[0], all[1]);
  EXPECT_NE(this->trained(3, param, 4)[0], all[0]);
  std::vector<int64_t> seeds(2);
  std::vector<unsigned int> draws(2);
  run_ranks(2, [&](Rank rank) {
    SolverParameter mine = param;
    become_rank(rank.get(), &mine);
    seeds[rank->rank()] = mine.random_seed();
    SolverRegistry<Dtype>::CreateSolver(mine);
    draws[rank->rank()] = caffe_rng_rand();
  });
  EXPECT_GE(seeds[0], 0);
  EXPECT_EQ(seeds[0], seeds[1]);
  EXPECT_NE(draws[0], draws[1]);  // of a Dropout layer, say
}

/// Records in a random order need a seed that all ranks know when their nets are made.
TYPED_TEST(DataParallelTest, AnOrderWithoutASeedIsAnError) {
  typedef typename TypeParam::Dtype Dtype;
  const std::string skips =
      "layer { name: 'input' type: 'Data' top: 'data' top: 'label' data_param { backend: LMDB "
      "source: '" +
      (this->folder_ / "images") + "' batch_size: 2 rand_skip: 9 } } ";
  SolverParameter param = solver_param(skips + trained_layers("data") + softmax_loss(), "");
  this->trained(2, param, 2);
  param.clear_random_seed();
  const auto errors = run_ranks(2, [&](Rank rank) {
    Caffe::set_solver_count(2);
    Caffe::set_solver_rank(rank->rank());
    const std::unique_ptr<Solver<Dtype>> solver(SolverRegistry<Dtype>::CreateSolver(param));
    solver->TrainTogether(rank);
    solver->Step(1);
  });
  for (const std::string& error : errors) {
    EXPECT_PRED2(contains, error, "layer 'input'");
    EXPECT_PRED2(contains, error, "set random_seed in the solver");
  }
}

TYPED_TEST(DataParallelTest, RanksBeginWithRankZerosWeightsAndHistory) {
  typedef typename TypeParam::Dtype Dtype;
  const SolverParameter param = solver_param(this->small_net(2), "momentum: 0.9");
  std::vector<std::vector<Dtype>> all(2);
  run_ranks(2, [&](Rank rank) {
    SolverParameter mine = param;
    become_rank(rank.get(), &mine);
    const std::unique_ptr<Solver<Dtype>> solver(SolverRegistry<Dtype>::CreateSolver(mine));
    solver->Step(3 + rank->rank());  // alone
    solver->TrainTogether(rank);
    solver->Step(2);
    EXPECT_EQ(solver->iter(), 5);
    all[rank->rank()] = weights(solver.get());
  });
  EXPECT_EQ(all[0], all[1]);
}

// ---- statistics

namespace {

std::string normalised_net(const std::string& images) {
  return images +
         trained_layers("data",
                        "layer { name: 'norm' type: 'BatchNorm' bottom: 'pool' top: "
                        "'pool' } layer { name: 'bn' type: 'BN' bottom: 'pool' top: "
                        "'pool' bn_param { slope_filler { value: 1 } } } ") +
         softmax_loss();
}

template <typename Dtype>
std::vector<Dtype> statistics(Solver<Dtype>* solver) {
  std::vector<Dtype> all;
  for (const char* name : {"norm", "bn"}) {
    const auto& blobs = solver->net()->layer_by_name(name)->blobs();
    for (size_t i = std::string(name) == "bn" ? 2 : 0; i < blobs.size(); ++i) {
      all.insert(all.end(), blobs[i]->cpu_data(), blobs[i]->cpu_data() + blobs[i]->count());
    }
  }
  return all;
}

}  // namespace

/// Each rank has its own between two snapshots or tests; there they are averaged.
TYPED_TEST(DataParallelTest, StatisticsAreAveragedBeforeASnapshot) {
  typedef typename TypeParam::Dtype Dtype;
  const SolverParameter param =
      solver_param(normalised_net(this->images(4)), this->with_prefix("snapshot: 5 max_iter: 5"));
  std::vector<std::vector<Dtype>> before(3), after(3), called(3);
  const auto errors = run_ranks(3, [&](Rank rank) {
    const auto solver = join<Dtype>(rank, param);
    solver->Step(4);
    SolverParameter alone = param;
    alone.clear_snapshot();
    const auto twin = join<Dtype>(rank, alone);  // the same 5 iterations without a snapshot
    twin->Step(5);
    before[rank->rank()] = statistics(twin.get());
    twin->Snapshot();  // by hand
    called[rank->rank()] = statistics(twin.get());
    solver->Step(1);
    after[rank->rank()] = statistics(solver.get());
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
  EXPECT_NE(before[0], before[1]);
  EXPECT_EQ(after[0], after[1]);
  EXPECT_EQ(after[0], after[2]);
  EXPECT_EQ(after, called);
  for (size_t i = 0; i < after[0].size(); ++i) {
    EXPECT_NEAR(after[0][i], (before[0][i] + before[1][i] + before[2][i]) / 3, 1e-5);
  }
  Net<Dtype> stored(param.net_param());
  stored.CopyTrainedLayersFrom(this->folder_ / "w_iter_5.caffemodel");
  const Blob<Dtype>& mean = *stored.layer_by_name("norm")->blobs()[0];
  EXPECT_EQ(mean.cpu_data()[0], after[0][0]);
}

TYPED_TEST(DataParallelTest, EqualStatisticsStayAsTheyAre) {
  typedef typename TypeParam::Dtype Dtype;
  run_ranks(3, [&](Rank rank) {
    const auto solver = make_solver<Dtype>(solver_param(normalised_net(this->images(4)), ""));
    DataParallel<Dtype> together(solver->net().get(), rank, {});
    Blob<Dtype>& mean = *solver->net()->layer_by_name("norm")->blobs()[0];
    mean.mutable_cpu_data()[0] = Dtype(0.1);
    mean.mutable_cpu_data()[1] = Dtype(rank->rank());
    together.average_statistics();
    EXPECT_EQ(mean.cpu_data()[0], Dtype(0.1));
    EXPECT_EQ(mean.cpu_data()[1], Dtype(1));
  });
}

// ---- resuming

TYPED_TEST(DataParallelTest, AnotherNumberOfRanksContinues) {
  typedef typename TypeParam::Dtype Dtype;
  const std::string text =
      this->with_prefix("type: 'Adam' base_lr: 0.01 max_iter: 10 snapshot: 5 ");
  const auto run = [&](int ranks, const char* state) {
    std::vector<std::vector<Dtype>> all(ranks);
    const auto errors = run_ranks(ranks, [&](Rank rank) {
      const auto solver = join<Dtype>(rank, solver_param(this->small_net(12 / ranks), text));
      solver->Solve(state);
      EXPECT_EQ(solver->iter(), 10);
      all[rank->rank()] = weights(solver.get());
    });
    for (const std::string& error : errors) EXPECT_EQ(error, "");
    for (const auto& one : all) EXPECT_EQ(one, all[0]);
    return all[0];
  };
  run(4, nullptr);
  const std::string state = iteration_file(this->folder_, 5);
  const std::vector<Dtype> four = run(4, state.c_str());
  for (const int ranks : {1, 2, 3}) {
    EXPECT_LE(relative_difference(run(ranks, state.c_str()), four),
              sizeof(Dtype) == 4 ? 1e-5 : 1e-10)
        << ranks;
  }
}

// ---- log and order

TYPED_TEST(DataParallelTest, RankZeroAloneLogs) {
  typedef typename TypeParam::Dtype Dtype;
  const std::string text = this->with_prefix(
      "max_iter: 3 display: 1 test_iter: 2 test_interval: 2 snapshot: 2 iter_size: 2 "
      "debug_info: false");
  std::vector<double> mean;
  {
    const SolverParameter param = solver_param(this->small_net(6), text + "average_loss: 1");
    LogLines log;
    run_ranks(1, [&](Rank rank) { join<Dtype>(rank, param)->Solve(); });
    mean = log.numbers("Iteration \\d.* loss = (.*)");
  }
  LogLines log;
  const auto errors = run_ranks(
      3, [&](Rank rank) { join<Dtype>(rank, solver_param(this->small_net(2), text))->Solve(); });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
  const auto count = [&log](const std::string& part) {
    int lines = 0;
    for (const std::string& line : log.lines) lines += contains(line, part);
    return lines;
  };
  EXPECT_EQ(count("3 ranks x batch 2 x iter_size 2 = 12 images an iteration; base_lr 0.05 is left "
                  "as it is"),
            1);
  for (const char* once : {"Solving small", "Creating training net", "Optimization Done.",
                           "Solver scaffolding done", "Snapshotting to binary proto file",
                           "Iteration 2, Testing net (#0)", "Iteration 1 (", "Iteration 1, lr ="}) {
    EXPECT_EQ(count(once), contains(once, "Snapshotting") ? 2 : 1) << once;
  }
  const std::vector<double> shown = log.numbers("Iteration \\d.* loss = (.*)");
  ASSERT_EQ(shown.size(), mean.size());
  for (size_t i = 0; i < mean.size(); ++i) EXPECT_NEAR(shown[i], mean[i], 1e-4) << i;
}

namespace {

/// Notes the order of its sums and of what else is told to it.
class Noting : public Communicator {
 public:
  Noting(Rank rank, std::vector<std::string>* notes) : rank_(std::move(rank)), notes_(notes) {}
  int rank() const override { return rank_->rank(); }
  int size() const override { return rank_->size(); }
  int local_rank() const override { return rank_->local_rank(); }
  int local_size() const override { return rank_->local_size(); }
  void broadcast(int root, size_t bytes, void* data) override {
    rank_->broadcast(root, bytes, data);
  }
  std::vector<std::string> gather(const std::string& mine) override { return rank_->gather(mine); }
  void barrier() override { rank_->barrier(); }
  void start_sum(size_t n, float* values) override { start(n, values); }
  void start_sum(size_t n, double* values) override { start(n, values); }
  void wait() override {
    notes_->push_back("wait");
    rank_->wait();
  }
  void abort(const std::string& why) override { rank_->abort(why); }

 private:
  template <typename Dtype>
  void start(size_t n, Dtype* values) {
    notes_->push_back("sum " + std::to_string(n));
    rank_->start_sum(n, values);
  }
  const Rank rank_;
  std::vector<std::string>* const notes_;
};

struct NoteLayer : Net<double>::Callback {
  explicit NoteLayer(std::vector<std::string>* notes) : notes(notes) {}
  void run(int layer) override { notes->push_back("layer " + std::to_string(layer)); }
  std::vector<std::string>* notes;
};

/// Notes of rank 0 in one iteration: two large inner products and their loss.
std::vector<std::string> noted(const TempDir& folder, const std::string& settings) {
  std::vector<std::string> notes;
  const std::string net =
      data_layer(folder / "images", 2) +
      "layer { name: 'first' type: 'InnerProduct' bottom: 'data' top: 'first' "
      "inner_product_param { num_output: 500 weight_filler { type: 'xavier' } } } "
      "layer { name: 'second' type: 'InnerProduct' bottom: 'first' top: 'second' "
      "inner_product_param { num_output: 4000 weight_filler { type: 'xavier' } } } "
      "layer { name: 'scores' type: 'InnerProduct' bottom: 'second' top: 'scores' "
      "inner_product_param { num_output: 3 weight_filler { type: 'xavier' } } } " +
      softmax_loss();
  const auto errors = run_ranks(2, [&](Rank rank) {
    std::vector<std::string> mine;
    const auto solver =
        join<double>(std::make_shared<Noting>(rank, &mine), solver_param(net, settings));
    NoteLayer note(&mine);
    solver->net()->add_after_backward(&note);
    solver->Step(1);
    if (rank->rank() == 0) notes = mine;
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
  return notes;
}

}  // namespace

class DataParallelOrder : public ::testing::Test {
 protected:
  void SetUp() override { write_database(folder_ / "images", float_images(12)); }
  TempDir folder_;
  const QuietLog quiet_;
};

TEST_F(DataParallelOrder, SumsStartWhileTheBackwardPassRuns) {
  // Layers: input 0, first 1, second 2, scores 3, loss 4. Values: 72000 and 500; 2000000 and 4000;
  // 12000 and 3. A bucket ends before a parameter of more than 4 MB, or after it.
  EXPECT_EQ(
      noted(folder_, ""),
      (std::vector<std::string>{"layer 4", "layer 3", "layer 2", "sum 16003", "sum 2000000",
                                "layer 1", "sum 72000", "sum 500", "layer 0", "sum 5", "wait"}));
}

TEST_F(DataParallelOrder, OnlyTheLastPassOfAnIterationStartsSums) {
  const auto notes = noted(folder_, "iter_size: 2");
  ASSERT_EQ(notes.size(), 5u + 5 + 6);
  EXPECT_EQ(notes[4], "layer 0");
  for (int i = 0; i < 5; ++i) EXPECT_PRED2(contains, notes[i], "layer") << i;
  EXPECT_EQ(notes[8], "sum 16003");
}

/// debug_info reads all gradients at the end of the pass.
TEST_F(DataParallelOrder, DebugInfoComesBeforeTheSums) {
  const auto notes = noted(folder_, "display: 1 debug_info: true");
  ASSERT_GE(notes.size(), 11u);
  for (int i = 0; i < 5; ++i) EXPECT_PRED2(contains, notes[i], "layer") << i;
  EXPECT_EQ(notes[5], "sum 16003");
}

}  // namespace caffe
