// The `caffe` command: train, test and time nets. The exit status is 0, or 1 after an error; the
// error's message is the last line of the log.

#include "caffe/caffe.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "caffe/layers/keeps_weights.hpp"
#include "caffe/parallel/mpi.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/dialects.hpp"
#include "caffe/util/log_state.hpp"
#include "caffe/util/math_mode.hpp"
#include "tools/caffe_command.hpp"
#include "tools/python_layers.hpp"

#ifndef CAFFE_VERSION
#define CAFFE_VERSION unknown
#endif

DEFINE_string(gpu, "",
              "Optional; run in GPU mode on these device IDs, separated by ',', or on all: '-gpu "
              "all'. 'train' uses all of them, the batch size being each one's; 'test' and 'time' "
              "the first.");
DEFINE_string(solver, "", "The solver definition protocol buffer text file.");
DEFINE_string(model, "", "The model definition protocol buffer text file.");
DEFINE_string(phase, "", "Optional; network phase (TRAIN or TEST). Only used for 'time'.");
DEFINE_int32(level, 0, "Optional; network level.");
DEFINE_string(stage, "",
              "Optional; network stages (not to be confused with phase), separated by ','.");
DEFINE_string(snapshot, "", "Optional; the snapshot solver state to resume training.");
DEFINE_string(weights, "",
              "Optional; the pretrained weights to initialize finetuning, separated by ','. Cannot "
              "be set simultaneously with snapshot.");
DEFINE_int32(iterations, 50, "The number of iterations to run.");
DEFINE_bool(forward_only, false, "Optional; 'time' runs forward passes only.");
DEFINE_string(sigint_effect, "stop",
              "Optional; action to take when a SIGINT signal is received: snapshot, stop or none.");
DEFINE_string(sighup_effect, "snapshot",
              "Optional; action to take when a SIGHUP signal is received: snapshot, stop or none.");
DEFINE_string(math, "",
              "Optional; what activations are stored in and matrices multiplied in: FLOAT, BF16, "
              "FP16 or TF32. 'train' takes the solver's math_mode otherwise.");
DEFINE_bool(cuda_graph, false,
            "Optional; on a GPU, 'train' records an iteration once and replays it, as with "
            "cuda_graph: true in the solver.");
DEFINE_string(layers, "", "Optional; shared libraries with more layer types, separated by ','.");
DEFINE_string(dialect, "",
              "Optional; the fork of Caffe whose rules hold where two forks give a type two "
              "meanings (ssd, pspnet, segnet ...). Without it the net's types and fields decide.");

namespace caffe_command {

using caffe::Caffe;

std::vector<std::string> split_list(const std::string& list) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t comma; (comma = list.find(',', begin)) != std::string::npos; begin = comma + 1) {
    parts.push_back(list.substr(begin, comma - begin));
  }
  parts.push_back(list.substr(begin));
  return parts;
}

std::vector<std::string> chosen_stages() {
  return split_list(FLAGS_stage);
}

std::vector<int> chosen_gpus() {
  std::vector<int> gpus;
  if (FLAGS_gpu.empty()) return gpus;
  if (FLAGS_gpu == "all") {
    CAFFE_CHECK(caffe::device::count() > 0, "-gpu all: " << caffe::device::why_unusable(0));
    for (int i = 0; i < caffe::device::count(); ++i) gpus.push_back(i);
    return gpus;
  }
  for (const std::string& part : split_list(FLAGS_gpu)) {
    const bool number = !part.empty() && part.size() < 9 &&
                        part.find_first_not_of("0123456789") == std::string::npos;
    CAFFE_CHECK(number, "-gpu " << FLAGS_gpu << ": '" << part << "' is not a device ID");
    gpus.push_back(std::stoi(part));
  }
  return gpus;
}

void choose_device(int gpu) {
  if (gpu < 0) {
    LOG(INFO) << "Use CPU.";
    Caffe::set_mode(Caffe::CPU);
    return;
  }
  LOG(INFO) << "Use GPU with device ID " << gpu;
  Caffe::SetDevice(gpu);
  Caffe::set_mode(Caffe::GPU);
}

caffe::Phase chosen_phase(caffe::Phase otherwise) {
  if (FLAGS_phase.empty()) return otherwise;
  if (FLAGS_phase == "TRAIN") return caffe::TRAIN;
  if (FLAGS_phase == "TEST") return caffe::TEST;
  CAFFE_FAIL("-phase " << FLAGS_phase << ": must be TRAIN or TEST");
}

int device_query() {
  LOG(INFO) << "Querying GPUs " << FLAGS_gpu;
  for (const int gpu : chosen_gpus()) LOG(INFO) << "\n" << caffe::device::properties(gpu);
  return 0;
}

namespace {

/// All but `train` run as one process. If a launcher started several, rank 0 says so for all.
bool is_for_one(const std::string& name) {
  const caffe::Launch launch = caffe::find_launch();
  if (name == "train" || launch.size <= 1) return true;
  CAFFE_CHECK(launch.rank != 0, launch.launcher
                                    << " started " << launch.size << " processes, but '" << name
                                    << "' runs as one: start it without the launcher. With "
                                       "CAFFE_RANKS=off each process runs it by itself");
  return false;
}

typedef int (*Verb)();
const std::map<std::string, Verb> kVerbs = {
    {"device_query", device_query}, {"test", test}, {"time", time}, {"train", train}};

int run(const std::string& name, char** arguments) {
  const auto verb = kVerbs.find(name);
  if (verb == kVerbs.end()) {
    std::vector<std::string> names;
    for (const auto& entry : kVerbs) names.push_back(entry.first);
    const std::string nearest = caffe::nearest_name(name, names);
    CAFFE_FAIL("unknown command '" << name << "'"
                                   << (nearest.empty() ? "" : "; did you mean " + nearest + "?")
                                   << " (known: " << caffe::join(names) << ")");
  }
  if (!is_for_one(name)) return 1;
  if (named_nets_need_python()) start_in_python(arguments);
  if (!FLAGS_layers.empty()) {
    for (const std::string& library : split_list(FLAGS_layers)) {
      LOG(INFO) << "Layers of " << library << ": " << caffe::join(caffe::load_layers(library));
    }
  }
  caffe::set_dialect(FLAGS_dialect);
  if (!FLAGS_math.empty()) caffe::set_math_mode(caffe::math_mode_of(FLAGS_math));
  return verb->second();
}

}  // namespace

}  // namespace caffe_command

/// Inside of pycaffe, which logs to stderr alone: into files as well, if the environment does not
/// say otherwise.
static void log_as_a_program() {
  const char* const value = std::getenv("GLOG_logtostderr");
  FLAGS_logtostderr = value != nullptr && std::memchr("tTyY1", *value, 6) != nullptr;  // as glog
}

extern "C" int caffe_main(int argc, char** argv) {
  // What is left of argv are the words that are no flags: the whole is kept for another process.
  std::vector<char*> arguments(argv, argv + argc + 1);
  if (caffe::log_has_started()) log_as_a_program();
  FLAGS_alsologtostderr = true;
  gflags::SetVersionString(AS_STRING(CAFFE_VERSION));
  gflags::SetUsageMessage(
      "command line brew\n"
      "usage: caffe <command> <args>\n\n"
      "commands:\n"
      "  train           train or finetune a model\n"
      "  test            score a model\n"
      "  device_query    show GPU diagnostic information\n"
      "  time            benchmark model execution time");
  caffe::GlobalInit(&argc, &argv);
  if (argc != 2) {
    gflags::ShowUsageWithFlagsRestrict(argv[0], "tools/caffe");
    return argc < 2 ? 0 : 1;
  }
  caffe::KeepsWeights::allow_keeping_everywhere();
  try {
    return caffe_command::run(argv[1], arguments.data());
  } catch (const std::exception& error) {
    LOG(ERROR) << "error: " << error.what();
  }
  return 1;
}
