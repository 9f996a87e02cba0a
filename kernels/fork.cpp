#include "kernels/fork.hpp"

#include <omp.h>
#include <pthread.h>
#include <time.h>

#include <atomic>

namespace maap {

namespace {

constexpr int kPatience = 10;  // seconds

std::atomic<int> generation{0};
pthread_rwlock_t no_fork;  // read: a section; written: a fork
std::thread::id survivor;  // in a child
thread_local int sections = 0;
thread_local bool forking = false;  // this thread, and it has the lock

/// A waiting fork goes first, so that sections that follow one another do not keep it out.
void make_lock() {
  pthread_rwlockattr_t kind;
  pthread_rwlockattr_init(&kind);
#ifdef __GLIBC__
  pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
  pthread_rwlock_init(&no_fork, &kind);
  pthread_rwlockattr_destroy(&kind);
}

void before_fork() {
  omp_pause_resource_all(omp_pause_hard);
  if (sections > 0) pthread_rwlock_unlock(&no_fork);
  timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += kPatience;
  forking = pthread_rwlock_timedwrlock(&no_fork, &until) == 0;
}

void in_parent() {
  if (forking) pthread_rwlock_unlock(&no_fork);
  forking = false;
  if (sections > 0) pthread_rwlock_rdlock(&no_fork);
}

void in_child() {
  ++generation;
  survivor = std::this_thread::get_id();
  forking = false;
  make_lock();
  if (sections > 0) pthread_rwlock_rdlock(&no_fork);
}

const bool registered = [] {
  make_lock();
  return pthread_atfork(before_fork, in_parent, in_child) == 0;
}();

}  // namespace

int process_generation() {
  return generation;
}

bool has_forked(std::thread::id thread) {
  return thread == survivor;
}

NoFork::NoFork() : locked_(registered && !forking) {
  if (locked_ && sections++ == 0) pthread_rwlock_rdlock(&no_fork);
}

NoFork::~NoFork() {
  if (locked_ && --sections == 0) pthread_rwlock_unlock(&no_fork);
}

}  // namespace maap
