#include "tests/shadow/queue.hpp"

#include <algorithm>
#include <chrono>

#include "tests/shadow/capture.hpp"
#include "tests/shadow/faults.hpp"
#include "tests/shadow/memory.hpp"
#include "tests/shadow/settings.hpp"

namespace shadow {

namespace {

thread_local const Operation* running = nullptr;

/// Sets what running_operation() returns.
class Running {
 public:
  explicit Running(const Operation* operation) { running = operation; }
  ~Running() { running = nullptr; }
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// What needed_for() returns if another thread must add an operation first.
CUstream_st* const kNotThereYet = reinterpret_cast<CUstream_st*>(-1);
/// How long it may take; a program that hangs would be right, but a test should end.
constexpr std::chrono::seconds kPatience(120);

/// Leaves of an operation what set_computes() asks for.
void limit(Operation* operation) {
  if (!operation->computes || settings().computes) return;
  operation->pointers.clear();
  operation->run = operation->without_work;
}

bool is_ready(const CUstream_st& stream) {
  if (stream.waiting.empty()) return false;
  for (const OperationPtr& before : stream.waiting.front()->after) {
    if (!before->done) return false;
  }
  return true;
}

}  // namespace

const Operation* running_operation() {
  return running;
}

cudaError_t ready() {
  return running != nullptr ? cudaErrorNotPermitted : state();
}

cudaError_t find_stream(cudaStream_t* stream) {
  const cudaError_t error = ready();
  if (error != cudaSuccess) return error;
  *stream = Queue::get().stream_of(*stream, current_device());
  return *stream == nullptr ? cudaErrorInvalidResourceHandle : cudaSuccess;
}

Queue& Queue::get() {
  static Queue& made = *new Queue;  // never destroyed: static objects use it until the end
  return made;
}

CUstream_st* Queue::legacy(int device) {
  for (const auto& stream : streams_) {
    if (stream->is_legacy && stream->device == device) return stream.get();
  }
  streams_.emplace_back(new CUstream_st);
  streams_.back()->device = device;
  streams_.back()->is_legacy = streams_.back()->is_blocking = true;
  return streams_.back().get();
}

CUstream_st* Queue::stream_of(cudaStream_t handle, int device) {
  const Lock lock(mutex_);
  if (handle == nullptr || handle == cudaStreamLegacy) return legacy(device);
  for (const auto& stream : streams_) {
    if (stream.get() == handle && !stream->is_destroyed) {
      return stream->device == device ? handle : nullptr;
    }
  }
  return nullptr;
}

CUstream_st* Queue::create(int device, bool blocking) {
  const Lock lock(mutex_);
  streams_.emplace_back(new CUstream_st);
  streams_.back()->device = device;
  streams_.back()->is_legacy = false;
  streams_.back()->is_blocking = blocking;
  return streams_.back().get();
}

bool Queue::destroy(CUstream_st* stream) {
  const Lock lock(mutex_);
  for (const auto& known : streams_) {
    if (known.get() != stream || known->is_destroyed || known->is_legacy) continue;
    known->is_destroyed = true;  // what it holds still runs
    forget_destroyed();
    return true;
  }
  return false;
}

void Queue::forget_destroyed() {
  const auto gone = [](const std::unique_ptr<CUstream_st>& stream) {
    return stream->is_destroyed && stream->waiting.empty();
  };
  streams_.erase(std::remove_if(streams_.begin(), streams_.end(), gone), streams_.end());
}

OperationPtr Queue::add(OperationPtr operation, CUstream_st* stream) {
  if (Captures::get().take(operation, stream)) return operation;
  const Lock lock(mutex_);
  limit(operation.get());
  append(operation, stream);
  return operation;
}

OperationPtr Queue::add_copies(const std::vector<OperationPtr>& captured, CUstream_st* stream,
                               const OperationPtr& before) {
  const Lock lock(mutex_);
  OperationPtr last = before;
  if (before != nullptr && !before->done) stream->waits.push_back(before);
  for (const OperationPtr& operation : captured) {
    last = std::make_shared<Operation>(*operation);
    limit(last.get());
    append(last, stream);
  }
  return last;
}

/// The queue is locked.
void Queue::append(const OperationPtr& operation, CUstream_st* stream) {
  operation->stream = stream;
  operation->device = stream->device;
  operation->seed = draw();
  operation->after.swap(stream->waits);
  for (const auto& other : streams_) {
    if (other.get() == stream || other->device != stream->device || other->last == nullptr)
      continue;
    const bool ordered =
        (stream->is_legacy && other->is_blocking) || (stream->is_blocking && other->is_legacy);
    if (ordered && !other->last->done) operation->after.push_back(other->last);
  }
  stream->waiting.push_back(operation);
  stream->last = operation;
  note_operation(operation->name, operation->device);
  idle_.notify_all();
}

void Queue::wait_in_stream(CUstream_st* stream, const OperationPtr& operation) {
  const Lock lock(mutex_);
  if (operation != nullptr && !operation->done) stream->waits.push_back(operation);
}

void Queue::wait_no_more(const OperationPtr& operation) {
  const Lock lock(mutex_);
  operation->after.clear();
  idle_.notify_all();
}

OperationPtr Queue::last(CUstream_st* stream) {
  const Lock lock(mutex_);
  if (!stream->waits.empty()) {
    const OperationPtr wait = std::make_shared<Operation>();
    wait->name = "a wait for an event";
    append(wait, stream);
  }
  return stream->last;
}

bool Queue::is_done(const OperationPtr& operation) {
  const Lock lock(mutex_);
  return operation == nullptr || operation->done;
}

int64_t Queue::waiting() {
  const Lock lock(mutex_);
  int64_t sum = 0;
  for (const auto& stream : streams_) sum += static_cast<int64_t>(stream->waiting.size());
  return sum;
}

std::vector<CUstream_st*> Queue::ready(int device) const {
  std::vector<CUstream_st*> found;
  for (const auto& stream : streams_) {
    if (stream->device == device && is_ready(*stream)) found.push_back(stream.get());
  }
  return found;
}

/// A stream whose first operation can run and is one that `target` waits for, or target itself.
CUstream_st* Queue::needed_for(const Operation& target, Random* random) const {
  CUstream_st* stream = target.stream;
  while (!is_ready(*stream)) {
    std::vector<const Operation*> missing;
    for (const OperationPtr& before : stream->waiting.front()->after) {
      if (!before->done && before->stream != nullptr) missing.push_back(before.get());
    }
    if (missing.empty()) return kNotThereYet;
    stream = missing[random->below(missing.size())]->stream;
  }
  return stream;
}

void Queue::run_one(const OperationPtr& operation) {
  const Running now_running(operation.get());
  prepare_thread_for_faults();
  for (const uintptr_t pointer : operation->pointers) {
    Memory::get().open(pointer, operation->device_of_memory);
  }
  if (settings().sticky == cudaSuccess && operation->run) operation->run(*operation);
  const std::string wrong = Memory::get().overwritten(operation->pointers);
  if (!wrong.empty()) throw Fault(operation->name + " " + wrong);
}

/// Runs the first operation of a stream; the lock is open meanwhile. A fault leaves the operation
/// done, so that the next one can run.
void Queue::run_next(CUstream_st* stream, Lock* lock) {
  const OperationPtr operation = stream->waiting.front();
  is_running_ = true;
  lock->unlock();
  std::exception_ptr fault;
  try {
    run_one(operation);
  } catch (...) {
    fault = std::current_exception();
  }
  lock->lock();
  is_running_ = false;
  operation->finished_at = now();
  operation->done = true;
  operation->after.clear();
  operation->run = nullptr;
  stream->waiting.pop_front();
  operation->stream = nullptr;
  if (stream->is_destroyed) forget_destroyed();
  idle_.notify_all();
  if (fault != nullptr) {
    Memory::get().close_all();
    std::rethrow_exception(fault);
  }
}

/// Until another thread has changed something.
void Queue::wait_for_others(Lock* lock) {
  Memory::get().close_all();
  if (idle_.wait_for(*lock, kPatience) == std::cv_status::no_timeout) return;
  throw Fault(
      "an operation waits for one that nobody queues, a call of NCCL that a rank leaves out");
}

/// Runs the streams that choose() names until it names none; then the device's memory is closed.
template <typename Choose>
void Queue::run_while(Lock* lock, const Choose& choose) {
  for (;;) {
    while (is_running_) idle_.wait(*lock);
    CUstream_st* const stream = choose();
    if (stream == nullptr) break;
    if (stream == kNotThereYet) {
      wait_for_others(lock);
      continue;
    }
    run_next(stream, lock);
  }
  const std::string wrong = Memory::get().close_all();
  if (!wrong.empty()) throw Fault("a kernel " + wrong);
}

void Queue::finish(const OperationPtr& operation) {
  Lock lock(mutex_);
  if (operation == nullptr || operation->done) return;
  Random random(draw());
  // How much runs that nobody waits for: nothing, some, nearly all that can.
  const uint64_t eagerness = random.below(3) * 45;
  run_while(&lock, [&]() -> CUstream_st* {
    if (operation->done) return nullptr;
    if (random.below(100) < eagerness) {
      const std::vector<CUstream_st*> streams = ready(operation->device);
      if (!streams.empty()) return streams[random.below(streams.size())];
    }
    return needed_for(*operation, &random);
  });
}

void Queue::finish_device(int device) {
  Lock lock(mutex_);
  Random random(draw());
  run_while(&lock, [&]() -> CUstream_st* {
    const std::vector<CUstream_st*> streams = ready(device);
    if (!streams.empty()) return streams[random.below(streams.size())];
    for (const auto& stream : streams_) {  // what this device's streams wait for on another one
      if (stream->device == device && !stream->waiting.empty()) {
        return needed_for(*stream->waiting.front(), &random);
      }
    }
    return nullptr;
  });
}

void Queue::make_progress(int device) {
  Lock lock(mutex_);
  Random random(draw());
  uint64_t left = random.below(4);
  run_while(&lock, [&]() -> CUstream_st* {
    std::vector<CUstream_st*> streams = ready(device);
    if (streams.empty()) {  // it may be waiting for another device, which gets on as well
      for (const auto& stream : streams_) {
        if (is_ready(*stream)) streams.push_back(stream.get());
      }
    }
    if (left == 0 || streams.empty()) return nullptr;
    --left;
    return streams[random.below(streams.size())];
  });
}

int64_t operations_waiting() {
  return Queue::get().waiting();
}

}  // namespace shadow
