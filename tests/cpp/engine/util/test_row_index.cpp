#include "caffe/util/row_index.hpp"

#include <numeric>

#include "fixtures.hpp"

namespace caffe {

TEST(RowIndex, TakesRowsAndAddsThemBack) {
  std::vector<double> x(5 * 3), y(4 * 3), back(5 * 3, 1);
  std::iota(x.begin(), x.end(), 0.);
  RowIndex index;
  index.set({4, 1, 4, 0});
  index.take(3, x.data(), y.data());
  EXPECT_EQ(y, (std::vector<double>{12, 13, 14, 3, 4, 5, 12, 13, 14, 0, 1, 2}));
  index.add_back(3, y.data(), back.data());
  EXPECT_EQ(back, (std::vector<double>{1, 2, 3, 4, 5, 6, 1, 1, 1, 1, 1, 1, 25, 27, 29}));
  index.set({2});  // another index, another grouping
  std::fill(back.begin(), back.end(), 0);
  index.add_back(3, y.data(), back.data());
  EXPECT_EQ(back, (std::vector<double>{0, 0, 0, 0, 0, 0, 12, 13, 14, 0, 0, 0, 0, 0, 0}));
  index.set({});
  index.take(3, x.data(), y.data());
  index.add_back(3, y.data(), back.data());
  EXPECT_EQ(back[6], 12);
}

}  // namespace caffe
