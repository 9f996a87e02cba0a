#include "kernels/render.hpp"

#include <gtest/gtest.h>

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/region.hpp"

namespace maap {
namespace {

/// What `statement` throws; "" when it does not.
template <typename F>
std::string message_of(const F& statement) {
  try {
    statement();
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

/// One image of two channels and 1x4 pixels; the region is pixels 1 and 2.
struct Image {
  const ImageShape shape = {1, 2, 1, 4};
  const std::vector<double> d = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<double> a = {0.125, 0.25, 0.5, 0.75};
  const std::vector<double> region = {1, 0, 3, 1};
  const std::vector<double> stats = {0.25, 0.125, 0.75, 2, 0};  // the threshold first
  std::vector<double> out = std::vector<double>(8, -1.);

  void render(AStar a_star) {
    maap::render(Device::kCPU, shape, a_star, d.data(), a.data(), region.data(), stats.data(),
                 out.data());
  }
  void render_backward(AStar a_star) {
    maap::render_backward(Device::kCPU, shape, a_star, d.data(), a.data(), region.data(),
                          stats.data(), out.data());
  }
};

TEST(Render, EveryProductIsItsDefinition) {
  const std::map<AStar, std::vector<double>> a_star = {
      {AStar::kUncorrelated, {0, 1, 1, 0}},
      {AStar::kEnhance, {0, 1.25, 1.5, 0}},
      {AStar::kReduce, {0.125, 1, 1, 0.75}},
      {AStar::kAllSoft, {0.125, 0.25, 0.5, 0.75}},
      {AStar::kAllSoftPlusOne, {1.125, 1.25, 1.5, 1.75}},
      {AStar::kDrop, {1, 1, 0, 0}}};
  for (const AStar one : kAStars) {
    if (one == AStar::kRoi) continue;
    SCOPED_TRACE(name_of(one));
    std::vector<double> expected;
    for (int i = 0; i < 8; ++i) expected.push_back(a_star.at(one)[i % 4] * Image().d[i]);
    Image image;
    image.render(one);
    EXPECT_EQ(image.out, expected);
    image.render_backward(one);
    EXPECT_EQ(image.out, expected);
  }
}

TEST(Render, RoiIsTheRegionResized) {
  Image image;
  image.render(AStar::kRoi);
  EXPECT_EQ(image.out, (std::vector<double>{2, 2.25, 2.75, 3, 6, 6.25, 6.75, 7}));
  image.render_backward(AStar::kRoi);  // the transpose of that
  EXPECT_EQ(image.out, (std::vector<double>{0, 3.25, 6.75, 0, 0, 11.25, 14.75, 0}));
}

TEST(Render, AnUnknownAStarIsAnError) {
  for (const int number : {99, -1}) {
    const auto unknown = static_cast<AStar>(number);
    const std::string text =
        "A* number " + std::to_string(number) + " is not one of EliminationParameter.AStar";
    Image image;
    EXPECT_EQ(message_of([&] { image.render(unknown); }), text);
    EXPECT_EQ(message_of([&] { image.render_backward(unknown); }), text);
    EXPECT_EQ(message_of([&] { name_of(unknown); }), text);
    EXPECT_EQ(image.out, std::vector<double>(8, -1.)) << "written to";
  }
}

TEST(FindRegions, AnUnknownThresholdAtIsAnError) {
  const RegionShape shape = {1, 1, 2, 1, 2};
  const std::vector<float> map = {0, 1};
  std::vector<float> upsampled(2), region(4), stats(kStatsSize);
  std::vector<char> workspace(region_workspace(Device::kCPU, shape));
  int bad = 0;
  const auto find = [&](int at) {
    find_regions(Device::kCPU, shape, {static_cast<ThresholdAt>(at)}, map.data(), upsampled.data(),
                 region.data(), stats.data(), &bad, workspace.data());
  };
  EXPECT_EQ(message_of([&] { find(0); }), "");
  EXPECT_EQ(message_of([&] { find(1); }), "");
  for (const int at : {2, -1}) {
    EXPECT_EQ(message_of([&] { find(at); }), "threshold_at number " + std::to_string(at) +
                                                 " is not one of EliminationParameter.ThresholdAt");
  }
}

TEST(FindRegions, AnUnknownThresholdOrComponentIsAnError) {
  RegionRule rule;
  rule.threshold = static_cast<Threshold>(3);
  EXPECT_EQ(message_of([&] { check_rule(rule, {1, 1, 2, 1, 2}); }),
            "threshold number 3 is not one of EliminationParameter.Threshold");
  rule = {};
  rule.component = static_cast<Component>(-1);
  EXPECT_EQ(message_of([&] { check_rule(rule, {1, 1, 2, 1, 2}); }),
            "component number -1 is not one of EliminationParameter.Component");
}

}  // namespace
}  // namespace maap
