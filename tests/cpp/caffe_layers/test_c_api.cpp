#include "caffe_layers/c_api.hpp"

#include <cmath>
#include <vector>

#include "tests/cpp/caffe_layers/layer_helpers.hpp"

namespace {

TEST(MaapFunctions, AreInTheLibrary) {
  const float f[] = {1, -2, 3, 4};
  float enhanced[4], a[2];
  ASSERT_EQ(maap_enhance_f32(f, 1, 2, 1, 2, enhanced, a), 0) << maap_last_error();
  EXPECT_NEAR(a[0], 1 / (1 + std::exp(-2.)), 1e-6);
  EXPECT_NEAR(enhanced[3], (1 + a[1]) * 4, 1e-6);
  EXPECT_EQ(maap_enhance_f32(f, 0, 2, 1, 2, enhanced, a), 1);
  EXPECT_NE(std::string(maap_last_error()).find("at least 1"), std::string::npos);
}

TEST(MaapFunctions, RefuseAThresholdAtThatIsNeitherInputNorMap) {
  const float map[] = {0, 0, 1, 1};
  float regions[4], stats[5];
  for (const int threshold_at : {0, 1}) {
    ASSERT_EQ(maap_regions_f32(map, 1, 1, 4, 2, 8, threshold_at, regions, stats, nullptr), 0)
        << maap_last_error();
    EXPECT_EQ(regions[0], 4);
    EXPECT_EQ(regions[2], 8);
  }
  for (const int threshold_at : {2, -1}) {
    EXPECT_EQ(maap_regions_f32(map, 1, 1, 4, 2, 8, threshold_at, regions, stats, nullptr), 1);
    EXPECT_HAS(std::string(maap_last_error()),
               "threshold_at number " + std::to_string(threshold_at) + " is not one of");
  }
}

TEST(MaapFunctions, FindRegionsByAnyRule) {
  const float map[] = {0.5f, 0.5f, 0, 0, 0.75f, 0, 0, 0};
  float regions[4], stats[5];
  const auto find = [&](const maap_region_rule& rule) {
    return maap_regions_by_rule_f32(map, 1, 1, 8, 1, 8, &rule, regions, stats, nullptr);
  };
  const maap_region_rule paper = {0, 0, 0.5f, 0, 8, 0, 0};
  ASSERT_EQ(find(paper), 0) << maap_last_error();
  EXPECT_EQ((std::vector<float>{0, 0, 2, 1}), std::vector<float>(regions, regions + 4));
  maap_region_rule other = {1, 2, 0.5f, 1, 4, 1.f, 0};
  ASSERT_EQ(find(other), 0) << maap_last_error();
  EXPECT_EQ((std::vector<float>{3, 0, 6, 1}), std::vector<float>(regions, regions + 4));
  EXPECT_EQ(stats[0], 0.375f);
  other.border = 1;
  EXPECT_EQ(find(other), 1);
  EXPECT_HAS(std::string(maap_last_error()), "border is 1 for a map of 1x8");
  for (const auto& wrong : {maap_region_rule{0, 3, 0.5f, 0, 8, 0, 0}, {0, 0, 0.5f, 2, 8, 0, 0}}) {
    EXPECT_EQ(find(wrong), 1);
    EXPECT_HAS(std::string(maap_last_error()), "is not one of EliminationParameter.");
  }
}

}  // namespace
