#include "caffe/solvers/learning_rate.hpp"

#include <cmath>
#include <vector>

#include "google/protobuf/text_format.h"
#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

namespace {

SolverParameter parse(const std::string& text) {
  SolverParameter param;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString("base_lr: 0.01 " + text, &param))
      << text;
  return param;
}

struct Policy {
  std::string text;
  std::vector<double> rates;  // of the iterations 0, 1 ...
};

// From BVLC Caffe's pycaffe: solver.lr before each step.
const std::vector<Policy> kPolicies = {
    {"lr_policy: 'fixed'", {0.01, 0.01, 0.01}},
    {"lr_policy: 'step' gamma: 0.5 stepsize: 4",
     {0.01, 0.01, 0.01, 0.01, 0.005, 0.005, 0.005, 0.005, 0.0025}},
    {"lr_policy: 'exp' gamma: 0.9",
     {0.00999999978, 0.00899999961, 0.00809999928, 0.00728999916, 0.00656099897, 0.00590489898,
      0.00531440927, 0.0047829682, 0.00430467119, 0.00387420389, 0.00348678348, 0.00313810492}},
    {"lr_policy: 'inv' gamma: 0.1 power: 0.75",
     {0.00999999978, 0.00931012444, 0.00872195885, 0.00821376871, 0.00776969455, 0.00737787923,
      0.0070292661, 0.00671681343, 0.00643495657, 0.00617923588, 0.00594603503, 0.0057323873}},
    {"lr_policy: 'multistep' gamma: 0.1 stepvalue: 3 stepvalue: 4 stepvalue: 9",
     {0.01, 0.01, 0.01, 0.001, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 1e-5, 1e-5}},
    {"lr_policy: 'poly' max_iter: 20 power: 2",
     {0.00999999978, 0.0090249991, 0.00809999928, 0.0072250003, 0.0064000003, 0.00562499976,
      0.00489999959, 0.00422499934, 0.00360000017, 0.00302499998, 0.00249999994, 0.00202499982}},
    {"lr_policy: 'sigmoid' gamma: 0.4 stepsize: 6",
     {0.000831726938, 0.00119202922, 0.00167981605, 0.0023147522, 0.00310025504, 0.00401312346,
      0.00499999989, 0.00598687632, 0.00689974474, 0.00768524827, 0.00832018349, 0.00880797021}}};

}  // namespace

TEST(LearningRate, OfEveryPolicyIsThatOfBvlcCaffe) {
  for (const Policy& policy : kPolicies) {
    const SolverParameter param = parse(policy.text);
    int step = 0;
    for (size_t t = 0; t < policy.rates.size(); ++t) {
      const double rate = learning_rate(param, static_cast<int>(t), &step);
      EXPECT_NEAR(rate, policy.rates[t], 5e-7 * policy.rates[t]) << policy.text << " " << t;
    }
  }
}

TEST(LearningRate, NotesItsSteps) {
  int step = 0;
  learning_rate(parse("lr_policy: 'step' gamma: 0.5 stepsize: 4"), 9, &step);
  EXPECT_EQ(step, 2);
  const SolverParameter multi =
      parse("lr_policy: 'multistep' gamma: 0.5 stepvalue: 2 stepvalue: 3 stepvalue: 11");
  // One step an iteration, also when more are due: as when BVLC Caffe continues from a state of
  // iteration 10 that was written under a different policy.
  step = 0;
  int t = 10;
  for (const double rate : {0.005, 0.0025, 0.00125, 0.00125}) {
    EXPECT_NEAR(learning_rate(multi, t++, &step), rate, 1e-9);
  }
  EXPECT_EQ(step, 3);
}

TEST(LearningRate, EndsAtZeroWithPoly) {
  int step = 0;
  EXPECT_EQ(learning_rate(parse("lr_policy: 'poly' max_iter: 20 power: 0.5"), 20, &step), 0);
  EXPECT_EQ(learning_rate(parse("lr_policy: 'poly' max_iter: 20 power: 0.5"), 25, &step), 0);
}

TEST(LearningRate, FallsAfterEachPlateau) {
  const SolverParameter param =
      parse("lr_policy: 'plateau' gamma: 0.5 plateau_winsize: 2 plateau_winsize: 3");
  const std::vector<double> losses = {5, 4, 4, 4, 3, 3.5, 3, 3, 9, 9, 9, 9, 9};
  // Smaller losses at 0, 1 and 4; steps 2 iterations behind 1 and 3 behind 4, and no more.
  const std::vector<int> steps = {0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2};
  Plateau plateau;
  int step = 0;
  for (size_t t = 0; t < losses.size(); ++t) {
    note_loss(param, static_cast<int>(t), losses[t], &step, &plateau);
    EXPECT_EQ(step, steps[t]) << t;
    EXPECT_NEAR(learning_rate(param, static_cast<int>(t), &step), 0.01 * std::pow(0.5, step), 1e-9);
  }
  EXPECT_EQ(plateau.minimum_loss, 3);
  EXPECT_EQ(plateau.iter_last_event, 7);
  note_loss(param, 13, NAN, &step, &plateau);
  EXPECT_EQ(plateau.minimum_loss, 3);
}

TEST(LearningRate, RefusesSettingsThatGiveNoRate) {
  int step = 0;
  const auto rate = [&](const std::string& text) { return learning_rate(parse(text), 1, &step); };
  EXPECT_ERROR(rate("lr_policy: 'fixd'"), "did you mean fixed?");
  EXPECT_ERROR(rate(""), "lr_policy");
  EXPECT_ERROR(rate("lr_policy: 'step' gamma: 0.1"), "stepsize");
  EXPECT_ERROR(rate("lr_policy: 'poly' max_iter: 0"), "max_iter");
  EXPECT_ERROR(rate("lr_policy: 'plateau' gamma: 0.1"), "plateau_winsize is not set");
  EXPECT_ERROR(rate("lr_policy: 'plateau' plateau_winsize: 0"), "plateau_winsize is 0");
}

}  // namespace caffe
