#include "layers/onednn/net_pair.hpp"

namespace caffe {

class OneDnnPooling : public OneDnn {
 protected:
  /// Pools a blob in oneDNN's layout; returns the number of conversions in both passes. With few
  /// different values, most windows contain equal ones.
  static int64_t compare(int channels, int height, int width, const std::string& rest, int steps) {
    SCOPED_TRACE(std::to_string(channels) + " channels of " + std::to_string(height) + " x " +
                 std::to_string(width) + ", " + rest);
    NetPair pair(input(2, channels, height, width) + conv("x", "a", channels, "kernel_size: 1") +
                 layer("Pooling", "a", "y", "pooling_param { " + rest + " }"));
    pair.make_identity("a");
    pair.fill_inputs(-1, 1, steps);
    const int64_t in_forward = pair.forward();
    const int64_t in_backward = pair.backward();
    pair.expect_equal();
    return in_forward + in_backward;
  }
};

TEST_F(OneDnnPooling, AgreesWithThePlainLayerOnAllBorders) {
  int exact = 0, cases = 0;
  for (const char* method : {"MAX", "AVE"}) {
    for (const int kernel : {2, 3}) {
      for (const int stride : {1, 2, 3}) {
        for (const int pad : {0, 1}) {
          for (const int size : {3, 6, 7}) {
            for (const char* rounding : {"CEIL", "FLOOR"}) {
              const std::string rest = std::string("pool: ") + method +
                                       " kernel_size: " + std::to_string(kernel) +
                                       " stride: " + std::to_string(stride) +
                                       " pad: " + std::to_string(pad) + " round_mode: " + rounding;
              const int64_t conversions = compare(16, size, size + 1, rest, 0);
              ++cases;
              // The input, twice, and the gradient that the test gives; more if the plain layer
              // computes.
              if (conversions <= 3) ++exact;
              const bool leaves_the_plane = kernel < stride && pad == 0;
              if (std::string(method) == "MAX" && !leaves_the_plane) {
                EXPECT_LE(conversions, 3) << rest;
              }
              if (HasFatalFailure()) return;
            }
          }
        }
      }
    }
  }
  EXPECT_GT(exact, cases * 3 / 4) << "the adapter serves most cases";
}

TEST_F(OneDnnPooling, TakesPaddedBlocks) {
  for (const int channels : {1, 3, 17, 40}) {
    compare(channels, 7, 7, "pool: MAX kernel_size: 3 stride: 2", 0);
    compare(channels, 7, 7, "pool: AVE kernel_size: 3 stride: 2", 0);
    compare(channels, 7, 6, "pool: AVE global_pooling: true", 0);
    compare(channels, 7, 6, "pool: MAX global_pooling: true", 0);
  }
}

TEST_F(OneDnnPooling, GivesTheGradientToTheFirstOfEqualValues) {
  for (const int kernel : {2, 3}) {
    for (const int pad : {0, 1}) {
      compare(16, 9, 9,
              "pool: MAX stride: 2 kernel_size: " + std::to_string(kernel) +
                  " pad: " + std::to_string(pad),
              3);
    }
  }
}

TEST_F(OneDnnPooling, TakesWindowsThatAreNotSquare) {
  compare(16, 9, 11, "pool: MAX kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 0",
          0);
  compare(16, 9, 11, "pool: AVE kernel_h: 3 kernel_w: 5 stride_h: 2 stride_w: 1 pad_h: 0 pad_w: 2",
          0);
  compare(16, 9, 11, "pool: AVE kernel_h: 2 kernel_w: 4 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 0",
          0);
}

TEST_F(OneDnnPooling, LeavesTheMaskToThePlainLayer) {
  NetPair pair(input(2, 16, 7, 7) + conv("x", "a", 16) +
               "layer { name: 'pool' type: 'Pooling' bottom: 'a' top: 'y' top: 'mask'"
               "  pooling_param { kernel_size: 3 stride: 2 } }");
  pair.run_and_compare();
}

}  // namespace caffe
