#include "layers/onednn/net_pair.hpp"

namespace caffe {

class OneDnnLRN : public OneDnn {
 protected:
  static void compare(int channels, const std::string& rest, bool foreign) {
    SCOPED_TRACE(std::to_string(channels) + " channels, " + rest);
    const std::string lrn = " lrn_param { " + rest + " }";
    NetPair pair(foreign ? input(2, channels, 5, 6) + conv("x", "a", channels) +
                               layer("LRN", "a", "y", lrn)
                         : input(2, channels, 5, 6) + layer("LRN", "x", "y", lrn));
    pair.fill_inputs(-4, 4);
    pair.run_and_compare();
  }
};

TEST_F(OneDnnLRN, AgreesWithThePlainLayer) {
  for (const bool foreign : {true, false}) {
    for (const int channels : {16, 32, 96, 20, 3}) {
      compare(channels, "local_size: 5 alpha: 0.5 beta: 0.75", foreign);
      compare(channels, "local_size: 3 alpha: 0.5 beta: 0.75 k: 2", foreign);
      compare(channels, "local_size: 5 alpha: 0.5 beta: 0.5 k: 2", foreign);
    }
    compare(20, "local_size: 15 alpha: 0.5 beta: 1.25", foreign);
    compare(16, "local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL", foreign);
  }
}

TEST_F(OneDnnLRN, TakesTheLayoutOfItsBottom) {
  SKIP_WITHOUT_BLOCKS();
  NetPair pair(input(2, 16, 5, 6) + conv("x", "a", 20) + layer("LRN", "a", "y") +
               layer("LRN", "x", "z"));
  pair.forward();
  const int block = block_of(*pair.net.blob_by_name("a"));
  ASSERT_NE(block, 0);
  EXPECT_EQ(block_of(*pair.net.blob_by_name("y")), block);
  EXPECT_EQ(block_of(*pair.net.blob_by_name("z")), 0);
}

TEST_F(OneDnnLRN, ASecondForwardPassBeforeTheBackwardPass) {
  NetPair pair(input(2, 16, 5, 6) + conv("x", "a", 20) + layer("LRN", "a", "y"));
  pair.run_and_compare();
  pair.fill_inputs(-4, 4);
  pair.forward();
  pair.fill_inputs(-2, 2);
  pair.run_and_compare();
}

TEST_F(OneDnnLRN, TheBottomMayHaveBeenReadAndWritten) {
  NetPair pair(input(2, 16, 5, 6) + conv("x", "a", 20) + layer("LRN", "a", "y"));
  pair.forward();
  pair.net.blob_by_name("a")->cpu_data();
  pair.backward();
  pair.expect_equal();
  pair.forward();
  pair.net.blob_by_name("a")->mutable_cpu_data()[3] += 1;
  pair.judge.blob_by_name("a")->mutable_cpu_data()[3] += 1;
  pair.net.ForwardFrom(2);
  pair.judge.ForwardFrom(2);
  pair.backward();
  pair.expect_equal();
}

TEST_F(OneDnnLRN, EmptyImages) {
  const auto net =
      std::make_unique<Net<float>>(parse_net(input(0, 16, 5, 6) + layer("LRN", "x", "y")));
  net->Forward();
  net->Backward();
  EXPECT_EQ(net->output_blobs()[0]->shape(), (vector<int>{0, 16, 5, 6}));
}

TEST_F(OneDnnLRN, WhatANetGivesUpIsNotNeeded) {
  const std::string text =
      input(2, 16, 9, 8) + conv("x", "a", 20) + layer("ReLU", "a", "a") + layer("LRN", "a", "b") +
      layer("Pooling", "b", "c", "pooling_param { kernel_size: 2 }") + conv("c", "y", 16);
  for (const Phase phase : {TRAIN, TEST}) {
    NetPair pair(text, phase), kept(text, phase);
    pair.net.KeepOnly({});
    for (int pass = 0; pass < 2; ++pass) {
      pair.forward();
      pair.backward();
      kept.forward();
      kept.backward();
    }
    for (size_t i = 0; i < kept.net.params().size(); ++i) {
      const Blob<float>&one = *pair.net.params()[i], &two = *kept.net.params()[i];
      for (int k = 0; k < one.count(); ++k) EXPECT_EQ(one.cpu_diff()[k], two.cpu_diff()[k]);
    }
  }
}

/// The layer computes the gradient of the ReLU in front of it, in whole passes and in parts.
TEST_F(OneDnnLRN, BehindARelu) {
  const std::string relu = layer("ReLU", "a", "a"), behind = layer("LRN", "a", "y");
  const std::string nets[] = {
      input(2, 16, 5, 6) + conv("x", "a", 20) + relu + behind,
      input(2, 16, 5, 6) + layer("Power", "x", "a", "power_param { scale: 2 }") + relu + behind,
      input(2, 16, 5, 6) + conv("x", "a", 32) + layer("BatchNorm", "a", "a") + relu + behind,
      input(2, 16, 5, 6) + conv("x", "a", 20) +
          layer("ReLU", "a", "a", "relu_param { negative_slope: 0.5 }") + behind,
      input(2, 16, 5, 6) + conv("x", "a", 20) + relu + behind + conv("a", "z", 16)};
  for (const std::string& text : nets) {
    SCOPED_TRACE(text);
    NetPair pair(text);
    pair.run_and_compare();
    const int last = static_cast<int>(pair.net.layers().size()) - 1;
    for (int end = 1; end <= last; ++end) {
      pair.forward();
      pair.net.BackwardTo(end);
      pair.judge.BackwardTo(end);
      pair.expect_equal();
      pair.net.BackwardFromTo(end - 1, 0);
      pair.judge.BackwardFromTo(end - 1, 0);
      pair.expect_equal();
    }
  }
}

}  // namespace caffe
