#include "tools/python_layers.hpp"

#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include "caffe/layer_factory.hpp"
#include "tools/caffe_command.hpp"

namespace caffe_command {

namespace {

// Modules of the user's that lie in the current folder are found last, so that nothing there (a
// folder named caffe) hides a package. Without pycaffe the program starts again, and says so.
const char kStart[] = R"(
import os, sys
program, folder, *arguments = sys.argv[1:]
sys.path = [path for path in sys.path if path] + [folder, os.getcwd()]
try:
    from caffe import command
except ImportError as error:
    print(f"no layers in Python: {sys.executable}: {error}", file=sys.stderr, flush=True)
    os.environ["CAFFE_PYTHON"] = "off"
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
  static const std::regex kNet(R"re((?:^|[\s;,])(?:train_|test_)?net\s*:\s*["']([^"']+)["'])re");
  std::vector<std::string> files;
  for (std::sregex_iterator i(solver.begin(), solver.end(), kNet), end; i != end; ++i) {
    files.push_back((*i)[1]);
  }
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
