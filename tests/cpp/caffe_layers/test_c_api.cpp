#include "caffe_layers/c_api.hpp"

#include <cmath>

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

}  // namespace
