// A stand-in for NCCL on the shadow devices, for the threads of one process.
//
// A rank's part of a call is two operations of its stream. The first takes what the rank gives; the
// second runs only after the first ones of all ranks, and writes the result, added up in the order
// of the ranks. So gradients that are not complete yet, or are used too early, give wrong numbers.
// A call of a communicator that does not block is queued only while its state is asked for, as
// NCCL may do. What a rank never joins stays open until the others abort.

#include <nccl.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

#include "tests/shadow/capture.hpp"
#include "tests/shadow/control.hpp"
#include "tests/shadow/lazy_loading.hpp"
#include "tests/shadow/library_call.hpp"
#include "tests/shadow/queue.hpp"
#include "tests/shadow/settings.hpp"

using shadow::Fault;
using shadow::Operation;
using shadow::OperationPtr;
using shadow::Queue;

namespace {

/// One call that all ranks make.
struct Collective {
  explicit Collective(size_t ranks) : given(ranks), is_dropped(ranks) {}

  std::string what;                           // "a sum of 10 floats"
  std::vector<OperationPtr> arrivals;         // [rank], made by the rank that comes first
  std::vector<std::vector<char>> given;       // [rank]
  std::vector<std::atomic<bool>> is_dropped;  // [rank], by ncclCommAbort
  int made = 0;                               // by how many ranks
};
typedef std::shared_ptr<Collective> CollectivePtr;

/// The ranks of one id. The mutex guards all that is below, and the ranks' own state.
struct Group {
  explicit Group(int size) : ranks(size, nullptr) {}
  std::mutex mutex;
  std::vector<ncclComm*> ranks;            // null: not there yet, or gone
  int joined = 0, finalized = 0;           // how many have called
  std::set<int> devices;                   // of those that joined
  std::map<int64_t, CollectivePtr> calls;  // by number, those that not all ranks have made
};

struct Groups {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Group>> by_id;
  int64_t made = 0;

  static Groups& get() {
    static Groups& all = *new Groups;
    return all;
  }
};

/// A call of one rank.
struct Call {
  ncclComm_t comm;
  const void* send;
  void* receive;
  size_t count;
  ncclDataType_t type;
  int root;  // -1: a sum
  CUstream_st* stream;

  size_t size() const { return type == ncclFloat64 ? sizeof(double) : sizeof(float); }
  size_t bytes() const { return count * size(); }
  std::string what() const {
    return std::string(root < 0 ? "a sum" : "a broadcast from rank " + std::to_string(root)) +
           " of " + std::to_string(count) + (type == ncclFloat64 ? " doubles" : " floats");
  }
};

thread_local int group_depth = 0;
thread_local std::vector<Call> grouped;
thread_local std::string last_error;

ncclResult_t fail(ncclResult_t result, const std::string& why) {
  last_error = why;
  return result;
}

}  // namespace

struct ncclComm {
  std::shared_ptr<Group> group;
  int rank, device;
  bool blocks;
  bool is_finalized = false;
  ncclResult_t error = ncclSuccess;                          // asynchronous
  int64_t calls = 0;                                         // so far
  std::deque<Call> waiting;                                  // to be queued
  int polls = 0;                                             // until then
  std::vector<std::pair<CollectivePtr, OperationPtr>> open;  // its second operations
};

namespace {

template <typename T>
void add_up(const Collective& call, size_t count, char* result) {
  for (size_t i = 0; i < count; ++i) {
    T sum = 0;
    for (size_t rank = 0; rank < call.given.size(); ++rank) {
      T value;
      std::memcpy(&value, call.given[rank].data() + i * sizeof(T), sizeof(T));
      sum = rank == 0 ? value : sum + value;
    }
    std::memcpy(result + i * sizeof(T), &sum, sizeof(T));
  }
}

/// The call that this rank makes next.
CollectivePtr joined(const Call& call) {
  Group& group = *call.comm->group;
  const int64_t number = call.comm->calls++;
  CollectivePtr& found = group.calls[number];
  if (found == nullptr) {
    found = std::make_shared<Collective>(group.ranks.size());
    found->what = call.what();
    for (size_t rank = 0; rank < group.ranks.size(); ++rank) {
      found->arrivals.push_back(std::make_shared<Operation>());
    }
  }
  if (found->what != call.what()) {
    throw Fault("NCCL: rank " + std::to_string(call.comm->rank) + " makes " + call.what() +
                " where another rank makes " + found->what);
  }
  const CollectivePtr result = found;
  if (++result->made == static_cast<int>(group.ranks.size())) group.calls.erase(number);
  return result;
}

/// Queues both operations of a call.
void queue(const Call& call) {
  const CollectivePtr collective = joined(call);
  const int rank = call.comm->rank;
  ++shadow::tallies().library_calls;
  const OperationPtr arrival = collective->arrivals[rank];
  arrival->name = "NCCL, the begin of " + call.what();
  arrival->device_of_memory = call.comm->device;
  arrival->pointers = {reinterpret_cast<uintptr_t>(call.send)};
  arrival->computes = true;
  arrival->run = [=](const Operation&) {
    const char* const values = static_cast<const char*>(call.send);
    collective->given[rank].assign(values, values + call.bytes());
  };
  Queue::get().add(arrival, call.stream);
  for (const OperationPtr& other : collective->arrivals) {
    Queue::get().wait_in_stream(call.stream, other);
  }
  const OperationPtr end = std::make_shared<Operation>();
  end->name = "NCCL, the end of " + call.what();
  end->device_of_memory = call.comm->device;
  end->pointers = {reinterpret_cast<uintptr_t>(call.receive)};
  end->computes = true;
  end->run = [=](const Operation&) {
    if (collective->is_dropped[rank]) return;
    char* const result = static_cast<char*>(call.receive);
    if (call.root >= 0) {
      std::memcpy(result, collective->given[call.root].data(), call.bytes());
    } else if (call.type == ncclFloat64) {
      add_up<double>(*collective, call.count, result);
    } else {
      add_up<float>(*collective, call.count, result);
    }
  };
  Queue::get().add(end, call.stream);
  auto& open = call.comm->open;
  for (size_t i = open.size(); i-- > 0;) {
    if (Queue::get().is_done(open[i].second)) open.erase(open.begin() + static_cast<long>(i));
  }
  open.emplace_back(collective, end);
}

bool is_captured(CUstream_st* stream) {
  return shadow::Captures::get().before(shadow::Use::kRefused, stream) != cudaSuccess;
}

/// Queues calls that were made, or notes the fault that a test asked for. The group is locked.
void queue_waiting(ncclComm_t comm) {
  for (; !comm->waiting.empty(); comm->waiting.pop_front()) {
    if (comm->error != ncclSuccess) continue;
    if (shadow::is_due(&shadow::settings().failing_collective)) {
      comm->error = ncclRemoteError;
      continue;
    }
    if (is_captured(comm->waiting.front().stream)) {  // since the call
      comm->error = ncclUnhandledCudaError;
      continue;
    }
    queue(comm->waiting.front());
  }
}

ncclResult_t submit(ncclComm_t comm, const std::vector<Call>& calls) {
  const std::lock_guard<std::mutex> lock(comm->group->mutex);
  if (comm->error != ncclSuccess) return comm->error;
  for (const Call& call : calls) comm->waiting.push_back(call);
  comm->polls = static_cast<int>(shadow::draw() % 3);
  if (!comm->blocks && comm->polls > 0) return ncclInProgress;
  queue_waiting(comm);
  return comm->error;
}

ncclResult_t make(const Call& wanted, cudaStream_t stream) {
  Call call = wanted;
  if (!shadow::library_works()) return fail(ncclUnhandledCudaError, "no device works");
  shadow::check_memory("NCCL", call.send, call.bytes());
  shadow::check_memory("NCCL", call.receive, call.bytes());
  call.stream = Queue::get().stream_of(stream, call.comm->device);
  if (call.stream == nullptr) {
    return fail(ncclInvalidArgument, "the stream is not one of the communicator's device");
  }
  if (is_captured(call.stream)) {
    return fail(ncclUnhandledCudaError, "the stand-in takes no calls on a stream that is captured");
  }
  if (group_depth > 0) {
    grouped.push_back(call);
    return call.comm->blocks ? ncclSuccess : ncclInProgress;
  }
  return submit(call.comm, {call});
}

std::string text_of(const ncclUniqueId& id) {
  return std::string(id.internal, sizeof id.internal);
}

/// Whether a rank's calls on the device are not complete.
bool is_busy_on(Group* group, int device) {
  const std::lock_guard<std::mutex> lock(group->mutex);
  for (const ncclComm* const rank : group->ranks) {
    if (rank == nullptr || rank->device != device) continue;
    if (!rank->waiting.empty()) return true;
    for (const auto& call : rank->open) {
      if (!Queue::get().is_done(call.second)) return true;
    }
  }
  return false;
}

}  // namespace

bool shadow::waits_for_ranks(int device) {
  Groups& groups = Groups::get();
  const std::lock_guard<std::mutex> lock(groups.mutex);
  for (const auto& group : groups.by_id) {
    if (is_busy_on(group.second.get(), device)) return true;
  }
  return false;
}

ncclResult_t ncclGetVersion(int* version) {
  *version = shadow::settings().nccl;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (!shadow::library_works()) return fail(ncclUnhandledCudaError, "no device works");
  Groups& groups = Groups::get();
  const std::lock_guard<std::mutex> lock(groups.mutex);
  std::memset(id->internal, 0, sizeof id->internal);
  const std::string text = std::to_string(getpid()) + "." + std::to_string(++groups.made);
  std::memcpy(id->internal, text.data(), text.size());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (!shadow::library_may_allocate()) return fail(ncclUnhandledCudaError, "no device works");
  if (ranks < 1 || rank < 0 || rank >= ranks) return fail(ncclInvalidArgument, "no such rank");
  if (std::atol(id.internal) != getpid()) {
    return fail(ncclSystemError,
                "the shadow device's NCCL works among threads of one process, and this id is of "
                "another process");
  }
  std::shared_ptr<Group> group;
  {
    Groups& groups = Groups::get();
    const std::lock_guard<std::mutex> lock(groups.mutex);
    std::shared_ptr<Group>& found = groups.by_id[text_of(id)];
    if (found == nullptr) found = std::make_shared<Group>(ranks);
    group = found;
  }
  const std::lock_guard<std::mutex> lock(group->mutex);
  if (static_cast<int>(group->ranks.size()) != ranks || group->ranks[rank] != nullptr) {
    return fail(ncclInvalidUsage, "this rank is there already, or the others expect more or fewer");
  }
  *comm = new ncclComm;
  (*comm)->group = group;
  (*comm)->rank = rank;
  (*comm)->device = shadow::current_device();
  (*comm)->blocks = config == nullptr || config->blocking != 0;
  group->ranks[rank] = *comm;
  ++group->joined;
  group->devices.insert((*comm)->device);
  if ((*comm)->blocks) throw Fault("NCCL: the stand-in has no communicators that block");
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  Group& group = *comm->group;
  const std::lock_guard<std::mutex> lock(group.mutex);
  const int size = static_cast<int>(group.ranks.size());
  if (comm->error == ncclSuccess && group.joined == size &&
      static_cast<int>(group.devices.size()) < size) {
    comm->error = ncclInvalidUsage;
    last_error = "two ranks use one GPU";
  }
  if (comm->error == ncclSuccess && !comm->waiting.empty() && --comm->polls <= 0) {
    queue_waiting(comm);
  }
  *state = comm->error;
  const bool is_busy = group.joined < size || !comm->waiting.empty() ||
                       (comm->is_finalized && group.finalized < size);
  if (*state == ncclSuccess && is_busy) *state = ncclInProgress;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  const std::lock_guard<std::mutex> lock(comm->group->mutex);
  comm->is_finalized = true;
  ++comm->group->finalized;
  return ncclInProgress;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  const std::shared_ptr<Group> group = comm->group;
  const std::lock_guard<std::mutex> lock(group->mutex);
  for (const auto& [collective, operation] : comm->open) {
    collective->is_dropped[comm->rank] = true;
    Queue::get().wait_no_more(operation);
  }
  group->ranks[comm->rank] = nullptr;
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  for (const auto& [collective, operation] : comm->open) {
    if (!Queue::get().is_done(operation)) {
      throw Fault("NCCL: a communicator is destroyed while " + collective->what + " is queued");
    }
  }
  return ncclCommAbort(comm);
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error";
    case ncclSystemError:
      return "unhandled system error";
    case ncclInternalError:
      return "internal error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInvalidUsage:
      return "invalid usage";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
  }
  return "unknown result code";
}

const char* ncclGetLastError(ncclComm_t) {
  return last_error.c_str();
}

ncclResult_t ncclAllReduce(const void* send, void* receive, size_t count, ncclDataType_t type,
                           ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  return make({comm, send, receive, count, type, -1, nullptr}, stream);
}

ncclResult_t ncclBroadcast(const void* send, void* receive, size_t count, ncclDataType_t type,
                           int root, ncclComm_t comm, cudaStream_t stream) {
  return make({comm, send, receive, count, type, root, nullptr}, stream);
}

ncclResult_t ncclGroupStart() {
  ++group_depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (group_depth == 0) return fail(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (--group_depth > 0 || grouped.empty()) return ncclSuccess;
  std::vector<Call> calls;
  calls.swap(grouped);
  for (const Call& call : calls) {
    if (call.comm != calls[0].comm) throw Fault("NCCL: the stand-in groups calls of one rank only");
  }
  return submit(calls[0].comm, calls);
}
