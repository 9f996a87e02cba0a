// The GPU memory of nets with the channels last (caffe/util/value_order.hpp), counted by the shadow
// device.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "caffe/util/value_order.hpp"
#include "layers/channels_last_nets.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {
namespace {

class ChannelsLastMemory : public ChannelsLastNet {};

/// A blob has one copy, in the order in which it is used.
TEST_F(ChannelsLastMemory, TakesNoMoreMemoryThanAPlainOne) {
  int64_t used[2];
  for (const bool is_last : {false, true}) {
    const int64_t before = shadow::counts().memory_in_use;
    Net<float> net(parse("force_backward: true " + data(2, 67) + layer("ReLU", "data", "a") +
                             pool("a", "b") + lrn("b", "c") + layer("BatchNorm", "c", "d") +
                             layer("Scale", "d", "e", "scale_param { bias_term: true }") +
                             layer("Dropout", "e", "f") + layer("Enhancement", "f", "g"),
                         "Convolution"));
    Blob<float>& images = *net.blob_by_name("data");
    for (int iteration = 0; iteration < 2; ++iteration) {
      fill(&net, iteration);
      if (is_last) data_in(Order::kNhwc, images);
      net.Forward();
      Blob<float>& result = *net.blob_by_name("g");
      std::fill_n(result.mutable_cpu_diff(), result.count(), 1.f);
      net.Backward();
    }
    EXPECT_EQ(data_order(*net.blob_by_name("g")), is_last ? Order::kNhwc : Order::kNchw);
    EXPECT_EQ(diff_order(images), is_last ? Order::kNhwc : Order::kNchw);
    used[is_last] = shadow::counts().memory_in_use - before;
    // Both orders were asked for: of the images, and of the gradient that the test gives. The sums
    // of channels are for more parts.
    const int64_t both = sizeof(float) * (images.count() + net.blob_by_name("g")->count());
    const int64_t sums = 1 << 16;
    if (is_last) {
      EXPECT_LE(used[1], used[0] + both + sums);
    }
  }
}

TEST_F(ChannelsLastMemory, IsAllocatedInTheFirstTwoIterations) {
  for (const std::string& text : {alexnet(true), resnet(), inception()}) {
    Net<float> net(parse(text, "ChannelsLastConvolution"));
    for (int iteration = 0; iteration < 4; ++iteration) {
      const int64_t before = shadow::counts().allocations;
      fill(&net, iteration);
      net.ClearParamDiffs();
      net.Forward();
      net.Backward();
      if (iteration > 1) {
        EXPECT_EQ(shadow::counts().allocations, before);
      }
    }
  }
}

}  // namespace
}  // namespace caffe
