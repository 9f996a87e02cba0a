#include "layers/recurrent_test.hpp"

namespace caffe {

template <typename TypeParam>
class LSTMLayerTest : public RecurrentTest<TypeParam> {
 protected:
  typedef typename LayerTest<TypeParam>::Dtype Dtype;
  using RecurrentTest<TypeParam>::kSteps;
  using RecurrentTest<TypeParam>::kStreams;
  using RecurrentTest<TypeParam>::kOutputs;

  /// h of all steps in double, from the states `h` and `c`, which are replaced by the last.
  std::vector<double> expected(const std::vector<std::shared_ptr<Blob<Dtype>>>& blobs,
                               bool has_static, std::vector<double>* h,
                               std::vector<double>* c) const {
    const Matrix input(*blobs[0]), bias(*blobs[1]), hidden(*blobs.back()), constant(*blobs[2]);
    const std::vector<double> x = this->data(*this->bottom[0]), cont = this->data(*this->bottom[1]);
    const std::vector<double> still = has_static ? this->data(*this->bottom[2]) : x;
    std::vector<double> all;
    for (int step = 0; step < kSteps * kStreams; ++step) {
      const int n = step % kStreams;
      double* const h_n = h->data() + n * kOutputs;
      double* const c_n = c->data() + n * kOutputs;
      for (int d = 0; d < kOutputs; ++d) h_n[d] *= cont[step];
      double gates[4 * kOutputs];
      for (int row = 0; row < 4 * kOutputs; ++row) {
        gates[row] = hidden.times(row, h_n) + bias.at(row) +
                     input.times(row, x.data() + step * input.columns);
        if (has_static) gates[row] += constant.times(row, still.data() + n * constant.columns);
      }
      for (int d = 0; d < kOutputs; ++d) {
        const double i = logistic(gates[d]), f = logistic(gates[d + kOutputs]);
        const double o = logistic(gates[d + 2 * kOutputs]), g = std::tanh(gates[d + 3 * kOutputs]);
        c_n[d] = cont[step] * f * c_n[d] + i * g;
        h_n[d] = o * std::tanh(c_n[d]);
        all.push_back(h_n[d]);
      }
    }
    return all;
  }
};
TYPED_TEST_SUITE(LSTMLayerTest, DtypesAndDevices);

TYPED_TEST(LSTMLayerTest, Values) {
  for (const bool has_static : {false, true}) {
    this->clear();
    this->add_inputs();
    if (has_static) this->add_static();
    auto layer = this->forward(this->text("LSTM"));
    std::vector<double> h(8), c(8);
    EXPECT_EQ(this->top[0]->shape(), std::vector<int>({3, 2, 4}));
    this->expect_near(this->data(*this->top[0]),
                      this->expected(layer->blobs(), has_static, &h, &c));
  }
}

TYPED_TEST(LSTMLayerTest, StateIsCarriedIntoTheNextBatch) {
  this->add_inputs({1, 1, 1, 0, 1, 1});
  auto layer = this->forward(this->text("LSTM"));
  std::vector<double> h(8), c(8);
  for (int batch = 0; batch < 3; ++batch) {
    this->expect_near(this->data(*this->top[0]), this->expected(layer->blobs(), false, &h, &c));
    this->fill_random(this->bottom[0], 50 + batch);
    layer->Forward(this->bottom, this->top);
  }
}

// What is forgotten may be no number: 0 times NaN would be NaN, in all later batches, too.
TYPED_TEST(LSTMLayerTest, ANewSequenceForgetsWhatIsNoNumber) {
  for (const char* type : {"LSTM", "RNN"}) {
    this->clear();
    this->add_inputs({0, 0, 1, 1, 0, 1});  // stream 0 begins again at step 2
    Caffe::set_random_seed(1);
    auto layer = this->forward(this->text(type));
    const std::vector<double> right = this->data(*this->top[0]);
    auto* const x = this->bottom[0]->mutable_cpu_data();
    const int steps[] = {0, 2};  // of stream 0, five values each
    for (const int step : steps) {
      const auto before = x[step * 10];
      this->bottom[0]->mutable_cpu_data()[step * 10] = std::nan("");
      layer->Forward(this->bottom, this->top);
      const std::vector<double> found = this->data(*this->top[0]);
      for (int i = 0; i < 4; ++i) {
        EXPECT_TRUE(std::isnan(found[step * 8 + i])) << type;
        EXPECT_EQ(found[4 + i], right[4 + i]) << type;  // stream 1
        if (step == 0) {
          EXPECT_EQ(found[16 + i], right[16 + i]) << type;
        }
      }
      for (int i = 0; i < this->top[0]->count(); ++i) this->top[0]->mutable_cpu_diff()[i] = 1;
      for (const auto& blob : layer->blobs())
        caffe_set(blob->count(), typename TypeParam::Dtype(0), blob->mutable_cpu_diff());
      this->bottom[0]->mutable_cpu_data()[step * 10] = before;
      layer->Forward(this->bottom, this->top);  // each stream begins anew
      EXPECT_EQ(this->data(*this->top[0]), right) << type;
      layer->Backward(this->top, {true, false}, this->bottom);
      for (const auto& blob : layer->blobs()) {
        for (const double value : this->diff(*blob)) EXPECT_TRUE(std::isfinite(value)) << type;
      }
    }
  }
}

TYPED_TEST(LSTMLayerTest, ExposedStates) {
  for (const bool has_static : {false, true}) {
    this->clear();
    this->add_inputs({1, 1, 1, 0, 1, 1});
    if (has_static) this->add_static();
    this->add_states(2);
    auto layer = this->forward(this->text("LSTM", "expose_hidden: true"));
    const size_t first = has_static ? 3 : 2;
    for (int again = 0; again < 2; ++again) {
      std::vector<double> h = this->data(*this->bottom[first]);
      std::vector<double> c = this->data(*this->bottom[first + 1]);
      const std::vector<double> y = this->expected(layer->blobs(), has_static, &h, &c);
      this->expect_near(this->data(*this->top[0]), y);
      EXPECT_EQ(this->top[1]->shape(), std::vector<int>({1, 2, 4}));
      this->expect_near(this->data(*this->top[1]), h);
      this->expect_near(this->data(*this->top[2]), c);
      layer->Forward(this->bottom, this->top);
    }
  }
}

TYPED_TEST(LSTMLayerTest, Blobs) {
  this->add_inputs();
  auto plain = this->forward(this->text("LSTM"));
  std::vector<std::vector<int>> shapes;
  for (const auto& blob : plain->blobs()) shapes.push_back(blob->shape());
  EXPECT_EQ(shapes, (std::vector<std::vector<int>>{{16, 5}, {16}, {16, 4}}));
  this->add_static();
  auto with_static = this->forward(this->text("LSTM"));
  shapes.clear();
  for (const auto& blob : with_static->blobs()) shapes.push_back(blob->shape());
  EXPECT_EQ(shapes, (std::vector<std::vector<int>>{{16, 5}, {16}, {16, 3}, {16, 4}}));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(with_static->param_propagate_down(i)) << i;
}

TYPED_TEST(LSTMLayerTest, Gradient) {
  this->add_inputs();
  this->check_gradients(this->text("LSTM"));
}

TYPED_TEST(LSTMLayerTest, GradientWithExposedStates) {
  this->add_inputs({1, 1, 0, 1, 1, 1});
  this->add_static();
  this->add_states(2);
  // Those of the last states would be ignored, so the objective must not contain them.
  auto layer = this->forward(this->text("LSTM", "expose_hidden: true"));
  for (int b : {3, 4}) {
    caffe_set(this->bottom[b]->count(), typename TypeParam::Dtype(7),
              this->bottom[b]->mutable_cpu_diff());
  }
  const auto gradients = [&](double of_last_states) {
    std::vector<std::vector<double>> found;
    for (int t = 0; t < 3; ++t) {
      caffe_set(this->top[t]->count(),
                static_cast<typename TypeParam::Dtype>(t ? of_last_states : 1),
                this->top[t]->mutable_cpu_diff());
    }
    for (const auto& blob : layer->blobs()) {
      caffe_set(blob->count(), typename TypeParam::Dtype(0), blob->mutable_cpu_diff());
    }
    layer->Backward(this->top, {true, false, true, true, true}, this->bottom);
    for (int b : {0, 2}) found.push_back(this->diff(*this->bottom[b]));
    for (const auto& blob : layer->blobs()) found.push_back(this->diff(*blob));
    return found;
  };
  EXPECT_EQ(gradients(0), gradients(5));
  for (int b : {3, 4}) EXPECT_EQ(this->diff(*this->bottom[b]), std::vector<double>(8, 7.));
}

}  // namespace caffe
