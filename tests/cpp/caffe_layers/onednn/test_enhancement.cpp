// ../test_enhancement.cpp tests the layer's results; this file tests that it works in blocks of
// channels without a conversion.

#include "layers/onednn/net_pair.hpp"

namespace caffe {

class OneDnnEnhancement : public OneDnn {
 protected:
  /// A convolution of `channels` channels, Enhancement with `tops`, and a convolution.
  static std::string net(int channels, const std::string& tops, const std::string& middle = "") {
    return input(2, 3, 13, 11) + conv("x", "a", channels) +
           "layer { name: 'enhance' type: 'Enhancement' bottom: 'a' " + tops + " }\n" + middle +
           conv(tops.find("top: 'a'") == 0 ? "a" : "b", "y", 16);
  }
};

TEST_F(OneDnnEnhancement, ConvertsNothingAndAgreesWithThePlainLayer) {
  SKIP_WITHOUT_BLOCKS();
  for (const int channels : {16, 32, 96}) {
    for (const char* const tops :
         {"top: 'b'", "top: 'a'", "top: 'b' top: 'attention'", "top: 'a' top: 'attention'"}) {
      SCOPED_TRACE(std::to_string(channels) + " channels, " + tops);
      NetPair pair(net(channels, tops));
      for (int pass = 0; pass < 2; ++pass) {
        EXPECT_EQ(pair.forward(), 0);
        EXPECT_EQ(pair.backward(), 1) << "the gradient that the test gives is plain";
      }
      pair.expect_equal(2e-5);
    }
  }
}

TEST_F(OneDnnEnhancement, LeavesPlainBottomsAndPartlyFilledBlocksToThePlainLayer) {
  for (const int channels : {20, 3}) {
    NetPair pair(net(channels, "top: 'b' top: 'attention'"));
    pair.run_and_compare(2e-5);
  }
  NetPair plain(input(2, 16, 5, 7) + layer("Enhancement", "x", "b") + conv("b", "y", 16));
  plain.run_and_compare(2e-5);
}

TEST_F(OneDnnEnhancement, TakesMoreThanOneTileAndEveryThread) {
  NetPair pair(input(2, 3, 31, 33) + conv("x", "a", 48) + layer("Enhancement", "a", "a") +
               layer("ReLU", "a", "b") + conv("b", "y", 16));
  pair.run_and_compare(2e-5);
}

TEST_F(OneDnnEnhancement, GradientAgainstCentralDifferences) {
  for (const char* const tops : {"top: 'b' top: 'c'", "top: 'a' top: 'c'"}) {
    SCOPED_TRACE(tops);
    Net<float> net(parse_net(input(1, 16, 3, 5) + conv("x", "a", 16) +
                             "layer { name: 'enhance' type: 'Enhancement' bottom: 'a' " + tops +
                             " }"));
    Blob<float>& x = *net.input_blobs()[0];
    Blob<float>& weights = *net.params()[0];
    std::mt19937 random(3);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (Blob<float>* const blob : {&x, &weights}) {
      for (int i = 0; i < blob->count(); ++i) blob->mutable_cpu_data()[i] = uniform(random) / 3;
    }
    std::vector<std::vector<float>> factors;  // of the objective, for each output
    for (const Blob<float>* const output : net.output_blobs()) {
      factors.emplace_back(output->count());
      for (float& factor : factors.back()) factor = uniform(random);
    }
    const auto objective = [&] {
      net.Forward();
      double sum = 0;
      for (size_t o = 0; o < factors.size(); ++o) {
        const float* const values = net.output_blobs()[o]->cpu_data();
        for (size_t i = 0; i < factors[o].size(); ++i) sum += factors[o][i] * values[i];
      }
      return sum;
    };
    objective();
    for (size_t o = 0; o < factors.size(); ++o) {
      std::copy(factors[o].begin(), factors[o].end(), net.output_blobs()[o]->mutable_cpu_diff());
    }
    net.Backward();
    const std::vector<float> analytic(x.cpu_diff(), x.cpu_diff() + x.count());
    for (int i = 0; i < x.count(); i += 7) {
      const float value = x.cpu_data()[i];
      x.mutable_cpu_data()[i] = value + 1e-2f;
      const double high = objective();
      x.mutable_cpu_data()[i] = value - 1e-2f;
      const double low = objective();
      x.mutable_cpu_data()[i] = value;
      const double numeric = (high - low) / 2e-2;
      ASSERT_NEAR(analytic[i], numeric, 2e-3 * std::max(1., std::abs(numeric))) << "element " << i;
    }
  }
}

TEST_F(OneDnnEnhancement, ALaterLayerThatChangesTheBlobInPlaceIsRefused) {
  NetPair pair(net(32, "top: 'a'", layer("Power", "a", "a", "power_param { scale: 3 shift: 1 }")));
  pair.forward();
  EXPECT_ERROR(pair.net.Backward(), "a later layer has changed that blob in place");
  // After a ReLU, a second one changes nothing.
  const std::string relu = layer("ReLU", "a", "a");
  NetPair allowed(input(2, 3, 13, 11) + conv("x", "a", 32) + relu + layer("Enhancement", "a", "a") +
                  "layer { name: 'again' type: 'ReLU' bottom: 'a' top: 'a' }" + conv("a", "y", 16));
  allowed.run_and_compare(2e-5);
}

}  // namespace caffe
