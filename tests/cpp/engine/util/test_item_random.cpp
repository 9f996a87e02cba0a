#include "caffe/util/item_random.hpp"

#include <set>
#include <vector>

#include "fixtures.hpp"

namespace caffe {
namespace {

TEST(ItemRandom, DependsOnSeedAndItemAlone) {
  std::set<uint32_t> seen;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    for (uint64_t item = 0; item < 30; ++item) {
      ItemRandom random(seed, item), again(seed, item);
      EXPECT_EQ(random(), again());
      EXPECT_EQ(random(), again());
      seen.insert(random());
    }
  }
  EXPECT_EQ(seen.size(), 900u);
}

TEST(ItemRandom, NumbersAreUniform) {
  // The first numbers of neighbouring items must differ as well.
  for (const int n : {2, 30}) {
    std::vector<int> first(n, 0), second(n, 0);
    const int draws = 3000 * n;
    for (int item = 0; item < draws; ++item) {
      ItemRandom random(7, item);
      ++first[random.below(n)];
      ++second[random.below(n)];
    }
    for (int i = 0; i < n; ++i) {
      EXPECT_NEAR(first[i], 3000, 300) << i << " of " << n;
      EXPECT_NEAR(second[i], 3000, 300) << i << " of " << n;
    }
  }
  EXPECT_EQ(ItemRandom(1, 1).below(1), 0);
}

}  // namespace
}  // namespace caffe
