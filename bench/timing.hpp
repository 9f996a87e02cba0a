#ifndef BENCH_TIMING_HPP_
#define BENCH_TIMING_HPP_

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

namespace bench {

inline double milliseconds(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

/// The shortest time: that of the code when nothing else runs.
inline double best(const std::vector<double>& v) {
  return *std::min_element(v.begin(), v.end());
}

inline double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + v.size() / 2, v.end());
  return v[v.size() / 2];
}

/// Times each of `cases` once per round, so that a disturbance of the machine affects all of them.
/// Returns [case][round] in milliseconds; the first two rounds only warm up.
inline std::vector<std::vector<double>> rounds(const std::vector<std::function<void()>>& cases,
                                               int n) {
  std::vector<std::vector<double>> all(cases.size());
  for (int round = -2; round < n; ++round) {
    for (size_t c = 0; c < cases.size(); ++c) {
      const double time = milliseconds(cases[c]);
      if (round >= 0) all[c].push_back(time);
    }
  }
  return all;
}

}  // namespace bench

#endif  // BENCH_TIMING_HPP_
