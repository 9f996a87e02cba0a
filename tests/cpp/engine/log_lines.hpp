#ifndef TESTS_CPP_ENGINE_LOG_LINES_HPP_
#define TESTS_CPP_ENGINE_LOG_LINES_HPP_

#include <glog/logging.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <string>
#include <vector>

namespace caffe {

/// Collects all log lines while it exists, without glog's prefix and regardless of
/// FLAGS_minloglevel.
class LogLines : public google::LogSink {
 public:
  LogLines() {
    FLAGS_minloglevel = 0;
    google::AddLogSink(this);
  }
  ~LogLines() override {
    google::RemoveLogSink(this);
    FLAGS_minloglevel = before_;
  }
  void send(google::LogSeverity, const char*, const char*, int, const struct tm*,
            const char* message, size_t length) override {
    lines.emplace_back(message, length);
  }

  void clear() { lines.clear(); }
  bool has(const std::string& line) const {
    for (const std::string& one : lines) {
      if (one == line) return true;
    }
    return false;
  }
  /// The first group of each line that the pattern matches, as a number.
  std::vector<double> numbers(const std::string& pattern) const {
    std::vector<double> found;
    std::smatch match;
    for (const std::string& line : lines) {
      if (std::regex_match(line, match, std::regex(pattern))) found.push_back(std::stod(match[1]));
    }
    return found;
  }
  /// The lines must match these patterns, one each.
  void expect(const std::vector<std::string>& patterns) const {
    for (size_t i = 0; i < std::max(patterns.size(), lines.size()); ++i) {
      ASSERT_LT(i, lines.size()) << "missing: " << patterns[i];
      ASSERT_LT(i, patterns.size()) << "too much: " << lines[i];
      EXPECT_TRUE(std::regex_match(lines[i], std::regex(patterns[i]))) << lines[i];
    }
  }

  std::vector<std::string> lines;

 private:
  const int before_ = FLAGS_minloglevel;
};

/// Suppresses the log while it exists, except errors.
class QuietLog {
 public:
  QuietLog() { FLAGS_minloglevel = google::GLOG_ERROR; }
  ~QuietLog() { FLAGS_minloglevel = before_; }

 private:
  const int before_ = FLAGS_minloglevel;
};

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_LOG_LINES_HPP_
