#ifndef TOOLS_UPGRADE_HPP_
#define TOOLS_UPGRADE_HPP_

#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "tools/tool.hpp"

namespace caffe_tool {

enum class Format { kText, kBinary };

template <typename Message>
void read_binary(const std::string& file, Message* message) {
  caffe::ReadProtoFromBinaryFile(file, message);
}
/// Of weights whose parameters are those of another fork, the names, types and blobs.
inline void read_binary(const std::string& file, caffe::NetParameter* net) {
  try {
    caffe::ReadProtoFromBinaryFile(file, net);
  } catch (const caffe::Error&) {
    caffe::ReadNetParamsFromBinaryFileOrDie(file, net);
  }
}

/// The main() of a tool that reads a Message of an older format from the first file of the command
/// line and writes it in the current format to the second. needed(message) says whether an upgrade
/// is necessary; upgrade(file, &message) does it and returns whether it succeeded.
template <typename Message, typename Needed, typename Upgrade>
int run_upgrade(int argc, char** argv, const char* usage, Format format, const Needed& needed,
                const Upgrade& upgrade) {
  const bool text = format == Format::kText;
  return run(argc, argv, usage, 2, 2, [&](int, char** files) {
    Message message;
    if (text) {
      caffe::ReadProtoFromTextFile(files[1], &message);
    } else {
      read_binary(files[1], &message);
    }
    bool success = true;
    if (needed(message)) {
      success = upgrade(files[1], &message);
      if (!success) LOG(ERROR) << "Encountered error(s) while upgrading; see details above.";
    } else {
      LOG(ERROR) << "File already in latest proto format: " << files[1];
    }
    if (text) {
      caffe::WriteProtoToTextFile(message, files[2]);
    } else {
      caffe::WriteProtoToBinaryFile(message, files[2]);
    }
    LOG(INFO) << "Wrote upgraded " << Message::descriptor()->name() << (text ? " text" : " binary")
              << " proto to " << files[2];
    return success ? 0 : 1;
  });
}

}  // namespace caffe_tool

#endif  // TOOLS_UPGRADE_HPP_
