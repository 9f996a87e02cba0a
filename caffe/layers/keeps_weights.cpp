#include "caffe/layers/keeps_weights.hpp"

namespace caffe {

std::atomic<bool>& KeepsWeights::everywhere() {
  static std::atomic<bool> value{false};
  return value;
}

}  // namespace caffe
