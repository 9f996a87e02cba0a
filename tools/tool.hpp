#ifndef TOOLS_TOOL_HPP_
#define TOOLS_TOOL_HPP_

#include <functional>

namespace caffe_tool {

/// The main() of a command-line tool: starts flags and log, to stderr; needs at least min_args
/// arguments, at most max_args (-1: any number), and says `usage` otherwise. An Error is logged.
/// Returns the exit status: that of run(argc, argv), which has argv[0], too; or 1.
int run(int argc, char** argv, const char* usage, int min_args, int max_args,
        const std::function<int(int argc, char** argv)>& run);

}  // namespace caffe_tool

#endif  // TOOLS_TOOL_HPP_
