#include "caffe/util/value_order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "caffe/util/device.hpp"
#include "caffe/util/reorder_count.hpp"
#include "fixtures.hpp"

namespace caffe {

TEST(ValueOrder, DescribesAShapeInBothOrders) {
  const vector<int> shape = {2, 3, 5, 7};
  EXPECT_EQ(strides_of(Order::kNchw, shape), (vector<int64_t>{105, 35, 7, 1}));
  EXPECT_EQ(strides_of(Order::kNhwc, shape), (vector<int64_t>{105, 1, 21, 3}));
  EXPECT_EQ(strides_of(Order::kNhwc, {2, 3, 4, 5, 7}), (vector<int64_t>{420, 1, 105, 21, 3}));
  EXPECT_EQ(strides_of(Order::kNhwc, {2, 3}), (vector<int64_t>{3, 1}));
  const ChannelShape plain = channels_of(Order::kNchw, shape);
  EXPECT_EQ(plain.outer, 2);
  EXPECT_EQ(plain.channels, 3);
  EXPECT_EQ(plain.inner, 35);
  const ChannelShape last = channels_of(Order::kNhwc, shape);
  EXPECT_EQ(last.outer, 70);
  EXPECT_EQ(last.channels, 3);
  EXPECT_EQ(last.inner, 1);
}

TEST(ValueOrder, IsTheSameForOneChannelOrOnePixel) {
  EXPECT_FALSE(is_order_free({2, 3, 5, 7}));
  EXPECT_FALSE(is_order_free({2, 3, 5}));
  EXPECT_TRUE(is_order_free({2, 1, 5, 7}));
  EXPECT_TRUE(is_order_free({2, 3, 1, 1}));
  EXPECT_TRUE(is_order_free({2, 3}));
  EXPECT_TRUE(is_order_free({}));
  EXPECT_TRUE(is_order_free({2, 0, 5, 7}));
}

TEST(ValueOrder, IsPlainInCpuMode) {
  Blob<float> blob(2, 3, 5, 7);
  EXPECT_EQ(data_order(blob), Order::kNchw);
  EXPECT_EQ(mutable_data_in(Order::kNchw, &blob), blob.cpu_data());
  EXPECT_EQ(data_in(Order::kNchw, blob), blob.cpu_data());
  EXPECT_EQ(mutable_diff_in(Order::kNchw, &blob), blob.cpu_diff());
  EXPECT_EQ(common_data_order<float>({&blob, &blob}), Order::kNchw);
}

/// On a GPU; skipped where there is none.
template <typename T>
class ChannelsLastTest : public GpuTest {
 protected:
  static T value(int i) { return static_cast<T>(i % 1009 + 1); }
  static void fill(Blob<T>* blob, int first = 0) {
    for (int i = 0; i < blob->count(); ++i) blob->mutable_cpu_data()[i] = value(first + i);
  }
  static vector<T> to_host(const T* values, int count) {
    vector<T> result(count);
    device::copy(result.data(), values, sizeof(T) * count);
    return result;
  }
  /// The values of fill() with the channels last.
  static vector<T> last(const vector<int>& shape, int first = 0) {
    const ChannelShape cut = channels_of(Order::kNchw, shape);
    vector<T> result;
    for (int n = 0; n < cut.outer; ++n) {
      for (int p = 0; p < cut.inner; ++p) {
        for (int c = 0; c < cut.channels; ++c) {
          result.push_back(value(first + (n * cut.channels + c) * cut.inner + p));
        }
      }
    }
    return result;
  }
  static void expect_plain(const Blob<T>& blob, int first = 0) {
    for (int i = 0; i < blob.count(); ++i) ASSERT_EQ(blob.cpu_data()[i], value(first + i)) << i;
  }
  static void expect_last(const Blob<T>& blob, int first = 0) {
    EXPECT_EQ(to_host(data_in(Order::kNhwc, blob), blob.count()), last(blob.shape(), first));
  }
  /// A blob whose only up-to-date values have the channels last.
  static void fill_last(Blob<T>* blob, int first = 0) {
    const vector<T> values = last(blob->shape(), first);
    device::copy(mutable_data_in(Order::kNhwc, blob), values.data(), sizeof(T) * values.size());
  }
};

typedef ::testing::Types<float, double> Floats;
TYPED_TEST_SUITE(ChannelsLastTest, Floats);

TYPED_TEST(ChannelsLastTest, ConvertsShapesOfAnySize) {
  for (const vector<int>& shape : {vector<int>{1, 2, 1, 2},
                                   {1, 3, 31, 33},
                                   {33, 67, 5, 7},
                                   {2, 32, 8, 4},
                                   {1, 5, 65},
                                   {3, 67, 2, 2},
                                   {2, 8, 8, 1},
                                   {2, 7, 7, 7},
                                   {1, 129, 3, 43},
                                   {2, 33, 2, 3, 11}}) {
    Blob<TypeParam> blob(shape), back(shape);
    this->fill(&blob);
    this->expect_last(blob);
    nhwc_to_nchw(shape, data_in(Order::kNhwc, blob), back.mutable_gpu_data());
    this->expect_plain(back);
    nhwc_to_nchw(shape, data_in(Order::kNhwc, blob), back.mutable_gpu_data(), true);
    for (int i = 0; i < back.count(); ++i) ASSERT_EQ(back.cpu_data()[i], 2 * this->value(i));
  }
}

TYPED_TEST(ChannelsLastTest, ConvertsOnceAndKeepsBoth) {
  Blob<TypeParam> blob(2, 3, 5, 7);
  this->fill(&blob);
  const int64_t before = reorder_count();
  EXPECT_EQ(data_order(blob), Order::kNchw);
  this->expect_last(blob);
  this->expect_last(blob);
  EXPECT_EQ(reorder_count() - before, 1);
  EXPECT_EQ(data_order(blob), Order::kNhwc);
  EXPECT_EQ(diff_order(blob), Order::kNchw);
  blob.gpu_data();
  this->expect_plain(blob);
  EXPECT_EQ(reorder_count() - before, 1) << "the plain values stayed up to date";
}

TYPED_TEST(ChannelsLastTest, GivesPlainValuesOnDemand) {
  Blob<TypeParam> blob(2, 3, 5, 7);
  this->fill_last(&blob);
  EXPECT_EQ(blob.data()->head(), SyncedMemory::HEAD_AT_FOREIGN);
  const int64_t before = reorder_count();
  EXPECT_EQ(this->to_host(blob.gpu_data(), 1)[0], this->value(0));
  EXPECT_EQ(blob.data()->head(), SyncedMemory::HEAD_AT_GPU);
  this->expect_plain(blob);
  EXPECT_EQ(blob.data()->head(), SyncedMemory::SYNCED);
  EXPECT_EQ(reorder_count() - before, 1);
  EXPECT_EQ(data_order(blob), Order::kNhwc) << "reading makes nothing stale";
}

/// Without plain memory on the GPU, which nobody asked for.
TYPED_TEST(ChannelsLastTest, GivesTheCpuItsValues) {
  Blob<TypeParam> blob(2, 3, 5, 7);
  this->fill_last(&blob);
  const int64_t before = reorder_count();
  this->expect_plain(blob);
  EXPECT_EQ(blob.data()->head(), SyncedMemory::HEAD_AT_CPU);
  EXPECT_EQ(reorder_count() - before, 1);
  EXPECT_EQ(data_order(blob), Order::kNhwc);
  EXPECT_EQ(this->to_host(blob.gpu_data(), 1)[0], this->value(0));
  EXPECT_EQ(blob.data()->head(), SyncedMemory::SYNCED);
  EXPECT_EQ(reorder_count() - before, 2) << "converted there, not copied over the bus";
  Caffe::set_mode(Caffe::CPU);
  EXPECT_EQ(data_order(blob), Order::kNchw);
  EXPECT_EQ(data_in(Order::kNchw, blob)[1], this->value(1));
}

/// Whatever writes the plain values, readers of the other order see it.
TYPED_TEST(ChannelsLastTest, NeverShowsStaleValues) {
  typedef TypeParam T;
  const vector<int> shape = {2, 3, 5, 7};
  for (const bool was_read : {false, true}) {
    Blob<T> source(shape), for_cpu(shape), for_gpu(shape), blob(shape);
    for (Blob<T>* const each : {&source, &for_cpu, &for_gpu}) this->fill(each, 1000);
    const auto start = [&] {
      this->fill_last(&blob);
      EXPECT_EQ(data_order(blob), Order::kNhwc);
      if (was_read) blob.gpu_data();
    };
    const auto expect_new = [&](const char* what) {
      SCOPED_TRACE(what);
      EXPECT_EQ(data_order(blob), Order::kNchw);
      this->expect_last(blob, 1000);
      this->expect_plain(blob, 1000);
    };
    start();
    T* const values = blob.mutable_gpu_data();
    device::copy(values, source.gpu_data(), sizeof(T) * blob.count());
    expect_new("mutable_gpu_data");
    start();
    std::copy(source.cpu_data(), source.cpu_data() + source.count(), blob.mutable_cpu_data());
    expect_new("mutable_cpu_data");
    start();
    blob.CopyFrom(source);
    expect_new("CopyFrom");
    start();
    blob.set_cpu_data(for_cpu.mutable_cpu_data());
    expect_new("set_cpu_data");
    start();
    blob.set_gpu_data(for_gpu.mutable_gpu_data());
    expect_new("set_gpu_data");
    start();
    blob.ShareData(source);
    expect_new("ShareData");
  }
}

TYPED_TEST(ChannelsLastTest, NewValuesMakeThePlainOnesStale) {
  Blob<TypeParam> blob(2, 3, 5, 7);
  this->fill(&blob, 5);
  blob.gpu_data();
  const void* const address = blob.cpu_data();
  this->fill_last(&blob, 77);
  this->expect_plain(blob, 77);
  EXPECT_EQ(blob.cpu_data(), address) << "pointers stay valid";
  EXPECT_EQ(this->to_host(blob.gpu_data(), 2)[1], this->value(78));
  // The same with a copy that was filled before.
  this->expect_last(blob, 77);
  this->fill_last(&blob, 99);
  EXPECT_EQ(this->to_host(blob.gpu_data(), 2)[1], this->value(100));
}

TYPED_TEST(ChannelsLastTest, BlobsOfOtherShapesThatShareSeeTheSameValues) {
  typedef TypeParam T;
  Blob<T> blob(2, 3, 5, 7), turned(2, 3, 7, 5), flat({2, 105});
  turned.ShareData(blob);
  flat.ShareData(blob);
  this->fill_last(&blob, 3);
  EXPECT_EQ(data_order(turned), Order::kNchw);
  EXPECT_EQ(data_order(flat), Order::kNchw);
  this->expect_last(turned, 3);
  this->expect_last(blob, 3);
  this->expect_plain(flat, 3);
  this->fill_last(&turned, 8);
  this->expect_last(blob, 8);
  this->expect_plain(flat, 8);
}

TYPED_TEST(ChannelsLastTest, FollowsChangesOfShape) {
  Blob<TypeParam> blob(3, 4, 5, 5);
  for (const int images : {3, 1, 5, 2}) {
    blob.Reshape({images, 4, 5, 5});
    this->fill_last(&blob, images);
    EXPECT_EQ(data_order(blob), Order::kNhwc);
    this->expect_plain(blob, images);
  }
  this->fill_last(&blob);
  blob.Reshape({1, 8, 5, 5});  // the same memory
  EXPECT_EQ(data_order(blob), Order::kNchw);
  this->expect_plain(blob);
}

TYPED_TEST(ChannelsLastTest, HasNoSecondCopyWhereBothOrdersAreTheSame) {
  for (const vector<int>& shape : {vector<int>{4, 1, 3, 5}, {4, 7, 1, 1}, {4, 7}}) {
    Blob<TypeParam> blob(shape);
    this->fill(&blob);
    const int64_t before = reorder_count();
    EXPECT_EQ(data_in(Order::kNhwc, blob), blob.gpu_data());
    EXPECT_EQ(mutable_data_in(Order::kNhwc, &blob), blob.gpu_data());
    EXPECT_EQ(data_order(blob), Order::kNchw);
    EXPECT_EQ(reorder_count(), before);
  }
}

TYPED_TEST(ChannelsLastTest, CombinesBlobsInTheOrderOfMost) {
  typedef TypeParam T;
  Blob<T> plain(2, 3, 5, 7), other(2, 3, 5, 7), last(2, 3, 5, 7), free(2, 1, 5, 7);
  this->fill_last(&last);
  EXPECT_EQ(common_data_order<T>({&plain, &last}), Order::kNhwc);
  EXPECT_EQ(common_data_order<T>({&last, &free, &plain}), Order::kNhwc);
  EXPECT_EQ(common_data_order<T>({&plain, &last, &other}), Order::kNchw);
  EXPECT_EQ(common_data_order<T>({&plain, &other}), Order::kNchw);
  EXPECT_EQ(common_data_order<T>({&free}), Order::kNchw);
}

TYPED_TEST(ChannelsLastTest, LosesNothingWhenMemoryEnds) {
  Blob<TypeParam> blob(2, 3, 5, 7);
  this->fill_last(&blob);
  const vector<int> huge = {1 << 20, 1 << 20, 1 << 20};
  EXPECT_ERROR(internal::write_nhwc(blob.data().get(), huge, type_of<TypeParam>()), "allocate");
  this->expect_last(blob);
  this->expect_plain(blob);
}

}  // namespace caffe
