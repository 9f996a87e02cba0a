#ifndef TESTS_CPP_SHADOW_GRAPH_TRAINING_HPP_
#define TESTS_CPP_SHADOW_GRAPH_TRAINING_HPP_

// Trainings with CUDA graphs on the shadow device, and the same without.

#include <cstring>
#include <functional>
#include <regex>
#include <string>
#include <vector>

#include "tests/cpp/engine/toy_net.hpp"
#include "tests/cpp/shadow/training_on_gpu.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {

/// Two iterations as ever, one that is watched; the fourth is recorded and launched.
constexpr int kBefore = 3;
const char* const kGraph = " cuda_graph: true ";

/// What a training has shown and made.
struct Trained {
  std::vector<float> weights;
  std::vector<std::string> lines;
  int64_t graph_launches;
};

typedef std::function<void(Solver<float>* solver, int iteration)> Between;

/// The log lines that a graph must not change.
inline std::vector<std::string> numbers_of(const LogLines& log) {
  std::vector<std::string> kept;
  for (const std::string& line : log.lines) {
    if (line.rfind("cuda_graph", 0) == 0) continue;
    // "Iteration 3 (12 iter/s, 0.1s/1 iters), loss = 0.5"
    kept.push_back(std::regex_replace(line, std::regex(" \\(.*iters\\)"), ""));
  }
  return kept;
}

/// Trains with other images in each iteration; `between` runs before each one.
inline Trained train(const SolverParameter& param, int iterations,
                     const Between& between = nullptr) {
  const auto solver = make_solver<float>(param);
  shadow::reset_counts();
  LogLines log;
  for (int i = 0; i < iterations; ++i) {
    fill_images(solver->net().get(), i);
    if (between != nullptr) between(solver.get(), i);
    solver->Step(1);
  }
  return {weights(solver.get()), numbers_of(log), shadow::counts().graph_launches};
}

inline void expect_same(const Trained& a, const Trained& b) {
  ASSERT_EQ(a.weights.size(), b.weights.size());
  EXPECT_EQ(std::memcmp(a.weights.data(), b.weights.data(), sizeof(float) * a.weights.size()), 0);
  EXPECT_EQ(a.lines, b.lines);
}

/// Trains without and with graphs; returns the latter.
inline Trained expect_same_with_graph(const std::string& net, const std::string& text,
                                      int iterations, const Between& between = nullptr) {
  const Trained plain = train(solver_param(net, text), iterations, between);
  const Trained graph = train(solver_param(net, text + kGraph), iterations, between);
  expect_same(plain, graph);
  EXPECT_EQ(plain.graph_launches, 0);
  return graph;
}

/// The reason that the log gives for not recording; "" if there is none.
inline std::string reason_of(Solver<float>* solver, int iterations = 12) {
  LogLines log;
  shadow::reset_counts();
  solver->Step(iterations);
  const std::string begin = "cuda_graph: iterations are not recorded: ";
  for (const std::string& line : log.lines) {
    if (line.rfind(begin, 0) == 0) {
      EXPECT_EQ(shadow::counts().graph_launches, 0);
      return line.substr(begin.size());
    }
  }
  return "";
}

class SolverGraphTest : public TrainingOnGpu {
 protected:
  void TearDown() override {
    shadow::fail_capture(0);
    TrainingOnGpu::TearDown();
  }
};

}  // namespace caffe

#endif  // TESTS_CPP_SHADOW_GRAPH_TRAINING_HPP_
