#include "tools/tool.hpp"

#include "caffe/common.hpp"
#include "caffe/layers/keeps_weights.hpp"

namespace caffe_tool {

int run(int argc, char** argv, const char* usage, int min_args, int max_args,
        const std::function<int(int argc, char** argv)>& run, LogToStderr log) {
  FLAGS_alsologtostderr = log == kLogAll;
  gflags::SetUsageMessage(usage);
  caffe::GlobalInit(&argc, &argv);
  if (argc - 1 < min_args || (max_args >= 0 && argc - 1 > max_args)) {
    LOG(ERROR) << usage;
    return 1;
  }
  caffe::KeepsWeights::allow_keeping_everywhere();
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    LOG(ERROR) << "error: " << error.what();
  }
  return 1;
}

}  // namespace caffe_tool
