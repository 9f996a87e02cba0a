#ifndef TESTS_CPP_ENGINE_FILES_HPP_
#define TESTS_CPP_ENGINE_FILES_HPP_

#include <fstream>
#include <sstream>
#include <string>

#include "caffe/util/io.hpp"

namespace caffe {

/// A name in a folder of this run of the tests. What is written there is small and stays.
inline std::string temp_name(const std::string& ending = "") {
  std::string name;
  MakeTempFilename(&name);
  return name + ending;
}

inline std::string contents(const std::string& filename) {
  std::ifstream file(filename, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A new file that holds `text`.
inline std::string file_with(const std::string& text, const std::string& ending = "") {
  const std::string name = temp_name(ending);
  std::ofstream(name, std::ios::binary) << text;
  return name;
}

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_FILES_HPP_
