#ifndef CAFFE_SOLVER_NETS_HPP_
#define CAFFE_SOLVER_NETS_HPP_

#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// A net that a solver needs: its parameters, including its state (phase, level, stages), and where
/// they come from: "net file: train_val.prototxt".
struct SolverNet {
  NetParameter param;
  string source;
};

/// The training net: exactly one of net, net_param, train_net, train_net_param must be set. Its
/// state is TRAIN, merged with the net's own state and then with train_state.
SolverNet solver_train_net(const SolverParameter& solver);

/// The test nets in order: those of test_net_param, those of test_net, and then the net of
/// net_param or net, once for each remaining value of test_iter. State: TEST, the net's,
/// test_state.
vector<SolverNet> solver_test_nets(const SolverParameter& solver);

}  // namespace caffe

#endif  // CAFFE_SOLVER_NETS_HPP_
