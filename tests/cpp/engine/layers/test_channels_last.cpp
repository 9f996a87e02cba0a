// Layers that work in either order of values on a GPU (caffe/util/value_order.hpp): the same
// results from bottoms with the channels last, without a conversion. Skipped where there is no GPU.

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
#include "caffe/util/value_order.hpp"
#include "fixtures.hpp"
#include "google/protobuf/text_format.h"

namespace caffe {
namespace {

struct Case {
  std::string text;  // of the layer
  int bottoms = 1, tops = 1;
  bool in_place = false;
  Phase phase = TRAIN;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.text << (one.in_place ? ", in place" : "") << (one.phase == TEST ? ", TEST" : "");
}

const char kBatchStatistics[] = "type: 'BatchNorm'";
const char kGivenStatistics[] = "type: 'BatchNorm' batch_norm_param { use_global_stats: true }";
const char kScale[] =
    "type: 'Scale' scale_param { bias_term: true filler { type: 'uniform' min: -1 } "
    "bias_filler { type: 'uniform' } }";

/// Layers that follow their bottoms' order.
vector<Case> followers() {
  vector<Case> cases;
  for (const char* const type : {"ReLU", "Sigmoid", "TanH", "ELU", "BNLL", "Swish", "Power"}) {
    const std::string text = std::string("type: '") + type + "'";
    cases.push_back({text});
    cases.push_back({text, 1, 1, true});
  }
  for (const char* const text :
       {"type: 'AbsVal'", "type: 'Exp'", "type: 'Clip' clip_param { min: -0.5 max: 0.5 }",
        "type: 'PReLU'", "type: 'Log' log_param { shift: 3 }",
        "type: 'ReLU' relu_param { negative_slope: 0.1 }",
        "type: 'Threshold' propagate_down: false",
        "type: 'Power' power_param { power: 0 shift: 1 }",
        "type: 'Power' power_param { power: 2 scale: 0.5 shift: 1 }"}) {
    cases.push_back({text});
  }
  cases.push_back({"type: 'PReLU'", 1, 1, true});
  cases.push_back({"type: 'PReLU' prelu_param { channel_shared: true }"});
  for (const bool in_place : {false, true}) {
    for (const Phase phase : {TRAIN, TEST}) {
      cases.push_back({"type: 'Dropout'", 1, 1, in_place, phase});
      cases.push_back({kBatchStatistics, 1, 1, in_place, phase});
    }
    cases.push_back({kGivenStatistics, 1, 1, in_place});
    cases.push_back({kScale, 1, 1, in_place});
    cases.push_back(
        {"type: 'Scale' scale_param { axis: 0 num_axes: 0 filler { value: 3 } }", 1, 1, in_place});
    cases.push_back({"type: 'Bias' bias_param { filler { type: 'uniform' } }", 1, 1, in_place});
    cases.push_back({"type: 'Enhancement'", 1, 1, in_place});
  }
  cases.push_back({"type: 'Enhancement'", 1, 2});
  for (const char* const pool : {"MAX", "AVE"}) {
    const std::string text = std::string("type: 'Pooling' pooling_param { pool: ") + pool;
    cases.push_back({text + " kernel_size: 3 stride: 2 }"});
    cases.push_back({text + " kernel_size: 2 stride: 1 pad: 1 }"});
    cases.push_back({text + " global_pooling: true }"});
  }
  cases.push_back({"type: 'LRN' lrn_param { local_size: 5 alpha: 0.5 beta: 0.75 k: 2 }"});
  cases.push_back({"type: 'LRN' lrn_param { local_size: 3 alpha: 0.1 beta: 0.6 }"});
  for (const char* const operation : {"SUM", "PROD", "MAX"}) {
    cases.push_back(
        {std::string("type: 'Eltwise' eltwise_param { operation: ") + operation + " }", 3});
  }
  cases.push_back({"type: 'Eltwise' eltwise_param { coeff: 2 coeff: -1 }", 2});
  cases.push_back({"type: 'Concat'", 3});
  cases.push_back({"type: 'Concat' concat_param { axis: 0 }", 2});
  cases.push_back({"type: 'Split'", 1, 3});
  return cases;
}

/// Layers, or parameters, for which the values are converted.
vector<Case> others() {
  return {{"type: 'Pooling' pooling_param { kernel_size: 3 stride: 2 }", 1, 2},
          {"type: 'Pooling' pooling_param { pool: STOCHASTIC kernel_size: 3 stride: 2 }"},
          {"type: 'LRN' lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 alpha: 0.5 }"},
          {"type: 'Scale' scale_param { axis: 2 filler { type: 'uniform' } }"},
          {"type: 'Scale' scale_param { axis: 0 filler { type: 'uniform' } }", 1, 1, true},
          {"type: 'Concat' concat_param { axis: 2 }", 2},
          {"type: 'MVN'"},
          {"type: 'Softmax'"},
          {"type: 'InnerProduct' inner_product_param { num_output: 4 weight_filler { type: "
           "'uniform' } }"},
          {"type: 'Convolution' convolution_param { num_output: 4 kernel_size: 1 engine: CAFFE "
           "weight_filler { type: 'uniform' } }"}};
}

const vector<vector<int>>& shapes() {
  static const vector<vector<int>> all = {{1, 67, 5, 7},  {33, 3, 3, 5},  {2, 1, 9, 7},
                                          {3, 67, 1, 1},  {5, 33, 7, 3},  {2, 8, 33, 2},
                                          {1, 300, 3, 3}, {1, 1100, 3, 3}};
  return all;
}

template <typename T>
class Pass {
 public:
  typedef std::vector<Blob<T>*> Blobs;

  /// One forward and one backward pass; with `last`, from bottoms and gradients that have their
  /// channels last and no plain values.
  Pass(const Case& one, const vector<int>& shape, bool last) : last_(last) {
    Caffe::set_random_seed(1701);
    LayerParameter param;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(one.text, &param)) << one.text;
    param.set_name("under_test");
    param.set_phase(one.phase);
    layer_ = LayerRegistry<T>::CreateLayer(param);
    for (int i = 0; i < one.bottoms; ++i) {
      const bool positive = one.text.find("STOCHASTIC") != std::string::npos;
      bottom_.push_back(add(shape));
      fill(bottom_.back()->mutable_cpu_data(), bottom_.back()->count(), positive ? 0.1 : -1);
    }
    for (int i = 0; i < one.tops; ++i) {
      top_.push_back(one.in_place && i == 0 ? bottom_[0] : add({}));
    }
    layer_->SetUp(bottom_, top_);
    for (const auto& blob : layer_->blobs()) {
      if (one.text == kGivenStatistics || one.phase == TEST) {
        fill(blob->mutable_cpu_data(), blob->count(), 0.5);
      }
    }
    for (Blob<T>* const blob : bottom_) turn_data(blob);
    Caffe::set_random_seed(3);
    int64_t before = reorder_count();
    layer_->Forward(bottom_, top_);
    conversions = reorder_count() - before;
    for (Blob<T>* const blob : top_) {
      orders.push_back(data_order(*blob));
      expected_orders.push_back(order_of(*blob));
      heads.push_back(blob->data()->head());
    }
    keep_data();
    for (Blob<T>* const blob : top_) {
      fill(blob->mutable_cpu_diff(), blob->count(), -1);
      turn_diff(blob);
    }
    for (size_t i = 0; i < layer_->blobs().size(); ++i) {
      Blob<T>* const blob = layer_->blobs()[i].get();
      std::fill_n(blob->mutable_cpu_diff(), blob->count(), T(0));
    }
    before = reorder_count();
    const bool down = one.text.find("propagate_down") == std::string::npos;
    layer_->Backward(top_, vector<bool>(bottom_.size(), down), bottom_);
    conversions += reorder_count() - before;
    for (Blob<T>* const blob : bottom_) {
      if (down) {
        orders.push_back(diff_order(*blob));
        expected_orders.push_back(order_of(*blob));
      }
      results.push_back(vector<T>(blob->cpu_diff(), blob->cpu_diff() + blob->count()));
    }
    for (const auto& blob : layer_->blobs()) {
      results.push_back(vector<T>(blob->cpu_diff(), blob->cpu_diff() + blob->count()));
      results.push_back(vector<T>(blob->cpu_data(), blob->cpu_data() + blob->count()));
    }
  }

  vector<vector<T>> results;
  vector<Order> orders;  // of the tops' data and the bottoms' gradients
  vector<Order> expected_orders;
  vector<SyncedMemory::SyncedHead> heads;
  int64_t conversions = 0;

 private:
  Order order_of(const Blob<T>& blob) const {
    return last_ && !is_order_free(blob.shape()) ? Order::kNhwc : Order::kNchw;
  }
  Blob<T>* add(const vector<int>& shape) {
    all_.push_back(std::make_shared<Blob<T>>(shape));
    return all_.back().get();
  }
  void fill(T* values, int count, double low) {
    std::uniform_real_distribution<double> uniform(low, 1);
    for (int i = 0; i < count; ++i) values[i] = static_cast<T>(uniform(random_));
  }
  void turn_data(Blob<T>* blob) {
    if (!last_) return;
    data_in(Order::kNhwc, *blob);
    mutable_data_in(Order::kNhwc, blob);
  }
  void turn_diff(Blob<T>* blob) {
    if (!last_) return;
    diff_in(Order::kNhwc, *blob);
    mutable_diff_in(Order::kNhwc, blob);
  }
  /// A look at the tops; in the other order it must change nothing.
  void keep_data() {
    for (Blob<T>* const blob : top_) {
      results.push_back(vector<T>(blob->cpu_data(), blob->cpu_data() + blob->count()));
    }
  }

  bool last_;
  std::mt19937 random_{5};
  shared_ptr<Layer<T>> layer_;
  vector<shared_ptr<Blob<T>>> all_;
  Blobs bottom_, top_;
};

template <typename T>
void expect_equal(const Pass<T>& found, const Pass<T>& expected) {
  const double tolerance = sizeof(T) == sizeof(float) ? 2e-6 : 1e-14;
  ASSERT_EQ(found.results.size(), expected.results.size());
  for (size_t k = 0; k < found.results.size(); ++k) {
    ASSERT_EQ(found.results[k].size(), expected.results[k].size());
    for (size_t i = 0; i < found.results[k].size(); ++i) {
      const double value = expected.results[k][i];
      ASSERT_NEAR(found.results[k][i], value, tolerance * std::max(1., std::abs(value)))
          << "result " << k << ", element " << i;
    }
  }
}

bool fits(const Case& one, const vector<int>& shape) {
  const bool is_window = one.text.find("kernel_size: 3") != std::string::npos;
  return !is_window || (shape[2] > 1 && shape[3] > 1);
}

class ChannelsLastFollowers : public GpuTest, public ::testing::WithParamInterface<Case> {
 protected:
  template <typename T>
  static void check(const Case& one) {
    for (const vector<int>& shape : shapes()) {
      if (!fits(one, shape)) continue;
      SCOPED_TRACE(std::string(sizeof(T) == sizeof(float) ? "float " : "double ") +
                   Blob<T>(shape).shape_string());
      const Pass<T> expected(one, shape, false), found(one, shape, true);
      expect_equal(found, expected);
      if (HasFatalFailure()) return;
      EXPECT_EQ(expected.orders, expected.expected_orders);
      // A bottom of one pixel, or of one channel, has no order that the layer could follow.
      if (is_order_free(shape)) continue;
      EXPECT_EQ(found.conversions, 0);
      EXPECT_EQ(found.orders, found.expected_orders);
      for (size_t i = 0; i < found.heads.size(); ++i) {
        if (found.orders[i] == Order::kNchw) continue;
        EXPECT_EQ(found.heads[i], SyncedMemory::HEAD_AT_FOREIGN) << "top " << i;
      }
    }
  }
};

TEST_P(ChannelsLastFollowers, GivesTheSameValues) {
  check<float>(GetParam());
  check<double>(GetParam());
}
INSTANTIATE_TEST_SUITE_P(All, ChannelsLastFollowers, ::testing::ValuesIn(followers()));

class ChannelsLastOthers : public ChannelsLastFollowers {};

TEST_P(ChannelsLastOthers, GivesTheSameValuesAfterAConversion) {
  const Case& one = GetParam();
  for (const vector<int>& shape : shapes()) {
    if (!fits(one, shape)) continue;
    SCOPED_TRACE(Blob<float>(shape).shape_string());
    const Pass<float> expected(one, shape, false), found(one, shape, true);
    expect_equal(found, expected);
    if (HasFatalFailure()) return;
    const bool is_by_channel = one.text.find("axis: 0") != std::string::npos && shape[0] == 1;
    if (!is_order_free(shape) && !is_by_channel) {
      EXPECT_GE(found.conversions, 1);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(All, ChannelsLastOthers, ::testing::ValuesIn(others()));

class ChannelsLastJoined : public ChannelsLastFollowers {
 protected:
  static void make(Blob<float>* blob, int seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (int i = 0; i < blob->count(); ++i) blob->mutable_cpu_data()[i] = uniform(random);
    for (int i = 0; i < blob->count(); ++i) blob->mutable_cpu_diff()[i] = uniform(random);
  }
  static void turn(Blob<float>* blob) {
    data_in(Order::kNhwc, *blob);
    mutable_data_in(Order::kNhwc, blob);
    diff_in(Order::kNhwc, *blob);
    mutable_diff_in(Order::kNhwc, blob);
  }
  static shared_ptr<Layer<float>> layer(const std::string& text) {
    LayerParameter param;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param));
    return LayerRegistry<float>::CreateLayer(param);
  }
};

/// Bottoms of different lengths, one of one channel, one plain.
TEST_F(ChannelsLastJoined, ConcatAndSliceUndoEachOther) {
  Blob<float> one(3, 1, 5, 7), five(3, 5, 5, 7), many(3, 40, 5, 7), joined, a, b, c;
  vector<vector<float>> values;
  const vector<Blob<float>*> blobs = {&one, &five, &many};
  for (size_t i = 0; i < blobs.size(); ++i) {
    make(blobs[i], static_cast<int>(i));
    values.emplace_back(blobs[i]->cpu_data(), blobs[i]->cpu_data() + blobs[i]->count());
  }
  turn(&many);
  const auto concat = layer("type: 'Concat'");
  const auto slice = layer("type: 'Slice' slice_param { slice_point: 1 slice_point: 6 }");
  const vector<Blob<float>*> middle = {&joined}, tops = {&a, &b, &c};
  concat->SetUp(blobs, middle);
  slice->SetUp(middle, tops);
  int64_t before = reorder_count();
  concat->Forward(blobs, middle);
  EXPECT_EQ(reorder_count() - before, 1) << "the plain one";
  EXPECT_EQ(data_order(joined), Order::kNhwc);
  slice->Forward(middle, tops);
  EXPECT_EQ(reorder_count() - before, 1);
  EXPECT_EQ(data_order(c), Order::kNhwc);
  for (size_t i = 0; i < tops.size(); ++i) {
    EXPECT_EQ(vector<float>(tops[i]->cpu_data(), tops[i]->cpu_data() + tops[i]->count()),
              values[i]);
    make(tops[i], static_cast<int>(i) + 10);
    values[i].assign(tops[i]->cpu_diff(), tops[i]->cpu_diff() + tops[i]->count());
  }
  before = reorder_count();
  slice->Backward(tops, {true}, middle);
  EXPECT_EQ(reorder_count() - before, 2) << "gradients of two tops";
  concat->Backward(middle, {true, true, true}, blobs);
  EXPECT_EQ(reorder_count() - before, 2);
  for (size_t i = 0; i < blobs.size(); ++i) {
    EXPECT_EQ(vector<float>(blobs[i]->cpu_diff(), blobs[i]->cpu_diff() + blobs[i]->count()),
              values[i]);
  }
}

TEST_F(ChannelsLastJoined, SumsBottomsInDifferentOrders) {
  Blob<float> a(3, 5, 5, 7), b(3, 5, 5, 7), c(3, 5, 5, 7), sum;
  const vector<Blob<float>*> bottoms = {&a, &b, &c};
  for (size_t i = 0; i < bottoms.size(); ++i) make(bottoms[i], static_cast<int>(i));
  const vector<float> first(a.cpu_data(), a.cpu_data() + a.count());
  turn(&b);
  const auto eltwise = layer("type: 'Eltwise'");
  eltwise->SetUp(bottoms, {&sum});
  for (const int last : {1, 2}) {
    if (last == 2) turn(&c);
    eltwise->Forward(bottoms, {&sum});
    EXPECT_EQ(data_order(sum), last == 2 ? Order::kNhwc : Order::kNchw) << last;
    for (int i = 0; i < sum.count(); ++i) {
      ASSERT_FLOAT_EQ(sum.cpu_data()[i], a.cpu_data()[i] + b.cpu_data()[i] + c.cpu_data()[i]);
    }
  }
  EXPECT_EQ(vector<float>(a.cpu_data(), a.cpu_data() + a.count()), first);
}

/// A gradient that arrives plain in a layer that works in place.
TEST_F(ChannelsLastJoined, ConvertsAPlainGradientBeforeItIsOverwritten) {
  for (const std::string text :
       {"type: 'ReLU'", "type: 'Dropout' phase: TEST", "type: 'Power' power_param { scale: 2 }",
        "type: 'Bias'", "type: 'Scale'",
        "type: 'BatchNorm' batch_norm_param { use_global_stats: true }"}) {
    SCOPED_TRACE(text);
    vector<vector<float>> found;
    for (const bool last : {false, true}) {
      Caffe::set_random_seed(4);
      Blob<float> blob(3, 5, 5, 7);
      make(&blob, 1);
      const auto in_place = layer(text);
      in_place->SetUp({&blob}, {&blob});
      if (last) turn(&blob);
      in_place->Forward({&blob}, {&blob});
      blob.mutable_gpu_diff();
      in_place->Backward({&blob}, {true}, {&blob});
      found.emplace_back(blob.cpu_diff(), blob.cpu_diff() + blob.count());
      EXPECT_EQ(diff_order(blob), last ? Order::kNhwc : Order::kNchw);
    }
    EXPECT_EQ(found[0], found[1]);
  }
}

}  // namespace
}  // namespace caffe
