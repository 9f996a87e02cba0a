#ifndef CAFFE_NET_PLAN_HPP_
#define CAFFE_NET_PLAN_HPP_

#include <set>
#include <string>

#include "caffe/net_chains.hpp"

namespace caffe {

/// How a net runs its layers: what it may leave out, join or overwrite. Net::Init makes it.
template <typename Dtype>
struct NetPlan {
  bool keeps_all = true;       // every blob can be read from outside
  std::set<std::string> kept;  // otherwise these, and the net's inputs and outputs
  NetChains<Dtype> chains;     // layers that may be computed together
};

}  // namespace caffe

#endif  // CAFFE_NET_PLAN_HPP_
