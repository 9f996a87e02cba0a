#ifndef TESTS_CPP_ENGINE_FORKED_HPP_
#define TESTS_CPP_ENGINE_FORKED_HPP_

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <functional>

namespace caffe {

constexpr unsigned kLimit = 60;  // seconds until a child counts as hanging

/// The exit status of a forked child that ends with what `run` returns; 128 and more: it was
/// killed.
inline int status_in_child(const std::function<int()>& run) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(kLimit);
    int result = 99;
    try {
      result = run();
    } catch (const std::exception& error) {
      fprintf(stderr, "in the child: %s\n", error.what());
    }
    _exit(result);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_FORKED_HPP_
