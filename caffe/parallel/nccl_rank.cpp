#include "caffe/parallel/nccl_rank.hpp"

#include <cuda_runtime.h>
#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "caffe/util/gpu_context.hpp"
#include "caffe/util/gpu_error.hpp"

namespace caffe {

namespace {

constexpr int kLeastNccl = 21901;  // from then on ncclCommAbort may come from another thread
static_assert(NCCL_VERSION_CODE >= kLeastNccl, "NCCL 2.19.1 or newer is needed");

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kBetweenLooks(200);  // of the watching thread
constexpr milliseconds kPause(1);           // between questions, after the first kQuick ones
constexpr int kQuick = 1000;
constexpr std::chrono::seconds kGoodbye(5);  // the most that the end waits for the other ranks

/// After a question that is to be asked again.
void pause_after(int questions) {
  if (questions < kQuick) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(kPause);
  }
}

/// 21901 is 2.19.1; up to 2.8, 2803 was 2.8.3.
string name_of_version(int version) {
  const int unit = version < 10000 ? 10 : 100;  // of minor versions in a major one
  return std::to_string(version / 100 / unit) + "." + std::to_string(version / 100 % unit) + "." +
         std::to_string(version % 100);
}

/// The library that is loaded may be another one than that of the build.
void check_version() {
  int version = 0;
  const ncclResult_t status = ncclGetVersion(&version);
  CAFFE_CHECK(status == ncclSuccess, "NCCL cannot start: " << ncclGetErrorString(status));
  CAFFE_CHECK(version >= kLeastNccl,
              "NCCL " << name_of_version(version) << " is loaded, and "
                      << name_of_version(kLeastNccl)
                      << " or newer is needed: install a newer libnccl2 or, with wheels, "
                         "nvidia-nccl-cu13, and see that programs find it (LD_LIBRARY_PATH)");
}

/// NCCL would let GPUs of one process read each other's gradients where they are. They lie in the
/// driver's pool, which other GPUs cannot read (NCCL's documentation names this variable for it).
void keep_pools_private() {
  static std::once_flag once;
  std::call_once(once, [] { setenv("NCCL_P2P_DIRECT_DISABLE", "1", 0); });
}

string text_of(ncclResult_t status) {
  const char* const more = ncclGetLastError(nullptr);
  string text = string("NCCL says: ") + ncclGetErrorString(status);
  if (more != nullptr && *more != '\0') text += string(" (") + more + ")";
  if (status == ncclInvalidUsage) text += ". Each rank needs a GPU of its own";
  return text + ". NCCL_DEBUG=WARN in the environment makes it say more";
}

}  // namespace

void prepare_nccl() {
  keep_pools_private();
  check_version();
}

/// The ranks of this process with the same id.
class NcclRank::Group {
 public:
  explicit Group(int size) : size_(size) {}

  /// It stays until all ranks have left, so that a rank that comes late learns of a failure.
  static shared_ptr<Group> of(const string& id, int size) {
    const std::lock_guard<std::mutex> lock(all().mutex);
    shared_ptr<Group>& found = all().groups[id];
    if (found == nullptr) found = std::make_shared<Group>(size);
    return found;
  }

  void join(NcclRank* rank) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ranks_.push_back(rank);
    if (!why_.empty()) rank->end_with(why_);
  }

  /// A rank makes no more calls; true if it was the last.
  bool leave(NcclRank* rank) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ranks_.erase(std::remove(ranks_.begin(), ranks_.end(), rank), ranks_.end());
    if (left_++ == 0 || rank->calls_ < fewest_calls_) {
      who_left_ = rank->name_ + " has ended after " + std::to_string(rank->calls_) +
                  " sums, and others wait for more";
      fewest_calls_ = rank->calls_;
    }
    for (const NcclRank* const other : ranks_) {
      if (other->calls_ > fewest_calls_) end_all_locked(who_left_);
    }
    return left_ == size_;
  }
  static void forget(const string& id) {
    const std::lock_guard<std::mutex> lock(all().mutex);
    all().groups.erase(id);
  }

  /// Throws if a rank that has left does not make the call that `rank` makes now.
  void check_call(const NcclRank& rank) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!why_.empty()) throw Error(why_);  // the reason, also if that rank has left since
    if (left_ > 0 && rank.calls_ > fewest_calls_) throw Error(rank.name_ + ": " + who_left_);
  }

  bool has_ended() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return !why_.empty();
  }

  void end_all(const string& why) {
    const std::lock_guard<std::mutex> lock(mutex_);
    end_all_locked(why);
  }

 private:
  struct All {
    std::mutex mutex;
    map<string, shared_ptr<Group>> groups;  // by id
  };
  static All& all() {
    static All& made = *new All;  // still there when static objects are destroyed
    return made;
  }

  void end_all_locked(const string& why) {
    if (why_.empty()) why_ = why;
    for (NcclRank* const rank : ranks_) rank->end_with(why_);
  }

  const int size_;
  std::mutex mutex_;  // is locked before a rank's
  vector<NcclRank*> ranks_;
  string why_;  // if ended
  int left_ = 0;
  int64_t fewest_calls_ = 0;  // of those that left
  string who_left_;
};

NcclRank::NcclRank(const string& id, int rank, int size, std::function<string()> failure)
    : rank_(rank),
      size_(size),
      device_(GpuContext::current().device()),
      name_("rank " + std::to_string(rank) + " of " + std::to_string(size) + " (GPU " +
            std::to_string(device_) + ")"),
      exceptions_(std::uncaught_exceptions()),
      id_(id),
      failure_(std::move(failure)),
      group_(Group::of(id, size)) {
  CAFFE_CHECK(id.size() == sizeof(ncclUniqueId),
              "an id of NCCL has " << sizeof(ncclUniqueId) << " bytes, not " << id.size());
  group_->join(this);
  try {
    connect();
  } catch (const std::exception& error) {
    abort(error.what());
    close();
    throw;
  }
}

NcclRank::~NcclRank() {
  if (is_parents_gpu()) {  // this process has no such thread
    if (watcher_.joinable()) watcher_.detach();
    return;
  }
  if (pending_ || std::uncaught_exceptions() > exceptions_) abort(name_ + " has ended");
  close();
}

void NcclRank::connect() {
  prepare_nccl();
  check_gpu(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making NCCL's stream");
  for (CUevent_st** const event : {&ready_, &done_}) {
    check_gpu(cudaEventCreateWithFlags(event, cudaEventDisableTiming), "making NCCL's stream");
  }
  ncclUniqueId id;
  std::memcpy(&id, id_.data(), sizeof id);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  int status = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    status = ncclCommInitRankConfig(&comm_, size_, id, rank_, &config);
  }
  watcher_ = std::thread([this] { watch(); });
  settle(status, "connecting the GPUs");
}

/// Gives everything back. The watching thread is there until the stream is empty.
void NcclRank::close() noexcept {
  const OnDevice here(device_);
  if (stream_ != nullptr) cudaStreamSynchronize(stream_);
  const bool was_last = group_->leave(this);
  stop_watching();
  if (comm_ != nullptr) say_goodbye();
  if (ready_ != nullptr) cudaEventDestroy(ready_);
  if (done_ != nullptr) cudaEventDestroy(done_);
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
  cudaGetLastError();
  if (was_last) Group::forget(id_);
}

void NcclRank::stop_watching() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_closing_ = true;
  }
  change_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

/// NCCL's own end waits for the ranks of this machine. One that does not come within some seconds
/// costs the memory of this communicator, until the process ends; if one has failed, none waits.
void NcclRank::say_goodbye() {
  const auto until = steady_clock::now() + kGoodbye;
  ncclResult_t status = ncclCommFinalize(comm_);
  for (int i = 0; status == ncclInProgress && steady_clock::now() < until; ++i) {
    pause_after(i);
    if (group_->has_ended()) {
      ncclCommAbort(comm_);
      return;
    }
    if (ncclCommGetAsyncError(comm_, &status) != ncclSuccess) return;
  }
  if (status == ncclSuccess) ncclCommDestroy(comm_);
}

/// Why the sums will never come; "" if they may. With mutex_ locked.
string NcclRank::find_failure() {
  const string told = failure_ ? failure_() : "";
  if (!told.empty()) return told;
  ncclResult_t status = ncclSuccess;
  if (comm_ == nullptr || ncclCommGetAsyncError(comm_, &status) != ncclSuccess) return "";
  if (status == ncclSuccess || status == ncclInProgress) return "";
  return name_ + ": the connection to the other GPUs broke: " + text_of(status);
}

void NcclRank::watch() {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto is_over = [this] { return is_closing_ || is_ended_; };
  while (!change_.wait_for(lock, kBetweenLooks, is_over)) {
    const string why = find_failure();
    if (why.empty()) continue;
    lock.unlock();
    group_->end_all(why);
    lock.lock();
  }
  if (!is_ended_ || comm_ == nullptr) return;
  ncclComm* const ended = comm_;
  comm_ = nullptr;
  lock.unlock();
  ncclCommAbort(ended);
}

/// Called by the group.
void NcclRank::end_with(const string& why) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!is_ended_) why_ = why;
  is_ended_ = true;
  change_.notify_all();
}

void NcclRank::abort(const string& why) noexcept {
  group_->end_all(why);
}

void NcclRank::fail(int status, const char* what) {
  const string why = name_ + ": " + what + ": " + text_of(static_cast<ncclResult_t>(status));
  abort(why);
  throw Error(why);
}

/// Waits until NCCL has done on the host what it was asked to do.
void NcclRank::settle(int status, const char* what) {
  for (int i = 0; status == ncclInProgress; ++i) {
    if (i > 0) pause_after(i);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (comm_ == nullptr || is_ended_) throw Error(why_);
    ncclResult_t state = ncclSuccess;
    const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
    status = asked == ncclSuccess ? state : asked;
  }
  if (status != ncclSuccess) fail(status, what);
}

/// Hands the calls to NCCL; its answer.
int NcclRank::queue(const vector<Part>& parts, bool are_doubles, int root) {
  const ncclDataType_t type = are_doubles ? ncclFloat64 : ncclFloat32;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (comm_ == nullptr) throw Error(why_);
  ncclResult_t worst = ncclSuccess;
  const auto note = [&worst](ncclResult_t status) {
    if (worst == ncclSuccess || worst == ncclInProgress) worst = status;
  };
  note(ncclGroupStart());
  for (const Part& part : parts) {
    void* const values = part.second;
    note(root < 0 ? ncclAllReduce(values, values, part.first, type, ncclSum, comm_, stream_)
                  : ncclBroadcast(values, values, part.first, type, root, comm_, stream_));
  }
  note(ncclGroupEnd());
  return worst;
}

void NcclRank::call(const vector<Part>& parts, bool are_doubles, int root) {
  calls_ += static_cast<int64_t>(parts.size());
  group_->check_call(*this);
  check();
  GpuContext& mine = GpuContext::current();
  CAFFE_CHECK(mine.device() == device_,
              name_ << " was asked from a thread on GPU " << mine.device());
  pending_ = true;
  check_gpu(cudaEventRecord(ready_, mine.stream()), "marking gradients as ready");
  check_gpu(cudaStreamWaitEvent(stream_, ready_, 0), "waiting for gradients");
  settle(queue(parts, are_doubles, root), root < 0 ? "adding up gradients" : "sending weights");
}

void NcclRank::wait() {
  if (!pending_) return;
  check();
  check_gpu(cudaEventRecord(done_, stream_), "marking sums as complete");
  check_gpu(cudaStreamWaitEvent(GpuContext::current().stream(), done_, 0), "waiting for sums");
  pending_ = false;
}

void NcclRank::check() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (is_ended_) throw Error(why_);
}

}  // namespace caffe
