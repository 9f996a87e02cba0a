// Brings a solver's prototxt of an older format to today's.

#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "tools/tool.hpp"

namespace {

int upgrade(int, char** argv) {
  caffe::SolverParameter solver;
  caffe::ReadProtoFromTextFile(argv[1], &solver);
  bool success = true;
  if (caffe::SolverNeedsTypeUpgrade(solver)) {
    success = caffe::UpgradeSolverAsNeeded(argv[1], &solver);
    if (!success) LOG(ERROR) << "Encountered error(s) while upgrading; see details above.";
  } else {
    LOG(ERROR) << "File already in latest proto format: " << argv[1];
  }
  caffe::WriteProtoToTextFile(solver, argv[2]);
  LOG(INFO) << "Wrote upgraded SolverParameter text proto to " << argv[2];
  return success ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return caffe_tool::run(
      argc, argv, "Usage: upgrade_solver_proto_text old_solver_proto_file_in solver_proto_file_out",
      2, 2, upgrade);
}
