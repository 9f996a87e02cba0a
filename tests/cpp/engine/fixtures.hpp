#ifndef TESTS_CPP_ENGINE_FIXTURES_HPP_
#define TESTS_CPP_ENGINE_FIXTURES_HPP_

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "caffe/common.hpp"

namespace caffe {

/// The two types that layers are built for.
typedef ::testing::Types<float, double> Dtypes;

/// The message of the Error that `call` throws; "" if it throws none.
inline std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// In GPU mode; skipped where there is no GPU.
class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Caffe::FindDevice() < 0) GTEST_SKIP() << "no GPU";
    Caffe::set_mode(Caffe::GPU);
  }
  void TearDown() override { Caffe::set_mode(Caffe::CPU); }
};

/// call must throw an Error whose message contains `part`.
#define EXPECT_ERROR(call, part)                                                \
  do {                                                                          \
    const std::string caffe_message = ::caffe::error_of([&] { call; });         \
    EXPECT_PRED2(::caffe::contains, caffe_message, std::string(part)) << #call; \
  } while (false)

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_FIXTURES_HPP_
