// Brings a network of an older format, a prototxt, to today's.

#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "tools/tool.hpp"

namespace {

int upgrade(int, char** argv) {
  caffe::NetParameter net;
  caffe::ReadProtoFromTextFile(argv[1], &net);
  bool success = true;
  if (caffe::NetNeedsUpgrade(net)) {
    success = caffe::UpgradeNetAsNeeded(argv[1], &net);
    if (!success) LOG(ERROR) << "Encountered error(s) while upgrading; see details above.";
  } else {
    LOG(ERROR) << "File already in latest proto format: " << argv[1];
  }
  caffe::WriteProtoToTextFile(net, argv[2]);
  LOG(INFO) << "Wrote upgraded NetParameter text proto to " << argv[2];
  return success ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return caffe_tool::run(argc, argv,
                         "Usage: upgrade_net_proto_text v0_net_proto_file_in net_proto_file_out", 2,
                         2, upgrade);
}
