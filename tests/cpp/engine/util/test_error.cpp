#include "caffe/util/error.hpp"

#include <cstdint>

#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

TEST(ErrorTest, SaysWhatTheStreamSays) {
  EXPECT_EQ(error_of([] { CAFFE_FAIL("axis " << 3 << " of " << 2); }), "axis 3 of 2");
}

TEST(ErrorTest, ACheckThatHoldsEvaluatesNoMessage) {
  int made = 0;
  const auto text = [&] {
    ++made;
    return "bad";
  };
  CAFFE_CHECK(1 + 1 == 2, text());
  EXPECT_EQ(made, 0);
  EXPECT_ERROR(CAFFE_CHECK(1 + 1 == 3, text()), "bad");
  EXPECT_EQ(made, 1);
}

TEST(ErrorTest, IsAlsoTheErrorOfTheMaapLayers) {
  EXPECT_THROW(throw maap::Error("x"), Error);
  EXPECT_THROW(CAFFE_FAIL("x"), std::runtime_error);
}

TEST(ErrorTest, WritesShapes) {
  EXPECT_EQ(shape_text(std::vector<int>{64, 3, 11, 11}), "64 3 11 11");
  EXPECT_EQ(shape_text(std::vector<int64_t>{}), "");
}

TEST(ErrorTest, FindsTheNearestName) {
  const std::vector<std::string> types = {"Convolution", "Deconvolution", "Pooling", "ReLU", "LRN"};
  EXPECT_EQ(nearest_name("Convolutoin", types), "Convolution");
  EXPECT_EQ(nearest_name("relu", types), "ReLU");
  EXPECT_EQ(nearest_name("Deconvolutin", types), "Deconvolution");
  EXPECT_EQ(nearest_name("Transformer", types), "");
  EXPECT_EQ(nearest_name("x", types), "");
  EXPECT_EQ(nearest_name("anything", {}), "");
}

TEST(ErrorTest, Joins) {
  EXPECT_EQ(join({}), "");
  EXPECT_EQ(join({"a"}), "a");
  EXPECT_EQ(join({"a", "b", "c"}), "a, b, c");
}

}  // namespace caffe
