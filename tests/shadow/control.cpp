#include "tests/shadow/control.hpp"

#include <pthread.h>

#include <cstdlib>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>

#include "tests/shadow/random.hpp"
#include "tests/shadow/settings.hpp"

namespace shadow {

namespace {

std::atomic<bool> is_forked{false};
thread_local cudaError_t last_error = cudaSuccess;
thread_local int device_of_thread = 0;

/// A number from the environment, or `otherwise`.
long long number(const char* variable, long long otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr || *text == 0 ? otherwise : std::atoll(text);
}

Settings* from_environment() {
  Settings* const made = new Settings;
  made->seed = static_cast<unsigned>(number("SHADOW_SEED", 1));
  made->devices = static_cast<int>(number("SHADOW_DEVICES", 1));
  made->driver = static_cast<int>(number("SHADOW_DRIVER", CUDART_VERSION));
  made->memory = static_cast<size_t>(number("SHADOW_MEMORY", 8LL << 30));
  made->failing_allocation = static_cast<int>(number("SHADOW_FAIL_ALLOCATION", 0));
  made->failing_launch = static_cast<int>(number("SHADOW_FAIL_LAUNCH", 0));
  made->failing_collective = static_cast<int>(number("SHADOW_FAIL_COLLECTIVE", 0));
  made->failing_capture = static_cast<int>(number("SHADOW_FAIL_CAPTURE", 0));
  made->failing_launch_is_sticky = number("SHADOW_FAIL_LAUNCH_STICKY", 0) != 0;
  made->computes = number("SHADOW_COMPUTES", 1) != 0;
  pthread_atfork(nullptr, nullptr, [] { is_forked = true; });
  return made;
}

/// Files of several programs may be one: every program adds its lines.
void write_kernels() {
  const char* const path = std::getenv("SHADOW_KERNELS");
  if (path == nullptr || *path == 0 || is_forked) return;
  std::string lines;
  for (const std::string& name : kernels()) lines += name + "\n";
  std::ofstream(path, std::ios::app) << lines;
}

void write_counts() {
  write_kernels();
  const char* const path = std::getenv("SHADOW_COUNTS");
  if (path != nullptr && *path != 0 && !is_forked) std::ofstream(path) << counts_as_json();
}

AtomicCounts* new_tallies() {
  std::atexit(write_counts);
  return new AtomicCounts;
}

/// Writes the counts even if the program never uses the device.
const AtomicCounts& made_at_start = tallies();

}  // namespace

Settings& settings() {
  static Settings& made = *from_environment();
  return made;
}

AtomicCounts& tallies() {
  static AtomicCounts& made = *new_tallies();
  return made;
}

struct KernelNames {
  std::mutex mutex;
  std::set<std::string> names;
};

KernelNames& kernel_names() {
  static KernelNames& made = *new KernelNames;
  return made;
}

void note_kernel(const std::string& name) {
  const std::lock_guard<std::mutex> lock(kernel_names().mutex);
  kernel_names().names.insert(name);
}

std::vector<std::string> kernels() {
  const std::lock_guard<std::mutex> lock(kernel_names().mutex);
  return {kernel_names().names.begin(), kernel_names().names.end()};
}

struct RecordedOperations {
  std::atomic<bool> is_on{false};
  std::mutex mutex;
  std::vector<std::string> names;
};

RecordedOperations& operations() {
  static RecordedOperations& made = *new RecordedOperations;
  return made;
}

void note_operation(const std::string& name, int device) {
  if (!operations().is_on) return;
  const std::lock_guard<std::mutex> lock(operations().mutex);
  operations().names.push_back(std::to_string(device) + " " + name);
}

void record_operations(bool records) {
  const std::lock_guard<std::mutex> lock(operations().mutex);
  operations().names.clear();
  operations().is_on = records;
}

std::vector<std::string> recorded_operations() {
  const std::lock_guard<std::mutex> lock(operations().mutex);
  return operations().names;
}

void raise(std::atomic<int64_t>* tally, int64_t value) {
  int64_t before = *tally;
  while (before < value && !tally->compare_exchange_weak(before, value)) {
  }
}

uint64_t draw() {
  return mix((uint64_t(settings().seed) << 32) ^ settings().draws++);
}

bool is_due(std::atomic<int>* remaining) {
  int before = *remaining;
  while (before > 0 && !remaining->compare_exchange_weak(before, before - 1)) {
  }
  return before == 1;
}

int current_device() {
  return device_of_thread;
}

void set_current_device(int device) {
  device_of_thread = device;
}

cudaError_t note(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

cudaError_t state() {
  if (is_forked) return cudaErrorInitializationError;
  if (settings().driver < CUDART_VERSION) return cudaErrorInsufficientDriver;
  if (settings().devices <= 0) return cudaErrorNoDevice;
  return settings().sticky;
}

Counts counts() {
  const AtomicCounts& t = tallies();
  Counts c;
  c.launches = t.launches;
  c.library_calls = t.library_calls;
  c.fills = t.fills;
  c.graph_launches = t.graph_launches;
  c.synchronisations = t.synchronisations;
  c.allocations = t.allocations;
  c.pinned_allocations = t.pinned_allocations;
  c.copies_to_host = t.copies_to_host;
  c.copies_to_device = t.copies_to_device;
  c.copies_on_device = t.copies_on_device;
  c.bytes_to_host = t.bytes_to_host;
  c.bytes_to_device = t.bytes_to_device;
  c.bytes_on_device = t.bytes_on_device;
  c.largest_to_host = t.largest_to_host;
  c.memory_in_use = t.memory_in_use;
  c.memory_peak = t.memory_peak;
  return c;
}

void reset_counts() {
  AtomicCounts& t = tallies();
  for (std::atomic<int64_t>* tally :
       {&t.launches, &t.library_calls, &t.fills, &t.graph_launches, &t.synchronisations,
        &t.allocations, &t.pinned_allocations, &t.copies_to_host, &t.copies_to_device,
        &t.copies_on_device, &t.bytes_to_host, &t.bytes_to_device, &t.bytes_on_device,
        &t.largest_to_host}) {
    *tally = 0;
  }
  t.memory_peak = t.memory_in_use.load();
}

std::string counts_as_json() {
  const Counts c = counts();
  std::ostringstream json;
  const char* comma = "{\n  ";
  const auto line = [&](const char* name, int64_t value) {
    json << comma << '"' << name << "\": " << value;
    comma = ",\n  ";
  };
  line("launches", c.launches);
  line("library_calls", c.library_calls);
  line("fills", c.fills);
  line("graph_launches", c.graph_launches);
  line("synchronisations", c.synchronisations);
  line("allocations", c.allocations);
  line("pinned_allocations", c.pinned_allocations);
  line("copies_to_host", c.copies_to_host);
  line("copies_to_device", c.copies_to_device);
  line("copies_on_device", c.copies_on_device);
  line("bytes_to_host", c.bytes_to_host);
  line("bytes_to_device", c.bytes_to_device);
  line("bytes_on_device", c.bytes_on_device);
  line("largest_to_host", c.largest_to_host);
  line("memory_in_use", c.memory_in_use);
  line("memory_peak", c.memory_peak);
  json << "\n}\n";
  return json.str();
}

void fail_allocation(int n) {
  settings().failing_allocation = n;
}

void fail_launch(int n, bool sticky) {
  settings().failing_launch_is_sticky = sticky;
  settings().failing_launch = n;
}

void fail_collective(int n) {
  settings().failing_collective = n;
}

void fail_capture(int n) {
  settings().failing_capture = n;
}

void clear_sticky_error() {
  settings().sticky = cudaSuccess;
}

void set_seed(unsigned seed) {
  settings().seed = seed;
  settings().draws = 0;
}

unsigned seed() {
  return settings().seed;
}

void set_computes(bool computes) {
  settings().computes = computes;
}

void set_memory(size_t bytes) {
  settings().memory = bytes;
}

void set_devices(int count) {
  settings().devices = count;
}

void set_capability(int capability) {
  settings().capability = capability;
}
void set_driver(int version) {
  settings().driver = version;
}

void set_nccl(int version) {
  settings().nccl = version;
}

}  // namespace shadow

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  shadow::last_error = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  const cudaError_t sticky = shadow::settings().sticky;
  return sticky != cudaSuccess ? sticky : shadow::last_error;
}
