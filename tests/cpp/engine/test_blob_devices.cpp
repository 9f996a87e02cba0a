// What a Blob computes and copies, with its values on the device of the mode.

#include <algorithm>
#include <cmath>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/util/math_functions.hpp"
#include "tests/cpp/devices.hpp"
#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

template <typename TypeParam>
class BlobOnDevice : public DeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  void SetUp() override {
    DeviceTest<TypeParam>::SetUp();
    if (this->IsSkipped()) return;
    blob.Reshape({5, 7, 11});
    for (int i = 0; i < blob.count(); ++i) {
      blob.mutable_cpu_data()[i] = data.emplace_back(Dtype(i % 17 - 8) / 4);
      blob.mutable_cpu_diff()[i] = diff.emplace_back(Dtype(i % 13 - 5) / 2);
    }
    to_device(&blob);
  }
  /// The newest values are then where the mode computes.
  static void to_device(Blob<Dtype>* b) {
    b->mutable_active_data();
    b->mutable_active_diff();
  }
  static std::vector<Dtype> data_of(const Blob<Dtype>& b) {
    return std::vector<Dtype>(b.cpu_data(), b.cpu_data() + b.count());
  }
  static std::vector<Dtype> diff_of(const Blob<Dtype>& b) {
    return std::vector<Dtype>(b.cpu_diff(), b.cpu_diff() + b.count());
  }

  Blob<Dtype> blob;
  std::vector<Dtype> data, diff;
};
TYPED_TEST_SUITE(BlobOnDevice, DtypesAndDevices);

TYPED_TEST(BlobOnDevice, Sums) {
  double asum = 0, sumsq = 0, asum_diff = 0, sumsq_diff = 0;
  for (size_t i = 0; i < this->data.size(); ++i) {
    asum += std::fabs(this->data[i]);
    sumsq += this->data[i] * this->data[i];
    asum_diff += std::fabs(this->diff[i]);
    sumsq_diff += this->diff[i] * this->diff[i];
  }
  EXPECT_NEAR(this->blob.asum_data(), asum, 1e-3);
  EXPECT_NEAR(this->blob.sumsq_data(), sumsq, 1e-3);
  EXPECT_NEAR(this->blob.asum_diff(), asum_diff, 1e-3);
  EXPECT_NEAR(this->blob.sumsq_diff(), sumsq_diff, 1e-3);
}

TYPED_TEST(BlobOnDevice, ScaleAndUpdate) {
  this->blob.scale_data(2);
  this->blob.scale_diff(0.5);
  this->blob.Update();
  for (size_t i = 0; i < this->data.size(); ++i) {
    ASSERT_NEAR(this->blob.cpu_data()[i], 2 * this->data[i] - this->diff[i] / 2, 1e-6);
    ASSERT_EQ(this->blob.cpu_diff()[i], this->diff[i] / 2);
  }
}

TYPED_TEST(BlobOnDevice, CopyFrom) {
  Blob<typename TypeParam::Dtype> copy;
  copy.CopyFrom(this->blob, false, true);
  copy.CopyFrom(this->blob, true);
  EXPECT_EQ(this->data_of(copy), this->data);
  EXPECT_EQ(this->diff_of(copy), this->diff);
  copy.scale_data(3);
  EXPECT_EQ(this->data_of(this->blob), this->data);
}

TYPED_TEST(BlobOnDevice, SharesMemory) {
  typedef typename TypeParam::Dtype Dtype;
  Blob<Dtype> other(this->blob.shape());
  other.ShareData(this->blob);
  other.ShareDiff(this->blob);
  other.scale_data(2);
  other.mutable_cpu_diff()[3] = 98;
  for (size_t i = 0; i < this->data.size(); ++i) {
    ASSERT_EQ(this->blob.cpu_data()[i], 2 * this->data[i]);
  }
  this->blob.scale_diff(2);
  EXPECT_EQ(other.cpu_diff()[3], Dtype(196));
}

TYPED_TEST(BlobOnDevice, TakesTheCallersMemory) {
  typedef typename TypeParam::Dtype Dtype;
  std::vector<Dtype> mine(this->blob.count(), 5);
  this->blob.set_cpu_data(mine.data());
  this->blob.scale_data(2);
  EXPECT_EQ(this->blob.cpu_data(), mine.data());
  EXPECT_EQ(mine, std::vector<Dtype>(mine.size(), 10));
}

TYPED_TEST(BlobOnDevice, ComesBackFromAProto) {
  BlobProto proto;
  this->blob.ToProto(&proto, true);
  Blob<typename TypeParam::Dtype> read;
  read.FromProto(proto);
  this->to_device(&read);
  EXPECT_EQ(this->data_of(read), this->data);
  EXPECT_EQ(this->diff_of(read), this->diff);
}

/// Values alternate between the CPU and the device; each side sees what the other wrote last. The
/// blob is large, and the rounds are many, enough for memory that is pinned meanwhile.
TYPED_TEST(BlobOnDevice, ValuesGoToAndFro) {
  typedef typename TypeParam::Dtype Dtype;
  Blob<Dtype> large(std::vector<int>{40000});
  for (int round = 0; round < 24; ++round) {
    Dtype* const values = large.mutable_cpu_data();
    for (int i = 0; i < large.count(); ++i) values[i] = Dtype((i + round) % 19);
    large.scale_data(2);
    if (round % 3 == 0) {  // the upload of the values above may still wait
      Dtype* const changed = large.mutable_cpu_data();
      for (int i = 0; i < large.count(); ++i) changed[i] += 1;
      large.scale_data(2);
    }
    const Dtype* const read = large.cpu_data();
    for (int i = 0; i < large.count(); ++i) {
      const int once = 2 * ((i + round) % 19);
      ASSERT_EQ(read[i], round % 3 == 0 ? 2 * (once + 1) : once) << "round " << round;
    }
  }
}

/// Values that only go to the device: what the CPU writes next must not overtake them.
TYPED_TEST(BlobOnDevice, WritingAgainDoesNotChangeWhatWasUploaded) {
  typedef typename TypeParam::Dtype Dtype;
  Blob<Dtype> large(std::vector<int>{40000}), sums(std::vector<int>{40000});
  sums.scale_data(0);
  for (int round = 0; round < 6; ++round) {
    Dtype* const values = large.mutable_cpu_data();
    std::fill_n(values, large.count(), Dtype(1 << round));
    if (TypeParam::mode == Caffe::GPU) {
      caffe_gpu_add(large.count(), large.gpu_data(), sums.gpu_data(), sums.mutable_gpu_data());
    } else {
      caffe_add(large.count(), large.cpu_data(), sums.cpu_data(), sums.mutable_cpu_data());
    }
  }
  for (int i = 0; i < sums.count(); ++i) ASSERT_EQ(sums.cpu_data()[i], Dtype(63));
}

}  // namespace caffe
