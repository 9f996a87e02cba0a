#include "caffe/parallel/mpi_notes.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <thread>

#include "caffe/common.hpp"
#include "caffe/parallel/mpi.hpp"

namespace caffe {

namespace {

constexpr double kLivesEvery = 0.5;     // seconds between two notes
constexpr double kHearsWithin = 3;      // seconds that a failing rank waits for the others to hear
constexpr double kFirstComplaint = 10;  // seconds of waiting that rank 0 logs

}  // namespace

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  CAFFE_FAIL(call << ": " << text);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

MpiNotes::MpiNotes(MPI_Comm ranks, double timeout)
    : timeout_(timeout), next_complaint_(kFirstComplaint) {
  CAFFE_MPI(MPI_Comm_dup, ranks, &ranks_);
  CAFFE_MPI(MPI_Comm_rank, ranks_, &rank_);
  CAFFE_MPI(MPI_Comm_size, ranks_, &size_);
  name_peers();
  receive();
  last_tick_ = Clock::now();
}

void MpiNotes::name_peers() {
  struct Id {
    int64_t process;
    char host[64];
  } mine = {getpid(), ""};
  gethostname(mine.host, sizeof(mine.host) - 1);
  std::vector<Id> ids(size_);
  CAFFE_MPI(MPI_Allgather, &mine, sizeof(Id), MPI_BYTE, ids.data(), sizeof(Id), MPI_BYTE, ranks_);
  peers_.resize(size_);
  for (int i = 0; i < size_; ++i) {
    peers_[i].name = rank_name(i, size_) + " (process " + std::to_string(ids[i].process) + " on " +
                     ids[i].host + ")";
  }
}

void MpiNotes::set_calls(int64_t begun, int64_t done) {
  begun_ = begun;
  done_ = done;
}

void MpiNotes::exchange() {
  while (read()) continue;
  // Time in which this process itself did not run does not count.
  const double passed = std::min(seconds_since(last_tick_), 1.0);
  if (passed < 0.1) return;
  last_tick_ = Clock::now();
  for (Peer& peer : peers_) peer.silent += passed;
  complain(passed);
  if (left_ || seconds_since(last_lives_) < kLivesEvery) return;
  last_lives_ = Clock::now();
  for (int i = 0; i < (rank_ == 0 ? size_ : 1); ++i) {
    if (i != rank_) send(kLives, &peers_[i]);
  }
}

void MpiNotes::receive() {
  CAFFE_MPI(MPI_Irecv, &received_, sizeof(Note), MPI_BYTE, MPI_ANY_SOURCE, 0, ranks_, &receiving_);
}

/// Takes one note; false if there is none.
bool MpiNotes::read() {
  int arrived = 0;
  MPI_Status status;
  CAFFE_MPI(MPI_Test, &receiving_, &arrived, &status);
  if (!arrived) return false;
  const Note note = received_;
  receive();
  take(note, &peers_[status.MPI_SOURCE]);
  return true;
}

void MpiNotes::take(const Note& note, Peer* from) {
  from->silent = 0;
  from->begun = note.begun;
  if (note.kind == kLeaves) from->left_after = note.begun;
  if (note.kind == kHeard) from->heard = true;
  if (note.kind != kFailed) return;
  from->heard = from->waits = true;
  told_done_ = std::max(told_done_, note.done);
  if (told_.empty()) told_ = std::string(note.reason, note.length);
}

void MpiNotes::send(Kind kind, Peer* to, const std::string& reason) {
  // If the last note has not left, the other does not receive. Then that this rank lives need not
  // be said, and the rest soon.
  int sent = 0;
  const Clock::time_point start = Clock::now();
  do {
    CAFFE_MPI(MPI_Test, &to->sending, &sent, MPI_STATUS_IGNORE);
  } while (!sent && kind != kLives && seconds_since(start) < 0.2);
  if (!sent) return;
  Note& note = to->sent;
  note.begun = begun_;
  note.done = done_;
  note.kind = kind;
  note.length = static_cast<int>(std::min(reason.size(), kReason));
  std::memcpy(note.reason, reason.data(), note.length);
  CAFFE_MPI(MPI_Isend, &note, static_cast<int>(offsetof(Note, reason)) + note.length, MPI_BYTE,
            static_cast<int>(to - peers_.data()), 0, ranks_, &to->sending);
}

/// In rank 0: logs which ranks it waits for, after 10, 20, 40 ... seconds.
void MpiNotes::complain(double seconds) {
  if (rank_ != 0 || done_ == begun_) {
    waited_ = 0;
    next_complaint_ = kFirstComplaint;
    return;
  }
  waited_ += seconds;
  if (waited_ < next_complaint_) return;
  next_complaint_ *= 2;
  std::vector<std::string> late;
  for (const Peer& peer : peers_) {
    if (peer.begun < begun_ && &peer != &peers_[0]) late.push_back(peer.name);
  }
  if (late.empty()) return;
  LOG(WARNING) << "Waiting for " << join(late) << " since " << static_cast<int>(waited_) << " s";
}

std::string MpiNotes::failure() const {
  if (!told_.empty()) return told_;
  for (int i = 0; i < size_; ++i) {
    const Peer& peer = peers_[i];
    if (i == rank_) continue;
    if (peer.left_after >= 0) {
      if (peer.left_after >= begun_) continue;
      return peer.name + " has ended, while others continue; what it wrote last says why";
    }
    const bool heard_of = rank_ == 0 || i == 0;
    if (heard_of && timeout_ > 0 && peer.silent > timeout_) {
      return peer.name + " has not answered for " + std::to_string(static_cast<int>(peer.silent)) +
             " s: it was stopped or killed, or its machine cannot be reached";
    }
  }
  return "";
}

void MpiNotes::tell_failure(const std::string& why) {
  for (int i = 0; i < size_; ++i) {
    peers_[i].heard = i == rank_;
    if (i != rank_) send(kFailed, &peers_[i], why);
  }
  const auto all_heard = [this] {
    return std::all_of(peers_.begin(), peers_.end(), [](const Peer& p) { return p.heard; });
  };
  for (const Clock::time_point start = Clock::now();
       !all_heard() && seconds_since(start) < kHearsWithin;) {
    if (!read()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    send_answers();
  }
  flush();
}

void MpiNotes::answer() {
  send_answers();
  flush();
}

/// To the ranks that wait for one.
void MpiNotes::send_answers() {
  for (Peer& peer : peers_) {
    if (peer.waits) send(kHeard, &peer);
    peer.waits = false;
  }
}

/// Lets notes that are under way leave.
void MpiNotes::flush() {
  int sent = 0;
  for (const Clock::time_point start = Clock::now(); seconds_since(start) < 0.05;) {
    for (Peer& peer : peers_) CAFFE_MPI(MPI_Test, &peer.sending, &sent, MPI_STATUS_IGNORE);
  }
}

bool MpiNotes::leave() {
  if (!left_) {
    left_ = true;
    for (int i = 0; i < size_; ++i) {
      if (i != rank_) send(kLeaves, &peers_[i]);
    }
  }
  for (int i = 0; i < size_; ++i) {
    if (i != rank_ && peers_[i].left_after < 0) return false;
  }
  return true;
}

void MpiNotes::finish() {
  for (Peer& peer : peers_) CAFFE_MPI(MPI_Wait, &peer.sending, MPI_STATUS_IGNORE);
  CAFFE_MPI(MPI_Cancel, &receiving_);
  CAFFE_MPI(MPI_Wait, &receiving_, MPI_STATUS_IGNORE);
  CAFFE_MPI(MPI_Comm_free, &ranks_);
}

}  // namespace caffe
