#include "tests/shadow/launch.hpp"

#include <cxxabi.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "tests/shadow/capture.hpp"
#include "tests/shadow/host_memory.hpp"
#include "tests/shadow/lazy_loading.hpp"
#include "tests/shadow/logical_threads.hpp"
#include "tests/shadow/memory.hpp"
#include "tests/shadow/queue.hpp"
#include "tests/shadow/settings.hpp"

namespace shadow {

namespace {

std::string readable(const std::type_info& type) {
  int status = 0;
  char* const text = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  const std::string name = status == 0 ? text : type.name();
  std::free(text);
  return name;
}

/// The addresses of device memory among a functor's words.
std::vector<uintptr_t> device_pointers(const std::string& name, const void* bytes, size_t size,
                                       int device) {
  std::vector<uintptr_t> found;
  for (size_t at = 0; at + sizeof(uintptr_t) <= size; at += sizeof(uintptr_t)) {
    uintptr_t word = 0;
    std::memcpy(&word, static_cast<const char*>(bytes) + at, sizeof word);
    std::ostringstream wrong;
    Block block;
    if (Memory::get().find(word, &block)) {
      if (block.released || block.device != device) {
        wrong << "an address that it cannot use on device " << device << ": "
              << Memory::get().describe(word);
      }
      found.push_back(word);
    } else if (word > UINT32_MAX && is_writable_host_memory(word)) {
      // A word below 4 GiB may be a float beside padding: 1.0 is 0x3f800000, where the heap of a
      // Python that is not position-independent can be.
      wrong << "an address of " << (PinnedMemory::get().holds(word, 1) ? "pinned " : "")
            << "host memory, 0x" << std::hex << word;
    }
    if (!wrong.str().empty()) {
      throw Fault("shadow device: " + name + " was launched with " + wrong.str() + " (byte " +
                  std::to_string(at) + " of the functor)");
    }
  }
  return found;
}

}  // namespace

void launch(cudaStream_t stream, const std::type_info& functor, const void* bytes, size_t size,
            std::function<void(uint64_t seed)> run) {
  cudaError_t error = state();
  CUstream_st* const queue =
      error == cudaSuccess ? Queue::get().stream_of(stream, current_device()) : nullptr;
  if (error == cudaSuccess && running_operation() != nullptr) error = cudaErrorNotPermitted;
  if (error == cudaSuccess && queue == nullptr) error = cudaErrorInvalidResourceHandle;
  if (error == cudaSuccess) error = Captures::get().before(Use::kWork, queue);
  bool breaks = false;
  if (error == cudaSuccess && is_due(&settings().failing_launch)) {
    breaks = settings().failing_launch_is_sticky;
    if (!breaks) error = cudaErrorLaunchOutOfResources;
  }
  if (note(error) != cudaSuccess) return;
  ++tallies().launches;
  const OperationPtr operation = std::make_shared<Operation>();
  operation->name = "kernel " + readable(functor);
  note_kernel(operation->name.substr(7));
  load(operation->name, current_device());
  operation->device_of_memory = current_device();
  operation->pointers = device_pointers(operation->name, bytes, size, current_device());
  if (breaks) {
    operation->run = [](const Operation&) { settings().sticky = cudaErrorLaunchFailure; };
  } else {
    operation->run = [run = std::move(run)](const Operation& self) { run(self.seed); };
    operation->computes = true;
  }
  Queue::get().add(operation, queue);
}

void run_elements(int64_t n, uint64_t seed,
                  const std::function<void(int64_t begin, int64_t end, bool backwards)>& chunk) {
  if (kHasRaceDetector) {
    run_elements_as_threads(n, seed, chunk);
    return;
  }
  constexpr int64_t kElements = 128;  // of a block
  Random random(seed);
  const int64_t blocks = (n + kElements - 1) / kElements;
  const Order order(static_cast<uint64_t>(blocks), &random);
  const bool backwards = random.below(2) == 0;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t begin = static_cast<int64_t>(order.at(static_cast<uint64_t>(i))) * kElements;
    chunk(begin, std::min(begin + kElements, n), backwards);
  }
}

}  // namespace shadow
