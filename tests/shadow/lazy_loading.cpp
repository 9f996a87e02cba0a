#include "tests/shadow/lazy_loading.hpp"

#include <cstdlib>
#include <mutex>
#include <set>
#include <utility>

#include "tests/shadow/control.hpp"

namespace shadow {

namespace {

struct Loaded {
  std::mutex mutex;
  bool is_lazy = false;
  std::set<std::pair<std::string, int>> operations;  // and their devices
};

Loaded* from_environment() {
  Loaded* const made = new Loaded;
  const char* const text = std::getenv("SHADOW_LAZY");
  made->is_lazy = text != nullptr && std::atoi(text) != 0;
  return made;
}

Loaded& loaded() {
  static Loaded& made = *from_environment();
  return made;
}

}  // namespace

void load_lazily(bool is_lazy) {
  const std::lock_guard<std::mutex> lock(loaded().mutex);
  loaded().is_lazy = is_lazy;
  loaded().operations.clear();
}

void load(const std::string& operation, int device) {
  {
    const std::lock_guard<std::mutex> lock(loaded().mutex);
    if (!loaded().is_lazy || !loaded().operations.emplace(operation, device).second) return;
  }
  if (!waits_for_ranks(device)) return;
  throw Fault("shadow device: " + operation + " is launched for the first time on device " +
              std::to_string(device) + " beside a call of NCCL that may wait for another rank");
}

}  // namespace shadow
