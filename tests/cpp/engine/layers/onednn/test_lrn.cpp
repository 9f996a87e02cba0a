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
    compare(16, "local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL", foreign);
  }
}

}  // namespace caffe
