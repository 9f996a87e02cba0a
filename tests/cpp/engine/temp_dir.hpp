#ifndef TESTS_CPP_ENGINE_TEMP_DIR_HPP_
#define TESTS_CPP_ENGINE_TEMP_DIR_HPP_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace caffe {

/// A folder for one test, removed at its end.
class TempDir {
 public:
  TempDir() : path_(::testing::TempDir() + "caffe_test.XXXXXX") {
    EXPECT_NE(mkdtemp(&path_[0]), nullptr) << path_;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline void write_file(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  EXPECT_TRUE(file.good()) << path;
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_TEMP_DIR_HPP_
