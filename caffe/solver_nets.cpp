#include "caffe/solver_nets.hpp"

#include "caffe/util/upgrade_proto.hpp"

namespace caffe {

namespace {

NetParameter read_net(const string& file) {
  NetParameter net;
  ReadNetParamsFromTextFileOrDie(file, &net);
  return net;
}

void set_state(Phase phase, const NetState* more, NetParameter* net) {
  NetState state;
  state.set_phase(phase);
  state.MergeFrom(net->state());
  if (more != nullptr) state.MergeFrom(*more);
  *net->mutable_state() = state;
}

}  // namespace

SolverNet solver_train_net(const SolverParameter& solver) {
  const string fields = "net, net_param, train_net, train_net_param";
  const int given = solver.has_net() + solver.has_net_param() + solver.has_train_net() +
                    solver.has_train_net_param();
  CAFFE_CHECK(given > 0, "the solver has no net to train: set one of " << fields);
  CAFFE_CHECK(given == 1,
              "the solver has " << given << " nets to train: set only one of " << fields);
  SolverNet net;
  if (solver.has_train_net_param()) {
    net = {solver.train_net_param(), "specified in train_net_param."};
  } else if (solver.has_train_net()) {
    net = {read_net(solver.train_net()), "from train_net file: " + solver.train_net()};
  } else if (solver.has_net_param()) {
    net = {solver.net_param(), "specified in net_param."};
  } else {
    net = {read_net(solver.net()), "from net file: " + solver.net()};
  }
  set_state(TRAIN, solver.has_train_state() ? &solver.train_state() : nullptr, &net.param);
  return net;
}

vector<SolverNet> solver_test_nets(const SolverParameter& solver) {
  vector<SolverNet> nets;
  for (const NetParameter& param : solver.test_net_param()) {
    nets.push_back({param, "test_net_param"});
  }
  for (const string& file : solver.test_net()) {
    nets.push_back({read_net(file), "test_net file: " + file});
  }
  const bool one_for_both = solver.has_net_param() || solver.has_net();
  const size_t tests = solver.test_iter_size();
  CAFFE_CHECK(one_for_both ? tests >= nets.size() : tests == nets.size(),
              "the solver has " << nets.size() << " test nets and " << tests
                                << " values of test_iter: give one test_iter for each");
  while (nets.size() < tests) {
    if (solver.has_net_param()) {
      nets.push_back({solver.net_param(), "net_param"});
    } else {
      nets.push_back({read_net(solver.net()), "net file: " + solver.net()});
    }
  }
  const size_t states = solver.test_state_size();
  CAFFE_CHECK(states == 0 || states == nets.size(),
              "the solver has " << nets.size() << " test nets and " << states
                                << " values of test_state: give none, or one for each");
  CAFFE_CHECK(nets.empty() || solver.test_interval() > 0,
              "the solver has a test net and test_interval "
                  << solver.test_interval() << ": set test_interval, or leave test_iter out");
  for (size_t i = 0; i < nets.size(); ++i) {
    const int index = static_cast<int>(i);
    set_state(TEST, states > 0 ? &solver.test_state(index) : nullptr, &nets[i].param);
  }
  return nets;
}

}  // namespace caffe
