#include "caffe/util/im2col.hpp"

#include "caffe/util/math_functions.hpp"
#include "tests/cpp/engine/fixtures.hpp"
#include "tests/cpp/engine/layers/conv_reference.hpp"

namespace caffe {

template <typename Dtype>
class Im2colTest : public ::testing::Test {
 protected:
  typedef vector<Dtype> Values;
  static Values random(int n) {
    Values values(n);
    caffe_rng_uniform(n, Dtype(-1), Dtype(1), values.data());
    return values;
  }
  static ConvGeometry geometry_of(const ConvReference& r) {
    ConvGeometry g;
    g.axes = static_cast<int>(r.image.size());
    g.channels = r.in_channels;
    for (int a = 0; a < g.axes; ++a) {
      g.image[a] = r.image[a];
      g.output[a] = r.output[a];
      g.kernel[a] = r.kernel[a];
      g.pad[a] = r.pad[a];
      g.stride[a] = r.stride[a];
      g.dilation[a] = r.dilation[a];
      EXPECT_EQ(conv_output_size(r.image[a], r.kernel[a], r.pad[a], r.stride[a], r.dilation[a]),
                r.output[a]);
    }
    return g;
  }
  /// Both directions against the definition, through the general functions.
  void expect_both(const ConvReference& r) {
    Caffe::set_random_seed(1701);
    const ConvGeometry g = geometry_of(r);
    const int size = ConvReference::product(r.image), outputs = ConvReference::product(r.output);
    const int kernels = ConvReference::product(r.kernel), rows = r.in_channels * kernels;
    const Values image = random(r.in_channels * size), given = random(rows * outputs);
    Values columns(rows * outputs, 7), wanted(rows * outputs, 0);
    Values back(image.size(), 7), wanted_back(image.size(), 0);
    for (int row = 0; row < rows; ++row) {
      for (int o = 0; o < outputs; ++o) {
        const int at = r.image_place(o, row % kernels);
        if (at < 0) continue;
        wanted[row * outputs + o] = image[row / kernels * size + at];
        wanted_back[row / kernels * size + at] += given[row * outputs + o];
      }
    }
    im2col(g, image.data(), columns.data());
    EXPECT_EQ(columns, wanted);
    col2im(g, given.data(), back.data());
    for (size_t i = 0; i < back.size(); ++i) ASSERT_NEAR(back[i], wanted_back[i], 1e-5) << i;
    expect_same_through_caffes_entries(r, image, wanted, given, back);
  }
  void expect_same_through_caffes_entries(const ConvReference& r, const Values& image,
                                          const Values& columns, const Values& given,
                                          const Values& back) {
    vector<int> im_shape = {r.in_channels}, col_shape = {0};
    im_shape.insert(im_shape.end(), r.image.begin(), r.image.end());
    col_shape.insert(col_shape.end(), r.output.begin(), r.output.end());
    Values col(columns.size(), 7), im(image.size(), 7);
    const int axes = static_cast<int>(r.image.size());
    im2col_nd_cpu(image.data(), axes, im_shape.data(), col_shape.data(), r.kernel.data(),
                  r.pad.data(), r.stride.data(), r.dilation.data(), col.data());
    EXPECT_EQ(col, columns);
    col2im_nd_cpu(given.data(), axes, im_shape.data(), col_shape.data(), r.kernel.data(),
                  r.pad.data(), r.stride.data(), r.dilation.data(), im.data());
    EXPECT_EQ(im, back);
    if (axes != 2) return;
    col.assign(col.size(), 7);
    im.assign(im.size(), 7);
    im2col_cpu(image.data(), r.in_channels, r.image[0], r.image[1], r.kernel[0], r.kernel[1],
               r.pad[0], r.pad[1], r.stride[0], r.stride[1], r.dilation[0], r.dilation[1],
               col.data());
    EXPECT_EQ(col, columns);
    col2im_cpu(given.data(), r.in_channels, r.image[0], r.image[1], r.kernel[0], r.kernel[1],
               r.pad[0], r.pad[1], r.stride[0], r.stride[1], r.dilation[0], r.dilation[1],
               im.data());
    EXPECT_EQ(im, back);
  }
};
TYPED_TEST_SUITE(Im2colTest, Dtypes);

TYPED_TEST(Im2colTest, OneAxis) {
  this->expect_both({{9}, {4}, {3}, {2}, {0}, {1}, 3, 1, 1});
  this->expect_both({{4}, {12}, {3}, {1}, {5}, {1}, 2, 1, 1});
  this->expect_both({{1}, {3}, {1}, {4}, {4}, {1}, 1, 1, 1});
}

TYPED_TEST(Im2colTest, TwoAxes) {
  this->expect_both({{6, 5}, {6, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 3, 1, 1});
  this->expect_both({{8, 7}, {2, 4}, {2, 3}, {3, 2}, {0, 2}, {2, 2}, 2, 1, 1});
  this->expect_both({{40, 50}, {38, 48}, {3, 3}, {1, 1}, {0, 0}, {1, 1}, 4, 1, 1});
}

TYPED_TEST(Im2colTest, FourAxes) {
  this->expect_both({{2, 3, 4, 3},
                     {2, 3, 2, 4},
                     {1, 2, 2, 2},
                     {1, 1, 2, 1},
                     {0, 1, 0, 1},
                     {1, 2, 1, 1},
                     2,
                     1,
                     1});
}

TYPED_TEST(Im2colTest, RefusesTooManyAxes) {
  const vector<int> ones(kMaxSpatialAxes + 2, 1);
  TypeParam x = 0, y = 0;
  EXPECT_ERROR(im2col_nd_cpu(&x, kMaxSpatialAxes + 1, ones.data(), ones.data(), ones.data(),
                             ones.data(), ones.data(), ones.data(), &y),
               "1 to 10 spatial axes");
}

}  // namespace caffe
