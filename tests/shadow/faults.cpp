#include "tests/shadow/faults.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>

#include "tests/shadow/memory.hpp"
#include "tests/shadow/queue.hpp"

namespace shadow {

namespace {

struct sigaction segv_before, bus_before;

/// Restores what handled the signal before us, so that the same fault reaches it.
void pass_on(int signal) {
  sigaction(signal, signal == SIGBUS ? &bus_before : &segv_before, nullptr);
}

[[noreturn]] void report(const Operation* operation, uintptr_t address) {
  const std::string where = Memory::get().describe(address);
  if (operation != nullptr) {
    std::fprintf(stderr, "shadow device: %s touched %s%s\n", operation->name.c_str(), where.c_str(),
                 Memory::get().is_device(address) ? "" : " (host memory?)");
  } else {
    std::fprintf(stderr,
                 "shadow device: the host touched device memory, which only kernels and copies may "
                 "do: %s\n",
                 where.c_str());
  }
  std::fflush(stderr);
  std::abort();
}

void handle(int signal, siginfo_t* info, void*) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr);
  const Operation* const operation = running_operation();
  const bool is_device = Memory::get().is_device(address);
  if (operation != nullptr && is_device && !operation->is_host_function &&
      Memory::get().open_after_fault(address, operation->device_of_memory)) {
    return;
  }
  if (is_device || (operation != nullptr && !operation->is_host_function)) {
    report(operation != nullptr && operation->is_host_function ? nullptr : operation, address);
  }
  pass_on(signal);
}

/// A thread's stack for the handler; freed when the thread ends.
class SignalStack {
 public:
  SignalStack() {
    memory_ = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {};
    sigaltstack(nullptr, &before_);
    stack.ss_sp = memory_;
    stack.ss_size = kBytes;
    sigaltstack(&stack, nullptr);
  }
  ~SignalStack() {
    sigaltstack(&before_, nullptr);
    munmap(memory_, kBytes);
  }

 private:
  static constexpr size_t kBytes = 256 << 10;
  void* memory_;
  stack_t before_ = {};
};

}  // namespace

void install_fault_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    Memory::get();
    struct sigaction ours = {};
    ours.sa_sigaction = handle;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGSEGV, &ours, &segv_before);
    sigaction(SIGBUS, &ours, &bus_before);
  });
}

void prepare_thread_for_faults() {
  install_fault_handler();
  static thread_local SignalStack stack;
  (void)stack;
}

}  // namespace shadow
