#include "tests/shadow/library_call.hpp"

#include "tests/shadow/capture.hpp"
#include "tests/shadow/lazy_loading.hpp"
#include "tests/shadow/memory.hpp"
#include "tests/shadow/queue.hpp"
#include "tests/shadow/settings.hpp"

namespace shadow {

bool library_works() {
  return running_operation() == nullptr && state() == cudaSuccess;
}

bool library_may_allocate() {
  return library_works() && Captures::get().before_unsafe_call() == cudaSuccess;
}

void check_memory(const char* who, const void* memory, size_t bytes) {
  if (bytes != 0) expect_on_device(who, memory, bytes);
}

bool add_library_call(const char* name, cudaStream_t stream,
                      const std::vector<const void*>& pointers, std::function<void()> run,
                      bool waits) {
  if (!library_works()) return false;
  CUstream_st* const queue = Queue::get().stream_of(stream, current_device());
  if (queue == nullptr) return false;
  if (Captures::get().before(waits ? Use::kWait : Use::kWork, queue) != cudaSuccess) return false;
  load(name, current_device());
  ++tallies().library_calls;
  OperationPtr operation = std::make_shared<Operation>();
  operation->name = name;
  operation->device_of_memory = current_device();
  for (const void* const pointer : pointers) {
    operation->pointers.push_back(reinterpret_cast<uintptr_t>(pointer));
  }
  operation->run = [run = std::move(run)](const Operation&) { run(); };
  operation->computes = true;
  operation = Queue::get().add(operation, queue);
  if (waits) {
    ++tallies().synchronisations;
    Queue::get().finish(operation);
  }
  return state() == cudaSuccess;
}

}  // namespace shadow
