// Several ranks train what one rank with all their images trains.

#include "caffe/parallel/data_parallel.hpp"

#include <google/protobuf/text_format.h>

#include "parallel/rank_training.hpp"
#include "test_paths.hpp"

namespace caffe {
namespace {

typedef std::shared_ptr<Communicator> Rank;

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

}  // namespace

TYPED_TEST_SUITE(DataParallelTest, DtypesAndDevices);

TYPED_TEST(DataParallelTest, TrainsAsOneRankDoesWithAnySolver) {
  const auto net = [this](int batch) { return this->small_net(batch); };
  for (const char* solver : kSolverTypes) {
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

TYPED_TEST(DataParallelTest, ParametersThatDecayOtherwiseAreNamed) {
  typedef typename TypeParam::Dtype Dtype;
  const auto errors = run_ranks(2, [&](Rank rank) {
    std::string net = this->small_net(2);
    if (rank->rank() == 1) net.replace(net.find("decay_mult: 0"), 13, "decay_mult: 1");
    join<Dtype>(rank, solver_param(net, "weight_decay: 0.01"))->Step(1);
  });
  for (const std::string& error : errors) {
    EXPECT_PRED2(contains, error, "'parameter 1: ");
    EXPECT_PRED2(contains, error, "decay_mult 0");
  }
}

/// Which of them are added up together must not depend on a rank.
TYPED_TEST(DataParallelTest, GradientsThatAreLaidOtherwiseAreNamed) {
  typedef typename TypeParam::Dtype Dtype;
  if (TypeParam::mode == Caffe::CPU) GTEST_SKIP() << "on a CPU they are copied";
  const auto errors = run_ranks(2, [&](Rank rank) {
    const auto solver = make_solver<Dtype>(solver_param(this->small_net(2), ""));
    DataParallel<Dtype> together(solver->net().get(), rank,
                                 [&](int param) { return param == 2 ? 8 * rank->rank() : 0; });
    together.begin_last_pass(false);
  });
  for (const std::string& error : errors) {
    EXPECT_PRED2(contains, error, "'gradient 2: room for 8 values' there");
  }
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

/// Its data layers would read what rank 0 of 1 reads: all records.
TYPED_TEST(DataParallelTest, ASolverMadeBeforeItsThreadWasARankIsAnError) {
  typedef typename TypeParam::Dtype Dtype;
  const auto errors = run_ranks(2, [&](Rank rank) {
    Caffe::set_solver_count(1);
    Caffe::set_solver_rank(0);
    SolverParameter param = solver_param(this->small_net(2), "");
    const std::unique_ptr<Solver<Dtype>> solver(SolverRegistry<Dtype>::CreateSolver(param));
    become_rank(rank.get(), &param);
    solver->TrainTogether(rank);
  });
  for (const int rank : {0, 1}) {
    EXPECT_PRED2(contains, errors[rank],
                 "rank " + std::to_string(rank) + " of 2: the solver was made as rank 0 of 1");
    EXPECT_PRED2(contains, errors[rank], "before the solver is made");
  }
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
  const auto errors = run_ranks(2, [&](Rank rank) {
    SolverParameter mine = param;
    become_rank(rank.get(), &mine);
    const std::unique_ptr<Solver<Dtype>> solver(SolverRegistry<Dtype>::CreateSolver(mine));
    solver->Step(3 + rank->rank());  // alone
    solver->TrainTogether(rank);
    solver->Step(2);
    EXPECT_EQ(solver->iter(), 5);
    all[rank->rank()] = weights(solver.get());
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
  EXPECT_EQ(all[0], all[1]);
}

TYPED_TEST(DataParallelTest, ARankCanBeAloneAgain) {
  typedef typename TypeParam::Dtype Dtype;
  const auto errors = run_ranks(2, [&](Rank rank) {
    const auto solver = join<Dtype>(rank, solver_param(this->small_net(2), "momentum: 0.9"));
    solver->Step(2);
    solver->TrainTogether(nullptr);
    if (rank->rank() == 0) solver->Step(2);  // the other makes none
    rank->barrier();
    solver->TrainTogether(rank);
    solver->Step(1);
    EXPECT_EQ(solver->iter(), 5);
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
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
  const auto errors = run_ranks(3, [&](Rank rank) {
    const auto solver = make_solver<Dtype>(solver_param(normalised_net(this->images(4)), ""));
    DataParallel<Dtype> together(solver->net().get(), rank, {});
    Blob<Dtype>& mean = *solver->net()->layer_by_name("norm")->blobs()[0];
    mean.mutable_cpu_data()[0] = Dtype(0.1);
    mean.mutable_cpu_data()[1] = Dtype(rank->rank());
    together.average_statistics();
    EXPECT_EQ(mean.cpu_data()[0], Dtype(0.1));
    EXPECT_EQ(mean.cpu_data()[1], Dtype(1));
  });
  for (const std::string& error : errors) EXPECT_EQ(error, "");
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

}  // namespace caffe
