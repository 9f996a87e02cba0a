// Layers that follow bottoms whose values have 16 bits (caffe/util/value_format.hpp), on a GPU:
// what they compute from the same values in float, up to the rounding of what they store, and
// without a conversion. Skipped where there is no GPU.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "caffe/layer_factory.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/reorder_count.hpp"
#include "caffe/util/value_format.hpp"
#include "fixtures.hpp"
#include "google/protobuf/text_format.h"
#include "kernels/half.hpp"

namespace caffe {
namespace {

struct Case {
  std::string text;
  int bottoms = 1, tops = 1;
  bool in_place = false;
  int roundings = 1;  // of one result: those of its own and of stored values that it comes from
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.text << (one.in_place ? ", in place" : "");
}

std::vector<Case> followers() {
  std::vector<Case> cases = {
      {"type: 'Split'", 1, 3, false, 3},
      {"type: 'Concat'", 3},
      {"type: 'Concat' concat_param { axis: 0 }", 2},
      {"type: 'Eltwise'", 2},
      {"type: 'Eltwise' eltwise_param { coeff: 2 coeff: -1 coeff: 0.5 }", 3, 1, false, 3},
      {"type: 'LRN' lrn_param { local_size: 5 alpha: 0.5 beta: 0.75 k: 2 }", 1, 1, false, 2},
      {"type: 'LRN' lrn_param { local_size: 3 alpha: 0.1 beta: 0.6 }", 1, 1, false, 2},
      {"type: 'Enhancement'", 1, 2}};
  for (const bool in_place : {false, true}) {
    cases.push_back({"type: 'ReLU'", 1, 1, in_place});
    cases.push_back({"type: 'ReLU' relu_param { negative_slope: 0.1 }", 1, 1, in_place});
    cases.push_back({"type: 'Enhancement'", 1, 1, in_place, in_place ? 2 : 1});
    cases.push_back({"type: 'BatchNorm'", 1, 1, in_place, in_place ? 2 : 1});
    cases.push_back(
        {"type: 'Scale' scale_param { bias_term: true filler { type: 'uniform' min: -1 "
         "} bias_filler { type: 'uniform' } }",
         1, 1, in_place});
  }
  for (const char* const pool : {"MAX", "AVE"}) {
    const std::string text = std::string("type: 'Pooling' pooling_param { pool: ") + pool;
    cases.push_back({text + " kernel_size: 3 stride: 2 }"});
    cases.push_back({text + " kernel_size: 2 stride: 1 pad: 1 }"});
    cases.push_back({text + " global_pooling: true }"});
  }
  return cases;
}

/// Layers that ask for plain values.
std::vector<Case> others() {
  return {{"type: 'Sigmoid'"},
          {"type: 'Pooling' pooling_param { kernel_size: 3 stride: 2 }", 1, 2},
          {"type: 'Eltwise' eltwise_param { operation: PROD }", 2},
          {"type: 'Scale' scale_param { axis: 2 filler { type: 'uniform' } }"},
          {"type: 'Softmax'"},
          {"type: 'Concat' concat_param { axis: 2 }", 2},
          {"type: 'InnerProduct' inner_product_param { num_output: 4 weight_filler { type: "
           "'uniform' } }"}};
}

/// One forward and one backward pass from values that T can hold; with `half`, stored so.
template <typename T>
class Pass {
 public:
  Pass(const Case& one, const std::vector<int>& shape, bool half) : half_(half) {
    Caffe::set_random_seed(1701);
    LayerParameter param;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(one.text, &param)) << one.text;
    param.set_name("under_test");
    param.set_phase(TRAIN);
    layer_ = LayerRegistry<float>::CreateLayer(param);
    for (int i = 0; i < one.bottoms; ++i) {
      bottom_.push_back(add(shape));
      fill(bottom_.back()->mutable_cpu_data(), bottom_.back()->count());
    }
    for (int i = 0; i < one.tops; ++i) {
      top_.push_back(one.in_place && i == 0 ? bottom_[0] : add({}));
    }
    layer_->SetUp(bottom_, top_);
    for (Blob<float>* const blob : bottom_) turn(blob, false);
    int64_t before = reorder_count();
    layer_->Forward(bottom_, top_);
    conversions = reorder_count() - before;
    types.push_back(data_format(*top_[0]).type);
    for (Blob<float>* const blob : top_) results.push_back(values(*blob, false));
    for (Blob<float>* const blob : top_) {
      fill(blob->mutable_cpu_diff(), blob->count());
      if (blob == top_[0] || one.text.find("Enhancement") == std::string::npos) turn(blob, true);
    }
    before = reorder_count();
    layer_->Backward(top_, std::vector<bool>(bottom_.size(), true), bottom_);
    conversions += reorder_count() - before;
    types.push_back(diff_format(*bottom_[0]).type);
    for (Blob<float>* const blob : bottom_) results.push_back(values(*blob, true));
  }

  std::vector<std::vector<float>> results;
  std::vector<ValueType> types;  // of the first top's data and the first bottom's gradient
  int64_t conversions = 0;

 private:
  Blob<float>* add(const std::vector<int>& shape) {
    all_.push_back(std::make_shared<Blob<float>>(shape));
    return all_.back().get();
  }
  void fill(float* to, int count) {
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (int i = 0; i < count; ++i) to[i] = T(uniform(random_));
  }
  /// The values have 16 bits alone.
  void turn(Blob<float>* blob, bool diff) {
    if (!half_ || blob->num_axes() < 2) return;
    const Values<float, T> values{Order::kNhwc};
    if (diff) {
      values.diff(*blob);
      values.mutable_diff(blob);
    } else {
      values.data(*blob);
      values.mutable_data(blob);
    }
  }
  /// Without changing what the blob has.
  static std::vector<float> values(const Blob<float>& blob, bool diff) {
    Blob<float> copy(blob.shape());
    const Format format = diff ? diff_format(blob) : data_format(blob);
    if (is_half(format.type)) {
      const Values<float, T> from{Order::kNhwc};
      half_to_nchw(blob.shape(), format.type, diff ? from.diff(blob) : from.data(blob),
                   copy.mutable_gpu_data());
      return std::vector<float>(copy.cpu_data(), copy.cpu_data() + copy.count());
    }
    const float* const host = diff ? blob.cpu_diff() : blob.cpu_data();
    return std::vector<float>(host, host + blob.count());
  }

  const bool half_;
  std::mt19937 random_{11};
  std::shared_ptr<Layer<float>> layer_;
  std::vector<std::shared_ptr<Blob<float>>> all_;
  std::vector<Blob<float>*> bottom_, top_;
};

const std::vector<std::vector<int>>& shapes() {
  static const std::vector<std::vector<int>> all = {{1, 67, 5, 7},  {2, 3, 3, 5},  {2, 1, 9, 7},
                                                    {3, 67, 1, 1},  {2, 8, 33, 2}, {1, 300, 3, 3},
                                                    {1, 1100, 3, 3}};
  return all;
}

template <typename T>
class HalfValuesOnGpu : public GpuTest {
 protected:
  /// The largest relative error of a stored number; below the smallest normal one, absolute.
  static double unit() { return std::is_same<T, Float16>::value ? 1. / 2048 : 1. / 256; }

  static void expect_alike(const Case& one, const std::vector<int>& shape, bool follows) {
    const Pass<T> plain(one, shape, false), half(one, shape, true);
    ASSERT_EQ(plain.results.size(), half.results.size());
    for (size_t i = 0; i < plain.results.size(); ++i) {
      double most = 0;
      for (const float value : plain.results[i]) most = std::max<double>(most, std::abs(value));
      const double bound = one.roundings * unit() * most + 1e-5 * std::max(1., most);
      for (size_t k = 0; k < plain.results[i].size(); ++k) {
        ASSERT_NEAR(half.results[i][k], plain.results[i][k], bound) << "result " << i << ", " << k;
      }
    }
    if (!follows) return;
    EXPECT_EQ(half.types[0], type_of<T>());
    EXPECT_EQ(half.types[1], type_of<T>());
    EXPECT_EQ(plain.types[0], ValueType::kFloat);
    if (one.in_place && one.text.find("Enhancement") != std::string::npos) return;  // it checks
    EXPECT_EQ(half.conversions, 0);
  }
};

typedef ::testing::Types<Float16, Bfloat16> Halves;
TYPED_TEST_SUITE(HalfValuesOnGpu, Halves);

TYPED_TEST(HalfValuesOnGpu, AreFollowed) {
  for (const Case& one : followers()) {
    for (const std::vector<int>& shape : shapes()) {
      if (shape[2] < 3 && one.text.find("kernel_size: 3") != std::string::npos) continue;
      SCOPED_TRACE(::testing::PrintToString(one) + " " + ::testing::PrintToString(shape));
      this->expect_alike(one, shape, true);
      if (this->HasFatalFailure()) return;
    }
  }
}

TYPED_TEST(HalfValuesOnGpu, BecomeFloatsForOtherLayers) {
  for (const Case& one : others()) {
    SCOPED_TRACE(::testing::PrintToString(one));
    this->expect_alike({one.text, one.bottoms, one.tops, false, 2}, {2, 5, 7, 6}, false);
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(HalfValuesOnGpu, AreConvertedOnceAndGivePlainValues) {
  Blob<float> blob(2, 3, 5, 7);
  for (int i = 0; i < blob.count(); ++i) blob.mutable_cpu_data()[i] = 0.1f * i;
  const Values<float, TypeParam> values{Order::kNhwc};
  const int64_t before = reorder_count();
  EXPECT_FALSE(is_half(data_format(blob).type));
  values.data(blob);
  values.data(blob);
  EXPECT_EQ(reorder_count() - before, 1);
  EXPECT_EQ(data_format(blob).type, type_of<TypeParam>());
  EXPECT_EQ(data_order(blob), Order::kNchw) << "others see plain values";
  for (int i = 0; i < blob.count(); ++i) ASSERT_EQ(blob.cpu_data()[i], 0.1f * i) << "as they were";
  values.mutable_data(&blob);  // now these alone are up to date
  EXPECT_EQ(blob.data()->head(), SyncedMemory::HEAD_AT_FOREIGN);
  for (int i = 0; i < blob.count(); ++i) {
    ASSERT_EQ(blob.cpu_data()[i], float(TypeParam(0.1f * i)));
  }
  blob.mutable_cpu_data();
  EXPECT_FALSE(is_half(data_format(blob).type));
}

TYPED_TEST(HalfValuesOnGpu, AreOfFloatsWithChannelsAlone) {
  Blob<float> vector(std::vector<int>{5});
  EXPECT_FALSE(internal::may_be_half(vector));
  Blob<double> doubles(2, 3, 5, 7);
  EXPECT_FALSE(internal::may_be_half(doubles));
  EXPECT_EQ(data_format(doubles).type, ValueType::kDouble);
}

}  // namespace
}  // namespace caffe
