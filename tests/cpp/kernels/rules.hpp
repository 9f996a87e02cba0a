#ifndef TESTS_CPP_KERNELS_RULES_HPP_
#define TESTS_CPP_KERNELS_RULES_HPP_

#include <string>
#include <vector>

#include "kernels/region.hpp"

namespace maap {

/// Rules other than the paper's: each option alone, and several together. Their borders fit maps of
/// at least `smaller` rows and columns.
inline std::vector<RegionRule> other_rules(int smaller = 13) {
  constexpr auto kInput = ThresholdAt::kInput, kMap = ThresholdAt::kMap;
  constexpr auto kOtsu = Threshold::kOtsu, kMean = Threshold::kMean;
  constexpr auto kFraction = Threshold::kFraction;
  constexpr auto kLargest = Component::kLargest, kStrongest = Component::kStrongest;
  const int most = (smaller - 1) / 2, border = most < 2 ? most : 2;
  return {{kInput, kMean},
          {kMap, kMean},
          {kInput, kFraction},
          {kMap, kFraction, 0.2f},
          {kInput, kOtsu, 0.5f, kStrongest},
          {kMap, kMean, 0.5f, kStrongest},
          {kInput, kOtsu, 0.5f, kLargest, 4},
          {kMap, kFraction, 0.f, kStrongest, 4},
          {kInput, kOtsu, 0.5f, kLargest, 8, 0.1f},
          {kMap, kOtsu, 0.5f, kStrongest, 8, 0.4f},
          {kInput, kOtsu, 0.5f, kLargest, 8, 0.f, border},
          {kMap, kOtsu, 0.5f, kStrongest, 8, 0.f, most},
          {kInput, kMean, 0.5f, kStrongest, 4, 0.25f, border},
          {kMap, kFraction, 0.9f, kLargest, 4, 10.f, border}};
}

/// The rule in a test's message.
inline std::string describe(const RegionRule& rule) {
  return std::string(name_of(rule.at)) + " " + name_of(rule.threshold) + " " +
         std::to_string(rule.fraction) + " " + name_of(rule.component) + " " +
         std::to_string(rule.connectivity) + " " + std::to_string(rule.padding) + " " +
         std::to_string(rule.border);
}

}  // namespace maap

#endif  // TESTS_CPP_KERNELS_RULES_HPP_
