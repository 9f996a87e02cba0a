// Upgrades a network in an older format, a caffemodel, to the current one.

#include "tools/upgrade.hpp"

int main(int argc, char** argv) {
  return caffe_tool::run_upgrade<caffe::NetParameter>(
      argc, argv, "Usage: upgrade_net_proto_binary v0_net_proto_file_in net_proto_file_out",
      caffe_tool::Format::kBinary, caffe::NetNeedsUpgrade, caffe::UpgradeNetAsNeeded);
}
