// libcaffe_mpi.so: ranks by MPI.
//
// One thread of the process, the worker, makes all MPI calls, so that MPI needs no locks, and so
// that sums progress while the layers compute: MPI progresses only inside its calls. It polls what
// was started, first without sleeping, then with short sleeps: it must not take a core from the
// layers. The other threads wait without spinning.
//
// After a failure the worker makes no MPI call any more: sums that were started would still write
// to memory that its owners are free to release by then. Such a process ends without MPI_Finalize,
// and the launcher ends the others.
//
// The same bits in all ranks. The standard defines one result of MPI_Allreduce, which all ranks
// get, and recommends that the same arguments in the same order give the same result again. The
// algorithms of Open MPI and MPICH keep that for IEEE sums: either one rank reduces an element and
// the others receive it, or two ranks add the same two values, which commutes (but for the payload
// of a NaN).

#include "caffe/parallel/mpi_plugin.hpp"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "caffe/common.hpp"
#include "caffe/parallel/mpi_notes.hpp"

namespace caffe {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr double kLogsWithin = 1;  // seconds that a failed rank gives the others to log the reason

/// A number in the environment; `otherwise` if there is none.
double setting(const char* variable, double otherwise) {
  const char* const text = std::getenv(variable);
  if (text == nullptr || *text == '\0') return otherwise;
  char* end = nullptr;
  const double value = std::strtod(text, &end);
  CAFFE_CHECK(*end == '\0' && value >= 0, variable << " is '" << text << "': not a number from 0");
  return value;
}

MPI_Datatype type_of(const float*) {
  return MPI_FLOAT;
}
MPI_Datatype type_of(const double*) {
  return MPI_DOUBLE;
}

/// The calling thread works for moments and sleeps in between. While others keep all cores busy, it
/// shall not wait for the end of their turns: it asks for short turns of its own, which come sooner
/// (a sum of a few values took 5 ms without, 2 ms with it, on a busy machine). Linux before 6.12
/// knows no such wish.
void wake_quickly() {
  prctl(PR_SET_TIMERSLACK, 1000UL);  // ns; by default sleeps take 50 us longer
  struct {                           // Linux's sched_attr
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;  // ns
  } wish = {};
  wish.size = sizeof wish;
  wish.nice = getpriority(PRIO_PROCESS, 0);
  wish.runtime = 100000;
  syscall(SYS_sched_setattr, 0, &wish, 0);
}

typedef std::vector<MPI_Request> Requests;
/// Starts MPI calls and adds their requests.
typedef std::function<void(Requests* requests)> Work;

/// Room for one more request.
MPI_Request* one_more(Requests* requests) {
  requests->push_back(MPI_REQUEST_NULL);
  return &requests->back();
}

class MpiRanks : public Communicator {
 public:
  /// Collective.
  explicit MpiRanks(const Launch& launch);
  void leave();

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }
  void broadcast(int root, size_t bytes, void* data) override;
  std::vector<std::string> gather(const std::string& mine) override;
  void barrier() override;
  void start_sum(size_t n, float* values) override { start(n, values); }
  void start_sum(size_t n, double* values) override { start(n, values); }
  void wait() override;
  std::string failure() override;
  void abort(const std::string& why) override;

 private:
  // Of the threads that call.
  template <typename Dtype>
  void start(size_t n, Dtype* values);
  void submit(Work work);
  void check_process() const;

  // Of the worker.
  void run(const Launch& launch);
  void start_mpi();
  void join(const Launch& launch);
  void serve();
  bool progress();
  void complete_calls();
  void pause();
  void finish();
  void stop(const std::string& failure);

  int rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1;
  double timeout_ = 15;            // s
  size_t part_ = size_t{1} << 30;  // elements of one MPI call at most
  int process_ = maap::process_generation();

  std::mutex mutex_;  // of what follows
  std::condition_variable wake_, changed_;
  bool started_ = false, leaving_ = false, stopped_ = false;
  std::string abort_;  // why the caller ends the group
  std::string failure_;
  std::deque<Work> works_;
  int64_t begun_ = 0, done_ = 0, taken_ = 0;  // calls; taken: their end was waited for
  bool busy_ = false;                         // requests_ is not empty
  bool waits_ = false;                        // a thread, for all that was started

  // The worker's own.
  bool our_mpi_ = true;  // MPI was started here
  MPI_Comm data_ = MPI_COMM_NULL;
  std::unique_ptr<MpiNotes> notes_;
  Requests requests_;
  Clock::time_point last_change_ = Clock::now(), failed_at_ = Clock::now();

  std::thread worker_;
};

// ---- the threads that call

MpiRanks::MpiRanks(const Launch& launch) {
  timeout_ = setting("CAFFE_RANKS_TIMEOUT", timeout_);
  // For tests: smaller parts.
  part_ = static_cast<size_t>(std::max(1.0, setting("CAFFE_MPI_PART", static_cast<double>(part_))));
  worker_ = std::thread([this, launch] { run(launch); });
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return started_ || stopped_; });
  if (started_) return;
  lock.unlock();
  worker_.join();
  throw Error(failure_);
}

void MpiRanks::leave() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    leaving_ = true;
    wake_.notify_all();
  }
  worker_.join();
  if (failure_.empty()) return;
  // The launcher ends all ranks when the first one ends with an error.
  const double left = kLogsWithin - seconds_since(failed_at_);
  if (left > 0) std::this_thread::sleep_for(std::chrono::duration<double>(left));
}

void MpiRanks::check_process() const {
  CAFFE_CHECK(process_ == maap::process_generation(),
              "a forked child is not a rank: only the process that the launcher started is");
}

void MpiRanks::submit(Work work) {
  check_process();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!failure_.empty()) throw Error(failure_);
  works_.push_back(std::move(work));
  ++begun_;
  wake_.notify_all();
}

void MpiRanks::wait() {
  check_process();
  std::unique_lock<std::mutex> lock(mutex_);
  const bool is_new = taken_ < begun_;
  waits_ = true;
  changed_.wait(lock, [this] { return stopped_ || (works_.empty() && !busy_); });
  waits_ = false;
  taken_ = begun_;
  // Complete sums count on all ranks, however soon one fails.
  if (is_new && works_.empty() && !busy_) return;
  if (!failure_.empty()) throw Error(failure_);
}

std::string MpiRanks::failure() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failure_;
}

void MpiRanks::abort(const std::string& why) {
  check_process();
  std::unique_lock<std::mutex> lock(mutex_);
  if (abort_.empty()) abort_ = why.empty() ? rank_name(rank_, size_) + " ended the group" : why;
  wake_.notify_all();
  changed_.wait(lock, [this] { return stopped_; });
}

template <typename Dtype>
void MpiRanks::start(size_t n, Dtype* values) {
  submit([this, n, values](Requests* requests) {
    for (size_t begin = 0; begin < n; begin += part_) {
      CAFFE_MPI(MPI_Iallreduce, MPI_IN_PLACE, values + begin,
                static_cast<int>(std::min(part_, n - begin)), type_of(values), MPI_SUM, data_,
                one_more(requests));
    }
  });
}

void MpiRanks::broadcast(int root, size_t bytes, void* data) {
  CAFFE_CHECK(root >= 0 && root < size_, "broadcast from rank " << root << " of " << size_);
  submit([this, root, bytes, data](Requests* requests) {
    for (size_t begin = 0; begin < bytes; begin += part_) {
      CAFFE_MPI(MPI_Ibcast, static_cast<char*>(data) + begin,
                static_cast<int>(std::min(part_, bytes - begin)), MPI_BYTE, root, data_,
                one_more(requests));
    }
  });
  wait();
}

std::vector<std::string> MpiRanks::gather(const std::string& mine) {
  uint64_t bytes = mine.size();
  std::vector<uint64_t> sizes(size_);
  submit([this, &bytes, &sizes](Requests* requests) {
    CAFFE_MPI(MPI_Iallgather, &bytes, sizeof(bytes), MPI_BYTE, sizes.data(), sizeof(bytes),
              MPI_BYTE, data_, one_more(requests));
  });
  wait();
  std::vector<std::string> all(size_);
  for (int i = 0; i < size_; ++i) {
    if (i == rank_) all[i] = mine;
    all[i].resize(sizes[i]);
    broadcast(i, all[i].size(), &all[i][0]);
  }
  return all;
}

void MpiRanks::barrier() {
  submit([this](Requests* requests) { CAFFE_MPI(MPI_Ibarrier, data_, one_more(requests)); });
  wait();
}

// ---- the worker

void MpiRanks::run(const Launch& launch) {
  wake_quickly();
  try {
    join(launch);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      started_ = true;
      changed_.notify_all();
    }
    serve();
  } catch (const std::exception& error) {
    stop(started_ ? rank_name(rank_, size_) + ": " + error.what() : error.what());
  }
}

void MpiRanks::start_mpi() {
  int running = 0, provided = MPI_THREAD_SINGLE;
  CAFFE_MPI(MPI_Initialized, &running);
  our_mpi_ = !running;
  // If others call MPI as well, from their own threads, MPI must have locks.
  const int wanted = running ? MPI_THREAD_MULTIPLE : MPI_THREAD_SERIALIZED;
  if (running) {
    CAFFE_MPI(MPI_Query_thread, &provided);
  } else {
    CAFFE_MPI(MPI_Init_thread, nullptr, nullptr, wanted, &provided);
  }
  CAFFE_CHECK(provided >= wanted,
              "this MPI library was built or started without the support for threads that the "
              "engine needs ("
                  << (running ? "MPI_THREAD_MULTIPLE" : "MPI_THREAD_SERIALIZED") << ")");
}

void MpiRanks::join(const Launch& launch) {
  start_mpi();
  CAFFE_MPI(MPI_Comm_size, MPI_COMM_WORLD, &size_);
  if (launch.size > 0 && launch.size != size_) {
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(version, &length);
    const std::string name = std::string(version).substr(0, std::string(version).find(','));
    if (our_mpi_) MPI_Finalize();
    CAFFE_FAIL("MPI finds " << size_ << " rank(s). libcaffe_mpi.so was built for " << name
                            << ": start the ranks with its own mpirun, or with 'srun --mpi=pmix' "
                               "where Slurm has that");
  }
  CAFFE_MPI(MPI_Comm_dup, MPI_COMM_WORLD, &data_);
  CAFFE_MPI(MPI_Comm_set_errhandler, data_, MPI_ERRORS_RETURN);  // inherited by duplicates
  CAFFE_MPI(MPI_Comm_rank, data_, &rank_);
  MPI_Comm machine = MPI_COMM_NULL;
  CAFFE_MPI(MPI_Comm_split_type, data_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &machine);
  CAFFE_MPI(MPI_Comm_rank, machine, &local_rank_);
  CAFFE_MPI(MPI_Comm_size, machine, &local_size_);
  CAFFE_MPI(MPI_Comm_free, &machine);
  notes_ = std::make_unique<MpiNotes>(data_, timeout_);
}

void MpiRanks::serve() {
  for (;;) {
    if (progress()) last_change_ = Clock::now();
    notes_->exchange();
    std::string failure = notes_->failure();
    bool leaves = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (failure.empty()) failure = abort_;
      leaves = leaving_ && works_.empty() && !busy_;
    }
    if (!failure.empty()) {
      if (notes_->was_told()) {
        complete_calls();
        notes_->answer();
      } else {
        notes_->tell_failure(failure);
      }
      return stop(failure);
    }
    if (leaves && notes_->leave()) return finish();
    pause();
  }
}

/// Starts what was submitted and asks for what was started. Returns whether something changed.
bool MpiRanks::progress() {
  std::deque<Work> works;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    works.swap(works_);
    if (!works.empty()) busy_ = true;
    if (!busy_) done_ = begun_;
    notes_->set_calls(begun_, done_);
  }
  for (const Work& work : works) work(&requests_);
  if (requests_.empty() && works.empty()) return false;
  int count = 0;
  std::vector<int> done(requests_.size());
  CAFFE_MPI(MPI_Testsome, static_cast<int>(requests_.size()), requests_.data(), &count, done.data(),
            MPI_STATUSES_IGNORE);
  requests_.erase(std::remove(requests_.begin(), requests_.end(), MPI_REQUEST_NULL),
                  requests_.end());
  if (requests_.empty()) {
    const std::lock_guard<std::mutex> lock(mutex_);
    busy_ = false;
    done_ = begun_ - static_cast<int64_t>(works_.size());
    notes_->set_calls(begun_, done_);
    changed_.notify_all();
  }
  return count > 0 || !works.empty();
}

/// After another rank has failed: completes calls that were complete there. The ranks that have
/// told go on until they are answered.
void MpiRanks::complete_calls() {
  const auto can_be_completed = [this] {
    const std::lock_guard<std::mutex> lock(mutex_);
    return (busy_ || !works_.empty()) && begun_ <= notes_->calls_of_failed();
  };
  const Clock::time_point start = Clock::now();
  while (can_be_completed() && seconds_since(start) < kLogsWithin) {
    if (!progress()) std::this_thread::sleep_for(microseconds(50));
  }
}

/// Between two polls: the longer nothing has changed, the longer, and more sparingly while the
/// layers compute (a sleep takes the processor for 20 us). While nothing is started, a new call
/// ends the pause.
void MpiRanks::pause() {
  const double quiet = seconds_since(last_change_);
  std::unique_lock<std::mutex> lock(mutex_);
  if (!busy_) {
    wake_.wait_for(lock, milliseconds(quiet < 1 ? 2 : 10),
                   [this] { return !works_.empty() || !abort_.empty(); });
    return;
  }
  const double longest = !waits_ ? 500 : quiet < 0.1 ? 100 : quiet < 1 ? 200 : 1000;  // us
  lock.unlock();
  if (quiet < 50e-6) {
    sched_yield();
  } else {
    const double sleep = std::min(std::max(20.0, quiet * 1e6 / 10), longest);
    std::this_thread::sleep_for(microseconds(static_cast<int>(sleep)));
  }
}

/// Ends MPI, after all ranks have left.
void MpiRanks::finish() {
  notes_->finish();
  CAFFE_MPI(MPI_Comm_free, &data_);
  if (our_mpi_) MPI_Finalize();
  stop("");
}

/// Ends all calls; with an error, if there was a failure.
void MpiRanks::stop(const std::string& failure) {
  const std::lock_guard<std::mutex> lock(mutex_);
  failed_at_ = Clock::now();
  failure_ = failure;
  stopped_ = true;
  changed_.notify_all();
}

}  // namespace
}  // namespace caffe

caffe::Communicator* caffe_mpi_join(const caffe::Launch& launch, std::string* error) {
  try {
    std::unique_ptr<caffe::MpiRanks> ranks(new caffe::MpiRanks(launch));
    if (ranks->size() > 1) return ranks.release();
    ranks->leave();
  } catch (const std::exception& failed) {
    *error = failed.what();
  }
  return nullptr;
}

void caffe_mpi_leave(caffe::Communicator* ranks) {
  static_cast<caffe::MpiRanks*>(ranks)->leave();
}
