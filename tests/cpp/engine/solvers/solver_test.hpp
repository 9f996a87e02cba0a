#ifndef TESTS_CPP_ENGINE_SOLVERS_SOLVER_TEST_HPP_
#define TESTS_CPP_ENGINE_SOLVERS_SOLVER_TEST_HPP_

// The base of every solver's test: least squares trained by the solver and by the same rule in
// plain doubles.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "caffe/sgd_solvers.hpp"
#include "caffe/util/io.hpp"
#include "google/protobuf/text_format.h"
#include "tests/cpp/engine/layers/layer_test.hpp"
#include "tests/cpp/engine/solvers/least_squares.hpp"

namespace caffe {

/// A solver's use of a gradient: rule(g, rate, h, s, t) changes the histories of one value and
/// returns the amount to subtract from its weight; t is 1 at the first iteration.
typedef std::function<double(double g, double rate, double* h, double* s, int t)> UpdateRule;

/// Least squares in doubles, by a rule.
struct PlainTraining {
  explicit PlainTraining(const SolverParameter& param) : param(param) {}

  void step(const UpdateRule& rule) {
    std::vector<double> g(w.size(), 0);
    for (int k = 0; k < param.iter_size(); ++k) least_squares::loss(w, batch++, &g);
    double norm = 0;
    for (const double v : g) norm += v * v;
    norm = std::sqrt(norm);
    const double most = param.clip_gradients();
    const double clip = most >= 0 && norm > most ? most / norm : 1;
    for (size_t i = 0; i < w.size(); ++i) {
      const bool bias = i >= static_cast<size_t>(least_squares::kOut * least_squares::kIn);
      const double decay = param.weight_decay() * (bias ? 0.25 : 1);
      double v = g[i] * clip / param.iter_size();
      if (param.regularization_type() == "L1") {
        v += decay * (w[i] > 0 ? 1 : w[i] < 0 ? -1 : 0);
      } else {
        v += decay * w[i];
      }
      diff[i] = rule(v, param.base_lr() * (bias ? 2 : 1), &h[i], &s[i], iter + 1);
      w[i] -= diff[i];
    }
    ++iter;
  }

  SolverParameter param;
  std::vector<double> w = least_squares::start();
  std::vector<double> diff = std::vector<double>(w.size(), 0);
  std::vector<double> h = diff, s = diff;
  int iter = 0, batch = 0;
};

/// A solver that overrides nothing, but is not one of the six: it runs ApplyUpdate's steps one by
/// one.
template <typename Base>
class StepByStep : public Base {
 public:
  using Base::Base;
};

template <typename TypeParam>
class SolverTest : public DeviceTest<TypeParam> {
 public:
  typedef typename TypeParam::Dtype Dtype;

 protected:
  void SetUp() override {
    DeviceTest<TypeParam>::SetUp();
    if (this->IsSkipped()) return;
    FLAGS_minloglevel = google::GLOG_WARNING;
    least_squares::next_batch() = 0;
    MakeTempDir(&folder);
  }
  void TearDown() override {
    FLAGS_minloglevel = google::GLOG_INFO;
    DeviceTest<TypeParam>::TearDown();
    if (folder.empty()) return;
    EXPECT_EQ(std::system(("rm -r '" + folder + "'").c_str()), 0);
  }

  /// The solver's prototxt: the settings of all tests, then `text`, which may change them.
  SolverParameter param(const std::string& text) const {
    SolverParameter all, own;
    const std::string common =
        "net_param { name: 'least' layer { name: 'fit' type: 'LeastSquares' top: 'loss' "
        "loss_weight: 1 param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0.25 } } } "
        "lr_policy: 'fixed' base_lr: 0.125 snapshot_prefix: '" +
        folder + "/s'";
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(common, &all)) << common;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &own)) << text;
    all.MergeFrom(own);
    return all;
  }

  /// All results of a step, in the order of least_squares::start().
  static std::vector<double> values(const std::vector<Blob<Dtype>*>& blobs, bool diff = false) {
    std::vector<double> all;
    for (const Blob<Dtype>* blob : blobs) {
      const Dtype* const begin = diff ? blob->cpu_diff() : blob->cpu_data();
      all.insert(all.end(), begin, begin + blob->count());
    }
    return all;
  }
  template <typename S>
  static std::vector<double> history(S* solver, size_t which) {
    std::vector<Blob<Dtype>*> blobs;
    for (size_t i = 2 * which; i < 2 * which + 2; ++i) blobs.push_back(solver->history()[i].get());
    return values(blobs);
  }
  static void expect_near(const char* what, const std::vector<double>& values,
                          const std::vector<double>& expected) {
    const double tolerance = sizeof(Dtype) == 4 ? 2e-5 : 1e-11;
    ASSERT_EQ(values.size(), expected.size()) << what;
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(values[i], expected[i], tolerance * std::max(0.05, std::abs(expected[i])))
          << what << " " << i;
    }
  }

  /// Five iterations of solver S against the rule: weights, what was subtracted, history.
  template <typename S>
  void check(const std::string& text, const UpdateRule& rule) {
    SCOPED_TRACE(text);
    least_squares::next_batch() = 0;
    S solver(param(text));
    PlainTraining plain(solver.param());
    for (int i = 0; i < 5; ++i) {
      SCOPED_TRACE("iteration " + std::to_string(i));
      solver.Step(1);
      plain.step(rule);
      expect_near("weight", values(solver.net()->learnable_params()), plain.w);
      expect_near("update", values(solver.net()->learnable_params(), true), plain.diff);
      expect_near("history", history(&solver, 0), plain.h);
      if (solver.history().size() > 2) expect_near("history 2", history(&solver, 1), plain.s);
      if (this->HasFatalFailure()) return;
    }
    EXPECT_EQ(solver.iter(), 5);
  }

  /// The same with each of the gradient's steps alone and with all of them; `text` has the settings
  /// that the solver always needs.
  template <typename S>
  void check_all(const std::string& text, const UpdateRule& rule) {
    for (const char* more :
         {"", "iter_size: 3", "weight_decay: 0.1", "weight_decay: 0.1 regularization_type: 'L1'",
          "clip_gradients: 0.4", "clip_gradients: 100",
          "iter_size: 2 weight_decay: 0.05 clip_gradients: 0.3 regularization_type: 'L2'"}) {
      check<S>(text + " " + more, rule);
      if (this->HasFatalFailure()) return;
    }
    steps_equal_one_pass<S>(text + " iter_size: 3 weight_decay: 0.05 clip_gradients: 0.3");
    steps_equal_one_pass<S>(text + " weight_decay: 0.05 regularization_type: 'L1'");
    steps_equal_one_pass<S>(text + " weight_decay: 0");
    leaves_alone_what_is_frozen<S>(text);
    leaves_alone_what_is_frozen<S>(text + " weight_decay: 0.05 clip_gradients: 0.3");
    resumes<S>(text + " weight_decay: 0.05 snapshot_format: BINARYPROTO", ".solverstate");
    resumes<S>(text + " weight_decay: 0.05 snapshot_format: HDF5", ".solverstate.h5");
  }

  /// One pass over memory and separate steps give the same bits.
  template <typename S>
  void steps_equal_one_pass(const std::string& text) {
    SCOPED_TRACE(text);
    least_squares::next_batch() = 0;
    S fused(param(text));
    fused.Step(4);
    least_squares::next_batch() = 0;
    StepByStep<S> steps(param(text));
    steps.Step(4);
    for (const bool diff : {false, true}) {
      EXPECT_EQ(values(fused.net()->learnable_params(), diff),
                values(steps.net()->learnable_params(), diff));
    }
    for (size_t i = 0; i < fused.history().size() / 2; ++i) {
      EXPECT_EQ(history(&fused, i), history(&steps, i));
    }
  }

  /// lr_mult 0: the weights do not change; everything is as with separate steps, and no new
  /// gradient is allocated.
  template <typename S>
  void leaves_alone_what_is_frozen(const std::string& text) {
    SCOPED_TRACE(text);
    SolverParameter frozen = param(text + " snapshot_prefix: '" + folder + "/frozen'");
    frozen.mutable_net_param()->mutable_layer(0)->mutable_param(0)->set_lr_mult(0);
    least_squares::next_batch() = 0;
    S solver(frozen);
    solver.Step(3);
    Blob<Dtype>& w = *solver.net()->learnable_params()[0];
    for (int i = 0; i < w.count(); ++i) {
      EXPECT_EQ(w.cpu_data()[i], static_cast<Dtype>(least_squares::start()[i]));
    }
    least_squares::next_batch() = 0;
    StepByStep<S> steps(frozen);
    steps.Step(3);
    const std::string type = solver.type();
    const bool decay_counts =
        solver.param().has_weight_decay() && type != "SGD" && type != "Nesterov";
    EXPECT_EQ(w.diff()->head() == SyncedMemory::UNINITIALIZED, !decay_counts);
    EXPECT_EQ(values(solver.net()->learnable_params(), true),
              values(steps.net()->learnable_params(), true));
    for (size_t i = 0; i < solver.history().size() / 2; ++i) {
      EXPECT_EQ(history(&solver, i), history(&steps, i));
    }
    // When lr_mult is no longer 0, it learns, also from a state in which it was frozen.
    solver.Snapshot();
    S other(param(text));
    other.Restore((folder + "/frozen_iter_3.solverstate").c_str());
    other.Step(1);
    EXPECT_NE(values(other.net()->learnable_params()), values(solver.net()->learnable_params()));
    // If it is frozen with a history that is not 0, the history must be updated.
    other.Snapshot();
    S again(frozen);
    again.Restore((folder + "/s_iter_4.solverstate").c_str());
    StepByStep<S> again_steps(frozen);
    again_steps.Restore((folder + "/s_iter_4.solverstate").c_str());
    const int batch = least_squares::next_batch();
    again.Step(2);
    least_squares::next_batch() = batch;
    again_steps.Step(2);
    EXPECT_EQ(values(again.net()->learnable_params()),
              values(again_steps.net()->learnable_params()));
    for (size_t i = 0; i < again.history().size() / 2; ++i) {
      EXPECT_EQ(history(&again, i), history(&again_steps, i));
    }
  }

  /// Interrupting after 3 of 6 iterations and resuming gives the same bits.
  template <typename S>
  void resumes(const std::string& text, const std::string& extension) {
    SCOPED_TRACE(text);
    least_squares::next_batch() = 0;
    S straight(param(text));
    straight.Step(3);
    straight.Snapshot();
    straight.Step(3);
    least_squares::next_batch() = 3;
    S resumed(param(text));
    resumed.Restore((folder + "/s_iter_3" + extension).c_str());
    EXPECT_EQ(resumed.iter(), 3);
    resumed.Step(3);
    EXPECT_EQ(values(straight.net()->learnable_params()),
              values(resumed.net()->learnable_params()));
    for (size_t i = 0; i < straight.history().size() / 2; ++i) {
      EXPECT_EQ(history(&straight, i), history(&resumed, i));
    }
  }

  std::string folder;
};

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_SOLVERS_SOLVER_TEST_HPP_
