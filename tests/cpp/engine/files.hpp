#ifndef TESTS_CPP_ENGINE_FILES_HPP_
#define TESTS_CPP_ENGINE_FILES_HPP_

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "caffe/util/io.hpp"

namespace caffe {

/// A folder for this run of the tests, removed when they end.
class TempFolder {
 public:
  TempFolder() { MakeTempDir(&name_); }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(name_, ignored);
  }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
};

/// A new name for a file that is removed when the tests end.
inline std::string temp_name(const std::string& ending = "") {
  static const TempFolder folder;
  static int number = 0;
  return folder.name() + "/" + std::to_string(number++) + ending;
}

inline std::string contents(const std::string& filename) {
  std::ifstream file(filename, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A new file that contains `text`.
inline std::string file_with(const std::string& text, const std::string& ending = "") {
  const std::string name = temp_name(ending);
  std::ofstream(name, std::ios::binary) << text;
  return name;
}

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_FILES_HPP_
