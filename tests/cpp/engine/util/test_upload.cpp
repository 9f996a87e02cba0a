#include "caffe/util/upload.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "caffe/blob.hpp"
#include "fixtures.hpp"

namespace caffe {
namespace {

class UploadTest : public GpuTest {
 protected:
  static void fill(Upload* upload, int value, size_t count = 1000) {
    upload->clear();
    int* const host = reinterpret_cast<int*>(upload->host(count * sizeof(int)));
    for (size_t i = 0; i < count; ++i) host[i] = value + static_cast<int>(i);
  }
  /// Queues a copy of what was sent.
  static void take(Upload* upload, Blob<int>* to) {
    upload->receive();
    device::copy_async(to->mutable_gpu_data(), upload->lend_gpu(0).get(),
                       to->count() * sizeof(int));
    upload->give_back();
  }
  static void expect(Blob<int>* blob, int value) {
    const int* const values = blob->cpu_data();
    for (int i = 0; i < blob->count(); ++i) ASSERT_EQ(values[i], value + i);
  }
};

/// Nobody waits between the rounds, except where Upload does.
TEST_F(UploadTest, EachRoundFindsItsOwnBytes) {
  Upload uploads[2];
  for (int turn = 0; turn < 8; ++turn) {
    std::vector<std::unique_ptr<Blob<int>>> results;
    for (int round = 0; round < 6; ++round) {
      Upload& upload = uploads[round % 2];
      fill(&upload, 1000 * turn + 7 * round);
      upload.send();
      results.emplace_back(new Blob<int>({1000}));
      take(&upload, results.back().get());
    }
    for (int round = 0; round < 6; ++round) {
      expect(results[round].get(), 1000 * turn + 7 * round);
    }
  }
}

TEST_F(UploadTest, AThreadFillsAndAnotherComputes) {
  Upload upload;
  std::vector<std::unique_ptr<Blob<int>>> results;
  for (int round = 0; round < 30; ++round) {
    std::thread([&] {
      Caffe::set_mode(Caffe::GPU);
      fill(&upload, 100 * round);
      upload.send();
    }).join();
    results.emplace_back(new Blob<int>({1000}));
    take(&upload, results.back().get());
  }
  for (int round = 0; round < 30; ++round) expect(results[round].get(), 100 * round);
}

TEST_F(UploadTest, GrowsAndKeepsItsMemory) {
  Upload upload;
  Blob<int> small({10}), large({5000});
  upload.reserve(10 * sizeof(int));
  for (int round = 0; round < 4; ++round) {
    fill(&upload, round, 10);
    upload.send();
    take(&upload, &small);
    expect(&small, round);
    fill(&upload, 2 * round, 5000);
    upload.send();
    take(&upload, &large);
    expect(&large, 2 * round);
  }
  const void* const place = upload.lend_gpu(0).get();
  EXPECT_EQ(upload.lend_gpu(8).get(), static_cast<const char*>(place) + 8);
  upload.give_back();
  const char* const host = (upload.clear(), upload.host(5000 * sizeof(int)));
  EXPECT_EQ(upload.host(10), host);
  upload.send();
  EXPECT_EQ(upload.lend_gpu(0).get(), place);
  EXPECT_EQ(upload.lend_host(4).get(), host + 4);
}

TEST_F(UploadTest, LeavesItsMemoryToWhoHoldsIt) {
  Upload upload;
  fill(&upload, 5);
  upload.send();
  upload.receive();
  std::shared_ptr<void> owner = upload.lend_gpu(0), host_owner = upload.lend_host(0);
  const std::shared_ptr<void> holder = owner, host_holder = host_owner;
  upload.give_back();
  owner = host_owner = nullptr;
  Blob<int> next({1000}), held({1000});
  fill(&upload, 9);
  upload.send();
  EXPECT_NE(upload.lend_gpu(0), holder);
  take(&upload, &next);
  device::copy_async(held.mutable_gpu_data(), holder.get(), 1000 * sizeof(int));
  expect(&held, 5);
  expect(&next, 9);
  EXPECT_EQ(static_cast<int*>(host_holder.get())[3], 8);
}

}  // namespace
}  // namespace caffe
