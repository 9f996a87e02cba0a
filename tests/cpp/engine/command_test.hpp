#ifndef TESTS_CPP_ENGINE_COMMAND_TEST_HPP_
#define TESTS_CPP_ENGINE_COMMAND_TEST_HPP_

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "caffe/util/io.hpp"
#include "test_paths.hpp"
#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

/// How a program ended, and all that it printed.
struct Finished {
  int status;  // exit status; -1 if a signal ended it
  std::string log;
};

/// Programs of tools/, started by a shell in a new folder.
class CommandTest : public ::testing::Test {
 protected:
  void SetUp() override { MakeTempDir(&folder_); }
  void TearDown() override { EXPECT_EQ(std::system(("rm -r '" + folder_ + "'").c_str()), 0); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path(name));
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  /// Runs a script; the programs are on its PATH.
  Finished shell(const std::string& script) const {
    const std::string command = CAFFE_COMMAND;
    const std::string all =
        "cd '" + folder_ + "' && export GLOG_log_dir=. OMP_NUM_THREADS=1 PATH='" +
        command.substr(0, command.rfind('/')) + "':\"$PATH\" && (" + script + ") > log 2>&1";
    const int status = std::system(all.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read("log")};
  }

 private:
  std::string folder_;
};

#define EXPECT_LOGGED(finished, text) \
  EXPECT_PRED2(::caffe::contains, (finished).log, std::string(text)) << (finished).status

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_COMMAND_TEST_HPP_
