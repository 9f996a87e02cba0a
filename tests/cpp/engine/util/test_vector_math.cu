#include "caffe/util/vector_math.hpp"

#include <cmath>
#include <limits>

#include "fixtures.hpp"

namespace caffe {

template <typename Dtype>
class VectorMathTest : public ::testing::Test {};
TYPED_TEST_SUITE(VectorMathTest, Dtypes);

TYPED_TEST(VectorMathTest, AgreesWithLibmToTheLastBits) {
  const long double eps = std::numeric_limits<TypeParam>::epsilon();
  for (double exponent = -40; exponent < 12; exponent += 0.001) {
    const TypeParam x = static_cast<TypeParam>(std::exp2(exponent));
    const long double less_one = std::expm1(-static_cast<long double>(x));
    ASSERT_LE(std::abs(expm1_negative(x) / less_one - 1), 2 * eps) << x;
    const long double tangent = std::tanh(static_cast<long double>(x));
    ASSERT_LE(std::abs(vector_tanh(x) / tangent - 1), 3 * eps) << x;
    ASSERT_EQ(vector_tanh(-x), -vector_tanh(x));
  }
}

TYPED_TEST(VectorMathTest, AtTheEnds) {
  const TypeParam infinite = std::numeric_limits<TypeParam>::infinity();
  EXPECT_EQ(expm1_negative(TypeParam(0)), 0);
  EXPECT_EQ(expm1_negative(infinite), -1);
  EXPECT_EQ(vector_tanh(infinite), 1);
  EXPECT_EQ(vector_tanh(-infinite), -1);
  EXPECT_EQ(vector_tanh(TypeParam(0)), 0);
  EXPECT_TRUE(std::isnan(expm1_negative(TypeParam(std::nan("")))));
  EXPECT_TRUE(std::isnan(vector_tanh(TypeParam(std::nan("")))));
}

}  // namespace caffe
