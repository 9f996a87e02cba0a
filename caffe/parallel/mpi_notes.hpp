#ifndef CAFFE_PARALLEL_MPI_NOTES_HPP_
#define CAFFE_PARALLEL_MPI_NOTES_HPP_

// Notes between the ranks of MPI, beside the data: who lives, who has failed and why, who has left.
//
// Each rank tells rank 0, and rank 0 tells each, twice a second that it lives and how many calls it
// has begun. So a rank that is only slow is told from one that does not run any more (it was
// stopped, or its machine is gone) and from one that has ended.

#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace caffe {

/// Throws an Error with MPI's text if the code is one: check_mpi(MPI_Test(...), "MPI_Test").
void check_mpi(int code, const char* call);
#define CAFFE_MPI(call, ...) ::caffe::check_mpi(call(__VA_ARGS__), #call)

double seconds_since(std::chrono::steady_clock::time_point start);

/// All methods are for the thread that calls MPI.
class MpiNotes {
 public:
  /// Collective. timeout: seconds without a note after which a rank counts as gone; 0: never.
  MpiNotes(MPI_Comm ranks, double timeout);

  /// The numbers of calls that this rank has begun, and of those that are complete.
  void set_calls(int64_t begun, int64_t done);
  /// Takes what has arrived and, when it is time, tells that this rank lives.
  void exchange();
  /// Why the group has failed: the reason that another rank told; or a rank that has ended or does
  /// not answer. "" if it has not.
  std::string failure() const;
  /// Whether the reason came from another rank; and the calls that were complete there.
  bool was_told() const { return !told_.empty(); }
  int64_t calls_of_failed() const { return told_done_; }

  /// Tells all why this rank fails, and waits until they have heard it, 3 s at most.
  void tell_failure(const std::string& why);
  /// Answers ranks that told why they fail.
  void answer();
  /// Tells all, once, that this rank makes no call any more. Returns whether all have left.
  bool leave();
  /// After all have left.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  enum Kind { kLives, kFailed, kHeard, kLeaves };
  static constexpr size_t kReason = 2000;  // bytes; short enough to be sent at once
  struct Note {
    int64_t begun, done;
    int32_t kind;
    int32_t length;
    char reason[kReason];
  };
  /// What a rank knows of another.
  struct Peer {
    std::string name;         // "rank 2 of 4 (process 1234 on node7)"
    int64_t begun = 0;        // calls, as it last said
    double silent = 0;        // seconds since it was heard
    int64_t left_after = -1;  // calls, if it has left
    bool heard = false;       // of this rank's failure
    bool waits = false;       // for the answer to its own
    Note sent;
    MPI_Request sending = MPI_REQUEST_NULL;
  };

  void name_peers();
  void receive();
  bool read();
  void take(const Note& note, Peer* from);
  void send(Kind kind, Peer* to, const std::string& reason = "");
  void send_answers();
  void complain(double seconds);
  void flush();

  MPI_Comm ranks_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1;
  double timeout_;
  int64_t begun_ = 0, done_ = 0, told_done_ = 0;
  bool left_ = false;
  double waited_ = 0, next_complaint_;
  std::string told_;
  std::vector<Peer> peers_;
  Note received_;
  MPI_Request receiving_ = MPI_REQUEST_NULL;
  Clock::time_point last_tick_ = Clock::now(), last_lives_ = Clock::now();
};

}  // namespace caffe

#endif  // CAFFE_PARALLEL_MPI_NOTES_HPP_
