#ifndef TOOLS_CAFFE_COMMAND_HPP_
#define TOOLS_CAFFE_COMMAND_HPP_

// Shared by the parts of the `caffe` command. Each command returns the exit status; errors are
// exceptions.

#include <gflags/gflags.h>

#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

DECLARE_string(gpu);
DECLARE_string(solver);
DECLARE_string(model);
DECLARE_string(phase);
DECLARE_int32(level);
DECLARE_string(stage);
DECLARE_string(snapshot);
DECLARE_string(weights);
DECLARE_int32(iterations);
DECLARE_bool(forward_only);
DECLARE_string(math);
DECLARE_bool(cuda_graph);
DECLARE_string(sigint_effect);
DECLARE_string(sighup_effect);

/// The program `caffe`: argv[argc] is null. Returns the exit status.
extern "C" int caffe_main(int argc, char** argv);

namespace caffe_command {

int train();
int test();
int device_query();
int time();

/// The GPUs that -gpu names: none, "all" of them, or a list.
std::vector<int> chosen_gpus();
/// Selects and logs the GPU `gpu`, or selects the CPU for -1.
void choose_device(int gpu);
/// -stage as a list. An empty flag is one empty stage, as in BVLC Caffe.
std::vector<std::string> chosen_stages();
/// -phase, or `otherwise` if it is not given.
caffe::Phase chosen_phase(caffe::Phase otherwise);
/// The parts of "a,b"; for "" one empty part.
std::vector<std::string> split_list(const std::string& list);

}  // namespace caffe_command

#endif  // TOOLS_CAFFE_COMMAND_HPP_
