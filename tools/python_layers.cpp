#include "tools/python_layers.hpp"

#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "caffe/layer_factory.hpp"
#include "caffe/util/silent_errors.hpp"
#include "google/protobuf/text_format.h"
#include "tools/caffe_command.hpp"

namespace caffe_command {

namespace {

// The build's own package comes first. Modules of the user's that lie in the current folder are
// found last, so that nothing there (a folder named caffe) hides a package. Without pycaffe the
// program starts again, and says so.
const char kStart[] = R"(
import os, signal, sys
program, folder, *arguments = sys.argv[1:]
sys.path = [folder] + [path for path in sys.path if path] + [os.getcwd()]
try:
    from caffe import command
except Exception as error:  # an old protobuf, say
    print(f"no layers in Python: {sys.executable}: {error}", file=sys.stderr, flush=True)
    os.environ["CAFFE_PYTHON"] = "off"
    for name in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
        signal.signal(name, signal.SIG_DFL)
    os.execv(program, arguments)
sys.exit(command.run(arguments))
)";

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

bool names_python(const std::string& text) {
  return text.find("\"Python\"") != std::string::npos || text.find("'Python'") != std::string::npos;
}

/// The files that a solver's net, train_net and test_net name.
std::vector<std::string> nets_of(const std::string& solver) {
  caffe::SilentErrors none;  // the command itself will say what is wrong
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&none);
  parser.AllowUnknownField(true);
  parser.AllowPartialMessage(true);
  caffe::SolverParameter param;
  parser.ParseFromString(solver, &param);  // of a wrong text, what it has up to the error
  std::vector<std::string> files(param.test_net().begin(), param.test_net().end());
  if (param.has_net()) files.push_back(param.net());
  if (param.has_train_net()) files.push_back(param.train_net());
  return files;
}

/// This program's file.
std::string own_file() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  return length > 0 ? std::string(path, length) : std::string();
}

}  // namespace

bool named_nets_need_python() {
  if (caffe::LayerRegistry<float>::Registry().count("Python") != 0) return false;
  const std::string solver = FLAGS_solver.empty() ? std::string() : text_of(FLAGS_solver);
  bool needed = names_python(solver);
  for (const std::string& net : nets_of(solver)) needed = needed || names_python(text_of(net));
  return needed || (!FLAGS_model.empty() && names_python(text_of(FLAGS_model)));
}

void start_in_python(char** arguments) {
  const char* const chosen = std::getenv("CAFFE_PYTHON");
  const std::string python = chosen != nullptr && *chosen != 0 ? chosen : "python3";
  const std::string program = own_file();
  if (python == "off" || program.empty()) return;
  // A build has its package in bin/../python; what is installed lies where Python looks by itself.
  const std::string folder = program.substr(0, program.rfind('/')) + "/../python";
  std::vector<const char*> call = {python.c_str(), "-c", kStart, program.c_str(), folder.c_str()};
  for (char** argument = arguments; *argument != nullptr; ++argument) call.push_back(*argument);
  call.push_back(nullptr);
  execvp(python.c_str(), const_cast<char**>(call.data()));
}

}  // namespace caffe_command
