#include "layers/recurrent_test.hpp"

namespace caffe {

template <typename TypeParam>
class RNNLayerTest : public RecurrentTest<TypeParam> {
 protected:
  typedef typename LayerTest<TypeParam>::Dtype Dtype;
  using RecurrentTest<TypeParam>::kSteps;
  using RecurrentTest<TypeParam>::kStreams;
  using RecurrentTest<TypeParam>::kOutputs;

  /// o of all steps in double, from the state `h`, which is replaced by the last.
  std::vector<double> expected(const std::vector<std::shared_ptr<Blob<Dtype>>>& blobs,
                               bool has_static, std::vector<double>* h) const {
    const size_t first = has_static ? 3 : 2;
    const Matrix input(*blobs[0]), bias(*blobs[1]), constant(*blobs[2]), hidden(*blobs[first]);
    const Matrix output(*blobs[first + 1]), output_bias(*blobs[first + 2]);
    const std::vector<double> x = this->data(*this->bottom[0]), cont = this->data(*this->bottom[1]);
    const std::vector<double> still = has_static ? this->data(*this->bottom[2]) : x;
    std::vector<double> all;
    for (int step = 0; step < kSteps * kStreams; ++step) {
      const int n = step % kStreams;
      double* const h_n = h->data() + n * kOutputs;
      double next[kOutputs];
      for (int d = 0; d < kOutputs; ++d) h_n[d] *= cont[step];
      for (int row = 0; row < kOutputs; ++row) {
        next[row] = hidden.times(row, h_n) + bias.at(row) +
                    input.times(row, x.data() + step * input.columns);
        if (has_static) next[row] += constant.times(row, still.data() + n * constant.columns);
      }
      for (int d = 0; d < kOutputs; ++d) h_n[d] = std::tanh(next[d]);
      for (int row = 0; row < kOutputs; ++row) {
        all.push_back(std::tanh(output.times(row, h_n) + output_bias.at(row)));
      }
    }
    return all;
  }
};
TYPED_TEST_SUITE(RNNLayerTest, DtypesAndDevices);

TYPED_TEST(RNNLayerTest, Values) {
  for (const bool has_static : {false, true}) {
    this->clear();
    this->add_inputs();
    if (has_static) this->add_static();
    auto layer = this->forward(this->text("RNN"));
    std::vector<double> h(8);
    EXPECT_EQ(this->top[0]->shape(), std::vector<int>({3, 2, 4}));
    this->expect_near(this->data(*this->top[0]), this->expected(layer->blobs(), has_static, &h));
  }
}

TYPED_TEST(RNNLayerTest, StateIsCarriedIntoTheNextBatch) {
  this->add_inputs({1, 1, 1, 0, 1, 1});
  auto layer = this->forward(this->text("RNN"));
  std::vector<double> h(8);
  for (int batch = 0; batch < 3; ++batch) {
    this->expect_near(this->data(*this->top[0]), this->expected(layer->blobs(), false, &h));
    this->fill_random(this->bottom[0], 50 + batch);
    layer->Forward(this->bottom, this->top);
  }
}

TYPED_TEST(RNNLayerTest, ExposedState) {
  for (const bool has_static : {false, true}) {
    this->clear();
    this->add_inputs({1, 1, 1, 0, 1, 1});
    if (has_static) this->add_static();
    this->add_states(1);
    auto layer = this->forward(this->text("RNN", "expose_hidden: true"));
    for (int again = 0; again < 2; ++again) {
      std::vector<double> h = this->data(*this->bottom.back());
      const std::vector<double> y = this->expected(layer->blobs(), has_static, &h);
      this->expect_near(this->data(*this->top[0]), y);
      EXPECT_EQ(this->top[1]->shape(), std::vector<int>({1, 2, 4}));
      this->expect_near(this->data(*this->top[1]), h);
      layer->Forward(this->bottom, this->top);
    }
  }
}

TYPED_TEST(RNNLayerTest, Blobs) {
  this->add_inputs();
  auto plain = this->forward(this->text("RNN"));
  std::vector<std::vector<int>> shapes;
  for (const auto& blob : plain->blobs()) shapes.push_back(blob->shape());
  EXPECT_EQ(shapes, (std::vector<std::vector<int>>{{4, 5}, {4}, {4, 4}, {4, 4}, {4}}));
  this->add_static();
  auto with_static = this->forward(this->text("RNN"));
  shapes.clear();
  for (const auto& blob : with_static->blobs()) shapes.push_back(blob->shape());
  EXPECT_EQ(shapes, (std::vector<std::vector<int>>{{4, 5}, {4}, {4, 3}, {4, 4}, {4, 4}, {4}}));
}

TYPED_TEST(RNNLayerTest, Gradient) {
  this->add_inputs();
  this->check_gradients(this->text("RNN"));
}

}  // namespace caffe
