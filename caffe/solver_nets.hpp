#ifndef CAFFE_SOLVER_NETS_HPP_
#define CAFFE_SOLVER_NETS_HPP_

#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// A net that a solver needs: what it is made from, with its state (phase, level, stages), and
/// where that was said: "net file: train_val.prototxt".
struct SolverNet {
  NetParameter param;
  string source;
};

/// The training net: exactly one of net, net_param, train_net, train_net_param must be set. Its
/// state is TRAIN, then what the net says, then train_state.
SolverNet solver_train_net(const SolverParameter& solver);

/// The test nets in their order: those of test_net_param, those of test_net, and then, as often as
/// test_iter has values left, the one of net_param or net. State: TEST, the net's, test_state.
vector<SolverNet> solver_test_nets(const SolverParameter& solver);

}  // namespace caffe

#endif  // CAFFE_SOLVER_NETS_HPP_
