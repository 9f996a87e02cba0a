// Upgrades a solver's prototxt in an older format to the current one.

#include "tools/upgrade.hpp"

int main(int argc, char** argv) {
  return caffe_tool::run_upgrade<caffe::SolverParameter>(
      argc, argv, "Usage: upgrade_solver_proto_text old_solver_proto_file_in solver_proto_file_out",
      caffe_tool::Format::kText, caffe::SolverNeedsTypeUpgrade, caffe::UpgradeSolverAsNeeded);
}
