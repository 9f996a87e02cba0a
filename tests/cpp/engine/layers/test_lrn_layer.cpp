#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class LRNLayerTest : public LayerTest<TypeParam> {
 protected:
  static std::string layer_text(const std::string& param) {
    return "type: 'LRN' lrn_param { engine: CAFFE " + param + " }";
  }
  double at(const std::vector<double>& x, int n, int c, int h, int w) const {
    const Blob<typename TypeParam::Dtype>& blob = *this->bottom[0];
    const bool inside =
        c >= 0 && c < blob.channels() && h >= 0 && h < blob.height() && w >= 0 && w < blob.width();
    return inside ? x[blob.offset(n, c, h, w)] : 0;
  }
  void expect_normalised(const std::string& param, bool across, int size, double alpha, double beta,
                         double k) {
    SCOPED_TRACE(param);
    this->forward(layer_text(param));
    ASSERT_EQ(this->top[0]->shape(), this->bottom[0]->shape());
    const std::vector<double> x = this->data(*this->bottom[0]);
    std::vector<double> y;
    for (size_t i = 0; i < x.size(); ++i) {
      const int width = this->bottom[0]->width(), height = this->bottom[0]->height();
      const int channels = this->bottom[0]->channels(), column = i % width;
      const int row = i / width % height, c = i / width / height % channels;
      const int n = i / width / height / channels;
      double sum = 0;
      for (int d = -(size / 2); d <= size / 2; ++d) {
        if (across) {
          sum += std::pow(at(x, n, c + d, row, column), 2);
        } else {
          for (int e = -(size / 2); e <= size / 2; ++e) {
            sum += std::pow(at(x, n, c, row + d, column + e), 2);
          }
        }
      }
      const double s = k + alpha / (across ? size : size * size) * sum;
      y.push_back(x[i] * std::pow(s, -beta));
    }
    this->expect_near(this->data(*this->top[0]), y);
  }
};
TYPED_TEST_SUITE(LRNLayerTest, DtypesAndDevices);

TYPED_TEST(LRNLayerTest, AcrossChannels) {
  this->add_bottom({2, 7, 3, 5}, -3, 3);
  this->expect_normalised("", true, 5, 1, 0.75, 1);
  this->expect_normalised("local_size: 3 alpha: 2 beta: 0.5 k: 2", true, 3, 2, 0.5, 2);
  this->expect_normalised("local_size: 15 alpha: 0.5 beta: 1.25", true, 15, 0.5, 1.25, 1);
  this->expect_normalised("local_size: 1 beta: 1", true, 1, 1, 1, 1);
}

TYPED_TEST(LRNLayerTest, ImagesLargerThanABlock) {
  this->add_bottom({2, 3, 9, 15}, -3, 3);  // 135 pixels: two blocks of 64 and one of 7
  this->expect_normalised("local_size: 3", true, 3, 1, 0.75, 1);
}

TYPED_TEST(LRNLayerTest, WithinChannelDoesNotUseK) {
  this->add_bottom({2, 3, 5, 6}, -3, 3);
  this->expect_normalised("norm_region: WITHIN_CHANNEL local_size: 3 k: 2", false, 3, 1, 0.75, 1);
  this->expect_normalised("norm_region: WITHIN_CHANNEL alpha: 3 beta: 0.5", false, 5, 3, 0.5, 1);
  this->expect_normalised("norm_region: WITHIN_CHANNEL local_size: 13", false, 13, 1, 0.75, 1);
}

TYPED_TEST(LRNLayerTest, RowsWiderThanAPiece) {
  this->add_bottom({1, 2, 3, 70}, -3, 3);
  this->expect_normalised("norm_region: WITHIN_CHANNEL local_size: 5", false, 5, 1, 0.75, 1);
}

TYPED_TEST(LRNLayerTest, Gradient) {
  this->add_bottom({2, 5, 2, 3}, -2, 2);
  this->check_gradient(this->layer_text("alpha: 2 local_size: 3"));
  this->check_gradient(this->layer_text("alpha: 2 local_size: 5 beta: 0.5 k: 2"));
}

TYPED_TEST(LRNLayerTest, GradientWithinChannel) {
  this->add_bottom({1, 2, 4, 5}, -2, 2);
  this->check_gradient(this->layer_text("norm_region: WITHIN_CHANNEL alpha: 2 local_size: 3"));
  this->check_gradient(
      this->layer_text("norm_region: WITHIN_CHANNEL alpha: 2 local_size: 5 beta: 1.5"));
}

TYPED_TEST(LRNLayerTest, Errors) {
  this->add_bottom({1, 2, 3, 3});
  this->add_top();
  EXPECT_ERROR(this->make(this->layer_text("local_size: 4"))->SetUp(this->bottom, this->top),
               "'under_test' (LRN): local_size is 4, which must be odd");
  this->top = {this->bottom[0]};
  EXPECT_ERROR(this->make(this->layer_text(""))->SetUp(this->bottom, this->top), "in place");
  this->top.clear();
  this->add_top();
  this->bottom[0]->Reshape({3, 3});
  EXPECT_ERROR(this->make(this->layer_text(""))->SetUp(this->bottom, this->top),
               "num x channels x height x width");
}

}  // namespace caffe
