#ifndef TESTS_CPP_DEVICES_HPP_
#define TESTS_CPP_DEVICES_HPP_

// The number types and devices that typed tests run for, in the engine and in another Caffe.

#include <gtest/gtest.h>

#include "caffe/common.hpp"

/// One type of a typed test: `T` on the CPU or on the GPU. For layers with a field `engine`: the
/// plain layer, or what the default engine, a library, makes of it.
template <typename T, caffe::Caffe::Brew kMode, bool kByLibrary = false>
struct On {
  typedef T Dtype;
  static constexpr caffe::Caffe::Brew mode = kMode;
  static const char* engine() { return kByLibrary ? "DEFAULT" : "CAFFE"; }
};

#ifdef CPU_ONLY
typedef ::testing::Types<On<float, caffe::Caffe::CPU>, On<double, caffe::Caffe::CPU>>
    DtypesAndDevices;
typedef DtypesAndDevices DtypesDevicesAndEngines;
#elif defined(MAAP_SHADOW)  // the CPU's tests have run in a build without it
typedef ::testing::Types<On<float, caffe::Caffe::GPU>, On<double, caffe::Caffe::GPU>>
    DtypesAndDevices;
typedef ::testing::Types<On<float, caffe::Caffe::GPU>, On<double, caffe::Caffe::GPU>,
                         On<float, caffe::Caffe::GPU, true>, On<double, caffe::Caffe::GPU, true>>
    DtypesDevicesAndEngines;
#else
typedef ::testing::Types<On<float, caffe::Caffe::CPU>, On<double, caffe::Caffe::CPU>,
                         On<float, caffe::Caffe::GPU>, On<double, caffe::Caffe::GPU>>
    DtypesAndDevices;
/// With cuDNN too, where the build has it.
typedef ::testing::Types<On<float, caffe::Caffe::CPU>, On<double, caffe::Caffe::CPU>,
                         On<float, caffe::Caffe::GPU>, On<double, caffe::Caffe::GPU>,
                         On<float, caffe::Caffe::GPU, true>, On<double, caffe::Caffe::GPU, true>>
    DtypesDevicesAndEngines;
#endif

/// The base of a typed test: the mode of its type. Where there is no GPU, the GPU's are skipped.
template <typename TypeParam>
class DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (TypeParam::mode == caffe::Caffe::GPU && caffe::Caffe::FindDevice() < 0) {
      GTEST_SKIP() << "no GPU";
    }
    caffe::Caffe::set_mode(TypeParam::mode);
  }
  void TearDown() override { caffe::Caffe::set_mode(caffe::Caffe::CPU); }
};

#endif  // TESTS_CPP_DEVICES_HPP_
