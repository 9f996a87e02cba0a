#ifndef CAFFE_NET_PLAN_HPP_
#define CAFFE_NET_PLAN_HPP_

#include <set>
#include <string>
#include <vector>

#include "caffe/layers/takes_relu.hpp"

namespace caffe {

/// How a net runs its layers: what it may leave out, join or overwrite. Net::Init makes it.
template <typename Dtype>
struct NetPlan {
  bool keeps_all = true;               // every blob can be read from outside
  std::set<std::string> kept;          // otherwise these, and the net's inputs and outputs
  std::vector<TakesReLU*> takes_relu;  // [layer] null, or the layer if the next one is its ReLU
};

}  // namespace caffe

#endif  // CAFFE_NET_PLAN_HPP_
