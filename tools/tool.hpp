#ifndef TOOLS_TOOL_HPP_
#define TOOLS_TOOL_HPP_

#include <functional>

namespace caffe_tool {

/// What of the log goes to stderr.
enum LogToStderr { kLogAll, kLogErrors };

/// The main() of a command-line tool: initialises flags and the log. If there are not min_args to
/// max_args arguments (-1: any number), prints `usage`. Logs an Error. Returns the exit status:
/// that of run(argc, argv), whose arguments include argv[0], or 1.
int run(int argc, char** argv, const char* usage, int min_args, int max_args,
        const std::function<int(int argc, char** argv)>& run, LogToStderr log = kLogAll);

}  // namespace caffe_tool

#endif  // TOOLS_TOOL_HPP_
