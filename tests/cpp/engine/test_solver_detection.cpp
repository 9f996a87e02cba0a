// eval_type "detection": what a solver shows of a test net that ends in DetectionEvaluate.

#include "fixtures.hpp"
#include "training_nets.hpp"

namespace caffe {
namespace {

const char kTestNet[] =
    "layer { name: 'in' type: 'Input' top: 'found' top: 'truth' top: 'other' input_param { "
    "  shape { dim: 1 dim: 1 dim: 2 dim: 7 } shape { dim: 1 dim: 1 dim: 2 dim: 8 } "
    "  shape { dim: 1 } } } "
    "layer { name: 'evaluate' type: 'DetectionEvaluate' bottom: 'found' bottom: 'truth' "
    "  top: 'detection_eval' detection_evaluate_param { num_classes: 3 } } ";

SolverParameter param(const string& text, const string& test_net = kTestNet) {
  SolverParameter param =
      solver_param(string(kTrainingData) + trained_layers("data") + softmax_loss(),
                   "test_iter: 2 test_interval: 9 max_iter: 1 snapshot_after_train: false " + text);
  param.mutable_train_net_param()->Swap(param.mutable_net_param());
  param.clear_net_param();
  ReadProtoFromText(test_net, "test", param.add_test_net_param());
  return param;
}

void fill(Net<float>* net, const string& blob, const std::vector<float>& values) {
  std::copy(values.begin(), values.end(), net->blob_by_name(blob)->mutable_cpu_data());
}

/// The lines of one test. Class 1 is found in one of two batches' places: true at .9, false at .8.
std::vector<string> lines_of(const string& text) {
  const std::unique_ptr<Solver<float>> solver = make_solver<float>(param(text));
  Net<float>* const net = solver->test_nets()[0].get();
  fill(net, "found", {0, 1, .8f, .5f, .5f, .6f, .6f, 0, 1, .9f, 0, 0, .5f, .5f});
  fill(net, "truth", {0, 1, 0, 0, 0, .5f, .5f, 0, 0, 2, 0, .5f, .5f, 1, 1, 0});
  fill(net, "other", {3});
  LogLines log;
  solver->Solve();
  std::vector<string> lines;
  for (const string& line : log.lines) {
    if (contains(line, "Test net output") || contains(line, "class")) lines.push_back(line);
  }
  return lines;
}

TEST(SolverDetection, ShowsTheMeanAveragePrecision) {
  // Two equal batches: both true ones at .9, then both false ones. Class 2 has 0.
  typedef std::vector<string> Lines;
  const string mean = "    Test net output #0: detection_eval = 0.5";
  const string other = "    Test net output #1: other = 3";
  for (const string version : {"Integral", "MaxIntegral", "11point"}) {
    EXPECT_EQ(lines_of("eval_type: 'detection' ap_version: '" + version + "'"),
              (Lines{mean, other}))
        << version;
  }
  EXPECT_EQ(lines_of("eval_type: 'detection' show_per_class_result: true"),
            (Lines{"class1: 1", "class2: 0", mean, other}));
}

TEST(SolverDetection, Errors) {
  EXPECT_ERROR(make_solver<float>(param("eval_type: 'segmentation'")),
               "give classification or detection");
  EXPECT_ERROR(make_solver<float>(param("eval_type: 'detection' ap_version: 'all'")),
               "ap_version is 'all'");
  const string no_evaluation =
      "layer { name: 'in' type: 'Input' top: 'x' input_param { "
      "shape { dim: 1 } } }";
  const auto solver = make_solver<float>(param("eval_type: 'detection'", no_evaluation));
  EXPECT_ERROR(solver->Solve(), "no output of the test net comes from a layer of type");
}

}  // namespace
}  // namespace caffe
