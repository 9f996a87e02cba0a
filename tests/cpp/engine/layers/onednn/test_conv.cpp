#include "layers/onednn/net_pair.hpp"

namespace caffe {

class OneDnnConvolution : public OneDnn {
 protected:
  static void expect_as_plain(int channels, int size, int outputs, const std::string& rest) {
    SCOPED_TRACE(std::to_string(channels) + " channels of " + std::to_string(size) + ", " +
                 std::to_string(outputs) + " outputs, " + rest);
    NetPair pair(input(2, channels, size, size + 2) + conv("x", "y", outputs, rest));
    pair.run_and_compare();
  }
};

TEST_F(OneDnnConvolution, AgreesWithThePlainLayer) {
  // Few channels, full blocks, and padded blocks.
  for (const int channels : {1, 3, 16, 20, 33}) {
    for (const int outputs : {1, 16, 37}) {
      expect_as_plain(channels, 9, outputs, "kernel_size: 3 pad: 1");
      expect_as_plain(channels, 7, outputs, "kernel_size: 1");
    }
  }
  expect_as_plain(16, 12, 32, "kernel_size: 5 stride: 2 pad: 2");
  expect_as_plain(3, 23, 24, "kernel_size: 11 stride: 4");
  expect_as_plain(16, 11, 16, "kernel_h: 1 kernel_w: 5 pad_h: 0 pad_w: 2 stride_h: 2 stride_w: 1");
  expect_as_plain(16, 8, 16, "kernel_size: 1 stride: 2");  // the last row is not read
  expect_as_plain(16, 10, 16, "kernel_size: 3 stride: 3 bias_term: false");
  expect_as_plain(16, 5, 16, "kernel_size: 3 pad: 3");
}

/// Large enough for Winograd's algorithm, with widths that tiles do not divide.
TEST_F(OneDnnConvolution, AgreesForWinogradsAlgorithm) {
  SKIP_WITHOUT_BLOCKS();
  for (const int images : {5, 6, 8}) {
    SCOPED_TRACE(std::to_string(images) + " images");
    const std::string rest =
        images == 6 ? "kernel_size: 3 bias_term: false" : "kernel_size: 3 pad: 1";
    NetPair pair(input(images, 3, 62, 59) + conv("x", "a", 32) + conv("a", "y", 32, rest));
    EXPECT_EQ(pair.forward(), 0);
    EXPECT_EQ(pair.backward(), 1) << "the gradient that the test gives is plain";
    pair.backward();
    pair.expect_equal();
  }
}

TEST_F(OneDnnConvolution, AgreesForWinogradsAlgorithmWithGroupsAndWindowsOf5) {
  SKIP_WITHOUT_BLOCKS();
  for (const std::string rest :
       {"kernel_size: 5 pad: 2 group: 2", "kernel_size: 5 pad: 1 bias_term: false",
        "kernel_size: 3 pad: 1 group: 3", "kernel_size: 3 pad_h: 2 pad_w: 0"}) {
    SCOPED_TRACE(rest);
    NetPair pair(input(3, 3, 19, 26) + conv("x", "a", 96) + conv("a", "y", 96, rest));
    EXPECT_EQ(pair.forward(), 0);
    pair.backward();
    EXPECT_EQ(pair.backward(), 1) << "the gradient that the test gives is plain";
    pair.expect_equal();
  }
}

/// Of the images of one of these sizes only the gradient of the weights is worth the algorithm,
/// with blocks of 8 channels of the first and with blocks of 16 of the second.
TEST_F(OneDnnConvolution, AgreesIfOnlySomePassesUseWinogradsAlgorithm) {
  SKIP_WITHOUT_BLOCKS();
  for (const int size : {14, 15}) {
    SCOPED_TRACE(std::to_string(size));
    NetPair pair(input(1, 3, size, size) + conv("x", "a", 16) + conv("a", "y", 16));
    EXPECT_EQ(pair.forward(), 0);
    pair.backward();
    EXPECT_EQ(pair.backward(), 1);
    pair.expect_equal();
  }
}

TEST_F(OneDnnConvolution, LearnsOnlyWhatItShouldByWinogradsAlgorithm) {
  for (const std::string frozen : {"param { lr_mult: 0 }", "param { } param { lr_mult: 0 }",
                                   "param { lr_mult: 0 } param { lr_mult: 0 }"}) {
    SCOPED_TRACE(frozen);
    NetPair pair(input(2, 3, 20, 20) + conv("x", "a", 16) +
                 layer("Convolution", "a", "y",
                       frozen + " convolution_param { num_output: 16 kernel_size: 3 }"));
    pair.run_and_compare();
  }
}

/// Few and many channels, of which the engine's own code takes another choice of gradients.
TEST_F(OneDnnConvolution, AgreesForWindowsOf1) {
  for (const int channels : {32, 512}) {
    for (const std::string rest :
         {"", "bias_term: false", "stride: 2", "stride: 3 bias_term: false", "dilation: 2",
          "stride_h: 1 stride_w: 2", "pad: 1", "group: 2"}) {
      SCOPED_TRACE(std::to_string(channels) + " channels, " + rest);
      NetPair pair(input(3, 3, 15, 12) + conv("x", "a", channels, "kernel_size: 1") +
                   conv("a", "b", 80, "kernel_size: 1 " + rest) +
                   conv("b", "y", 48, "kernel_size: 1"));
      pair.run_and_compare();
    }
  }
}

TEST_F(OneDnnConvolution, LearnsOnlyWhatItShouldWithWindowsOf1) {
  for (const std::string frozen : {"param { lr_mult: 0 }", "param { } param { lr_mult: 0 }",
                                   "param { lr_mult: 0 } param { lr_mult: 0 }"}) {
    SCOPED_TRACE(frozen);
    NetPair pair(input(2, 512, 6, 7) +
                 layer("Convolution", "x", "y",
                       frozen + " convolution_param { num_output: 32 kernel_size: 1 stride: 2 }"));
    pair.run_and_compare();
  }
}

TEST_F(OneDnnConvolution, TakesDilationsAndGroups) {
  expect_as_plain(16, 11, 16, "kernel_size: 3 dilation: 2 pad: 2");
  expect_as_plain(20, 11, 12, "kernel_size: 3 dilation: 3 stride: 2");
  expect_as_plain(32, 9, 64, "kernel_size: 3 pad: 1 group: 2");
  expect_as_plain(32, 9, 32, "kernel_size: 3 pad: 1 group: 32");
  expect_as_plain(12, 9, 24, "kernel_size: 3 pad: 1 group: 12");
  expect_as_plain(18, 9, 27, "kernel_size: 3 pad: 1 group: 9 bias_term: false");
  expect_as_plain(6, 9, 4, "kernel_size: 3 pad: 1 group: 2");
}

TEST_F(OneDnnConvolution, ComputesNoUnneededGradients) {
  for (const std::string frozen : {"param { lr_mult: 0 }", "param { } param { lr_mult: 0 }",
                                   "param { lr_mult: 0 } param { lr_mult: 0 }"}) {
    NetPair pair(input(2, 16, 6, 6) +
                 layer("Convolution", "x", "y",
                       frozen + " convolution_param { num_output: 16 kernel_size: 3 }"));
    pair.run_and_compare();
  }
}

TEST_F(OneDnnConvolution, ServesSeveralBottomsWithOneSetOfWeights) {
  NetPair pair(
      "layer { name: 'input' type: 'Input' top: 'a' top: 'b' input_param {"
      "  shape { dim: 2 dim: 16 dim: 5 dim: 5 } } }"
      "layer { name: 'conv' type: 'Convolution' bottom: 'a' bottom: 'b' top: 'c' top: 'd'"
      "  convolution_param { num_output: 20 kernel_size: 3 } }");
  pair.run_and_compare();
}

TEST_F(OneDnnConvolution, SeesWeightsThatTheProgramChanges) {
  NetPair pair(input(1, 16, 5, 5) + conv("x", "y", 16));
  float* const mine = pair.net.params()[0]->mutable_cpu_data();
  pair.forward();
  mine[7] += 1;
  pair.judge.params()[0]->mutable_cpu_data()[7] += 1;
  pair.run_and_compare();
}

TEST_F(OneDnnConvolution, TakesShapesThatOneDnnDoesNotSupport) {
  // Three spatial axes, and channels on another axis.
  NetPair pair(
      "layer { name: 'input' type: 'Input' top: 'x' input_param {"
      "  shape { dim: 1 dim: 4 dim: 5 dim: 6 dim: 5 } } }" +
      conv("x", "y", 4));
  pair.run_and_compare();
  NetPair other(
      "layer { name: 'input' type: 'Input' top: 'x' input_param {"
      "  shape { dim: 1 dim: 2 dim: 4 dim: 5 dim: 6 } } }" +
      conv("x", "y", 4, "kernel_size: 3 axis: 2"));
  other.run_and_compare();
}

TEST_F(OneDnnConvolution, SaysWhichCasesItDoesNotSupport) {
  const std::string text =
      "layer { name: 'input' type: 'Input' top: 'x' input_param {"
      "  shape { dim: 1 dim: 4 dim: 5 dim: 6 dim: 5 } } }" +
      conv("x", "y", 4, "kernel_size: 3 engine: ONEDNN");
  EXPECT_ERROR(Net<float>(parse_net(text)), "'y' (Convolution): engine: ONEDNN");
}

}  // namespace caffe
