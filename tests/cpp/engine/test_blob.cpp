#include "caffe/blob.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "caffe/util/math_functions.hpp"
#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

template <typename Dtype>
class BlobTest : public ::testing::Test {
 protected:
  BlobTest() : blob(2, 3, 4, 5) {
    Caffe::set_random_seed(1701);
    caffe_rng_uniform(120, Dtype(-1), Dtype(1), blob.mutable_cpu_data());
    caffe_rng_uniform(120, Dtype(-1), Dtype(1), blob.mutable_cpu_diff());
  }
  static vector<Dtype> data(const Blob<Dtype>& b) {
    return vector<Dtype>(b.cpu_data(), b.cpu_data() + b.count());
  }
  static vector<Dtype> diff(const Blob<Dtype>& b) {
    return vector<Dtype>(b.cpu_diff(), b.cpu_diff() + b.count());
  }
  static void count_up(Blob<Dtype>* b) {
    std::iota(b->mutable_cpu_data(), b->mutable_cpu_data() + b->count(), Dtype(0));
  }

  Blob<Dtype> blob;
};
TYPED_TEST_SUITE(BlobTest, Dtypes);

TYPED_TEST(BlobTest, Shape) {
  const auto& blob = this->blob;
  EXPECT_EQ(blob.num_axes(), 4);
  EXPECT_EQ(blob.count(), 120);
  EXPECT_EQ(blob.shape(), (vector<int>{2, 3, 4, 5}));
  EXPECT_EQ(blob.shape(1), 3);
  EXPECT_EQ(blob.shape(-1), 5);
  EXPECT_EQ(blob.shape_string(), "2 3 4 5 (120)");
  EXPECT_EQ(blob.count(1, 3), 12);
  EXPECT_EQ(blob.count(2), 20);
  EXPECT_EQ(blob.count(4), 1);
  EXPECT_EQ(blob.CanonicalAxisIndex(-4), 0);
  EXPECT_ERROR(blob.shape(4), "2 3 4 5");
  EXPECT_ERROR(blob.shape(-5), "axis -5");
  EXPECT_ERROR(blob.count(3, 2), "axes 3 to 2");
  EXPECT_ERROR(blob.count(0, 5), "axes 0 to 5");
}

TYPED_TEST(BlobTest, ScalarsAndEmptyBlobs) {
  Blob<TypeParam> scalar{vector<int>()};
  EXPECT_EQ(scalar.count(), 1);
  EXPECT_EQ(scalar.num_axes(), 0);
  EXPECT_EQ(scalar.cpu_data()[0], TypeParam(0));
  Blob<TypeParam> empty(vector<int>{0, 3});
  EXPECT_EQ(empty.count(), 0);
  EXPECT_NE(empty.cpu_data(), nullptr);
  EXPECT_EQ(empty.asum_data(), TypeParam(0));
  Blob<TypeParam> shapeless;
  EXPECT_EQ(shapeless.count(), 0);
  EXPECT_ERROR(shapeless.cpu_data(), "never got a shape");
}

TYPED_TEST(BlobTest, ImpossibleShapesAreErrorsAndChangeNothing) {
  auto& blob = this->blob;
  EXPECT_ERROR(blob.Reshape({65536, 65536}), "65536 65536");
  EXPECT_ERROR(blob.Reshape({2, -1}), "-1 is not a length");
  EXPECT_ERROR(blob.Reshape(vector<int>(33, 1)), "33 axes");
  BlobShape huge;
  huge.add_dim(int64_t(1) << 40);
  EXPECT_ERROR(blob.Reshape(huge), "1099511627776");
  EXPECT_EQ(blob.shape_string(), "2 3 4 5 (120)");
  EXPECT_EQ(blob.count(), 120);
  blob.Reshape(vector<int>(32, 1));
  EXPECT_EQ(blob.count(), 1);
}

TYPED_TEST(BlobTest, ReshapingKeepsMemoryUnlessItMustGrow) {
  auto& blob = this->blob;
  const TypeParam* before = blob.cpu_data();
  const TypeParam first = before[0];
  blob.Reshape({6, 5});
  EXPECT_EQ(blob.cpu_data(), before);
  blob.Reshape(120, 1, 1, 1);
  EXPECT_EQ(blob.cpu_data(), before);
  EXPECT_EQ(blob.cpu_data()[0], first);
  blob.Reshape({121});
  for (int i = 0; i < 121; ++i) EXPECT_EQ(blob.cpu_data()[i], TypeParam(0));
}

TYPED_TEST(BlobTest, LegacyShape) {
  Blob<TypeParam> two(vector<int>{6, 7});
  EXPECT_EQ(two.num(), 6);
  EXPECT_EQ(two.channels(), 7);
  EXPECT_EQ(two.height(), 1);
  EXPECT_EQ(two.width(), 1);
  EXPECT_EQ(two.LegacyShape(-1), 7);
  EXPECT_EQ(two.LegacyShape(-3), 1);
  EXPECT_ERROR(two.LegacyShape(4), "legacy axis 4");
  Blob<TypeParam> five(vector<int>(5, 2));
  EXPECT_ERROR(five.num(), "5 axes");
}

TYPED_TEST(BlobTest, Offsets) {
  auto& blob = this->blob;
  this->count_up(&blob);
  EXPECT_EQ(blob.offset(1, 2, 3, 4), 119);
  EXPECT_EQ(blob.offset(1), 60);
  EXPECT_EQ(blob.offset({0, 1}), 20);
  EXPECT_EQ(blob.data_at(0, 1, 2, 3), TypeParam(33));
  EXPECT_EQ(blob.data_at({1, 0, 0, 1}), TypeParam(61));
  EXPECT_EQ(blob.diff_at(1, 2, 3, 4), blob.cpu_diff()[119]);
  EXPECT_ERROR(blob.offset(-1), "2 3 4 5");
  EXPECT_ERROR(blob.offset(3), "2 3 4 5");
  EXPECT_ERROR(blob.offset(0, 4), "(0, 4, 0, 0)");
  EXPECT_ERROR(blob.offset({0, 3}), "(0 3)");
  EXPECT_ERROR(blob.offset({0, 0, 0, 0, 0}), "5 indices");
}

/// Code that steps through a blob asks for offsets one past an axis, and before a window's edge.
TYPED_TEST(BlobTest, OffsetsThatStep) {
  const Blob<TypeParam> one(vector<int>{2, 1, 4, 5});
  EXPECT_EQ(one.offset(0, 1), 20);
  EXPECT_EQ(one.offset(2), 40);
  EXPECT_EQ(one.offset(1, 1, 4, 5), 65);
  EXPECT_EQ(one.offset(0, 0, -1, 2), -3);
  const Blob<TypeParam> row(vector<int>{2, 3});
  EXPECT_EQ(row.offset(0, 1, 1, 1), 3);  // ((0 + 1) 1 + 1) 1 + 1
  EXPECT_ERROR(row.offset(0, 0, 2), "(0, 0, 2, 0)");
}

TYPED_TEST(BlobTest, NothingOutsideIsRead) {
  auto& blob = this->blob;
  this->count_up(&blob);
  EXPECT_EQ(blob.data_at(0, 3, 0, 0), TypeParam(60));  // as in Caffe, the next image's first value
  EXPECT_ERROR(blob.data_at(2, 0, 0, 0), "2 3 4 5");
  EXPECT_ERROR(blob.data_at(1, 3, 0, 0), "(1, 3, 0, 0)");
  EXPECT_ERROR(blob.diff_at(0, 0, -1, 0), "(0, 0, -1, 0)");
}

TYPED_TEST(BlobTest, Sums) {
  const auto& blob = this->blob;
  double asum = 0, sumsq = 0, dot = 0, asum_diff = 0, sumsq_diff = 0;
  for (int i = 0; i < 120; ++i) {
    const double x = blob.cpu_data()[i], d = blob.cpu_diff()[i];
    asum += std::fabs(x);
    sumsq += x * x;
    dot += x * d;
    asum_diff += std::fabs(d);
    sumsq_diff += d * d;
  }
  EXPECT_NEAR(blob.asum_data(), asum, 1e-4);
  EXPECT_NEAR(blob.sumsq_data(), sumsq, 1e-4);
  EXPECT_NEAR(blob.dot_data_diff(), dot, 1e-4);
  EXPECT_NEAR(blob.asum_diff(), asum_diff, 1e-4);
  EXPECT_NEAR(blob.sumsq_diff(), sumsq_diff, 1e-4);
}

TYPED_TEST(BlobTest, ScaleAndUpdate) {
  auto& blob = this->blob;
  const auto data = this->data(blob), diff = this->diff(blob);
  blob.scale_data(2);
  blob.scale_diff(TypeParam(0.5));
  blob.Update();
  for (int i = 0; i < 120; ++i) {
    EXPECT_NEAR(blob.cpu_data()[i], 2 * data[i] - diff[i] / 2, 1e-6);
    EXPECT_EQ(blob.cpu_diff()[i], diff[i] / 2);
  }
}

TYPED_TEST(BlobTest, CopyFrom) {
  Blob<TypeParam> copy(vector<int>{120});
  EXPECT_ERROR(copy.CopyFrom(this->blob), "2 3 4 5 (120)");
  copy.CopyFrom(this->blob, false, true);
  EXPECT_EQ(copy.shape(), this->blob.shape());
  EXPECT_EQ(this->data(copy), this->data(this->blob));
  EXPECT_NE(this->diff(copy), this->diff(this->blob));
  copy.CopyFrom(this->blob, true);
  EXPECT_EQ(this->diff(copy), this->diff(this->blob));
  copy.mutable_cpu_data()[0] = 99;
  EXPECT_NE(this->blob.cpu_data()[0], TypeParam(99));
}

TYPED_TEST(BlobTest, SharesMemory) {
  Blob<TypeParam> other(vector<int>{120});
  other.ShareData(this->blob);
  other.ShareDiff(this->blob);
  other.mutable_cpu_data()[3] = 99;
  other.mutable_cpu_diff()[3] = 98;
  EXPECT_EQ(this->blob.cpu_data()[3], TypeParam(99));
  EXPECT_EQ(this->blob.cpu_diff()[3], TypeParam(98));
  Blob<TypeParam> small(vector<int>{119});
  EXPECT_ERROR(small.ShareData(this->blob), "119 (119)");
  EXPECT_ERROR(small.ShareDiff(this->blob), "119 (119)");
}

TYPED_TEST(BlobTest, GrowsOutOfASmallerSharedMemory) {
  Blob<TypeParam> other(vector<int>{1000}), small(vector<int>{10});
  other.Reshape({10});
  other.ShareData(small);
  other.Reshape({1000});  // it was once this large, but the shared memory is not
  EXPECT_EQ(other.data()->size(), 1000 * sizeof(TypeParam));
  EXPECT_NE(other.cpu_data(), small.cpu_data());
}

TYPED_TEST(BlobTest, UsesTheCallersMemory) {
  vector<TypeParam> mine(120, 5);
  this->blob.set_cpu_data(mine.data());
  EXPECT_EQ(this->blob.cpu_data(), mine.data());
  this->blob.mutable_cpu_data()[1] = 6;
  EXPECT_EQ(mine[1], TypeParam(6));
  this->blob.Reshape({60});
  vector<TypeParam> less(60, 4);
  this->blob.set_cpu_data(less.data());
  EXPECT_EQ(this->blob.asum_data(), TypeParam(240));
  this->blob.Reshape({120});  // must not take 60 values for 120
  EXPECT_NE(this->blob.cpu_data(), less.data());
}

TYPED_TEST(BlobTest, ActiveDataFollowsTheMode) {
  EXPECT_EQ(this->blob.active_data(), this->blob.cpu_data());
  EXPECT_EQ(this->blob.active_diff(), this->blob.cpu_diff());
  EXPECT_EQ(this->blob.mutable_active_data(), this->blob.cpu_data());
  EXPECT_EQ(this->blob.mutable_active_diff(), this->blob.cpu_diff());
}

TYPED_TEST(BlobTest, ProtoRoundTrip) {
  BlobProto proto;
  this->blob.ToProto(&proto, true);
  EXPECT_EQ(proto.data_size(), sizeof(TypeParam) == 4 ? 120 : 0);
  EXPECT_EQ(proto.double_data_size(), sizeof(TypeParam) == 4 ? 0 : 120);
  EXPECT_FALSE(proto.has_num());
  Blob<TypeParam> read;
  read.FromProto(proto);
  EXPECT_EQ(read.shape(), this->blob.shape());
  EXPECT_EQ(this->data(read), this->data(this->blob));
  EXPECT_EQ(this->diff(read), this->diff(this->blob));
  this->blob.ToProto(&proto);
  EXPECT_EQ(proto.diff_size() + proto.double_diff_size(), 0);
  // The other precision reads it as well.
  Blob<float> as_float;
  as_float.FromProto(proto);
  Blob<double> as_double;
  as_double.FromProto(proto);
  EXPECT_EQ(as_float.cpu_data()[7], static_cast<float>(this->blob.cpu_data()[7]));
  EXPECT_EQ(as_double.cpu_data()[7], static_cast<double>(this->blob.cpu_data()[7]));
}

TYPED_TEST(BlobTest, ReadsLegacyShapes) {
  BlobProto old;
  old.set_num(1);
  old.set_channels(1);
  old.set_height(1);
  old.set_width(3);
  for (const float v : {1, 2, 3}) old.add_data(v);
  Blob<TypeParam> bias(vector<int>{3});
  EXPECT_TRUE(bias.ShapeEquals(old));
  bias.FromProto(old, false);
  EXPECT_EQ(bias.shape(), (vector<int>{3}));
  EXPECT_EQ(bias.cpu_data()[2], TypeParam(3));
  bias.FromProto(old);
  EXPECT_EQ(bias.shape(), (vector<int>{1, 1, 1, 3}));
  EXPECT_FALSE(Blob<TypeParam>(vector<int>{3, 1}).ShapeEquals(old));
  EXPECT_FALSE(Blob<TypeParam>(vector<int>{1, 1, 1, 1, 3}).ShapeEquals(old));
  EXPECT_TRUE(Blob<TypeParam>(vector<int>{1, 3}).ShapeEquals(old));
}

TYPED_TEST(BlobTest, DamagedProtosAreErrors) {
  BlobProto proto;
  proto.mutable_shape()->add_dim(1 << 20);
  proto.mutable_shape()->add_dim(1 << 10);
  proto.add_data(1);
  Blob<TypeParam> blob(vector<int>{2});
  EXPECT_ERROR(blob.FromProto(proto), "must have 1073741824 values; it has 1");
  proto.mutable_shape()->add_dim(1 << 10);
  EXPECT_ERROR(blob.FromProto(proto), "more than 2147483647");
  proto.mutable_shape()->Clear();
  proto.mutable_shape()->add_dim(-1);
  EXPECT_ERROR(blob.FromProto(proto), "-1 is not a length");
  EXPECT_EQ(blob.shape_string(), "2 (2)");
  proto.mutable_shape()->set_dim(0, 1);
  EXPECT_ERROR(blob.FromProto(proto, false), "does not fit one of shape 2 (2)");
  proto.add_diff(1);
  proto.add_diff(1);
  EXPECT_ERROR(blob.FromProto(proto), "1 diff values and has 2");
}

TEST(IntBlob, HoldsDataOnly) {
  Blob<int> blob(vector<int>{4});
  blob.mutable_cpu_data()[2] = 5;
  Blob<int> copy;
  copy.CopyFrom(blob, false, true);
  EXPECT_EQ(copy.cpu_data()[2], 5);
  BlobProto proto;
  EXPECT_ERROR(blob.asum_data(), "integers");
  EXPECT_ERROR(blob.Update(), "integers");
  EXPECT_ERROR(blob.scale_diff(2), "integers");
  EXPECT_ERROR(blob.ToProto(&proto), "integers");
}

}  // namespace caffe
