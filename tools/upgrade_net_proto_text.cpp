// Brings a network of an older format, a prototxt, to today's.

#include "tools/upgrade.hpp"

int main(int argc, char** argv) {
  return caffe_tool::run_upgrade<caffe::NetParameter>(
      argc, argv, "Usage: upgrade_net_proto_text v0_net_proto_file_in net_proto_file_out",
      caffe_tool::Format::kText, caffe::NetNeedsUpgrade, caffe::UpgradeNetAsNeeded);
}
