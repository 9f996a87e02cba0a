#include "caffe/util/fork_text.hpp"

#include <algorithm>
#include <cctype>

namespace caffe {

namespace {

/// Walks over a prototxt's names, numbers and signs.
class Scanner {
 public:
  explicit Scanner(const string& text) : text_(text) {}

  /// Goes to the next one, over blanks, comments and strings; false at the end.
  bool next() {
    end_ = skip(end_);
    begin_ = end_;
    if (begin_ >= text_.size()) return false;
    while (end_ < text_.size() && is_word(text_[end_])) ++end_;
    if (end_ == begin_) ++end_;
    return true;
  }
  size_t begin() const { return begin_; }
  size_t end() const { return end_; }
  string word() const { return text_.substr(begin_, end_ - begin_); }

 private:
  static bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
  }

  size_t skip(size_t at) const {
    while (at < text_.size()) {
      const char c = text_[at];
      if (std::isspace(static_cast<unsigned char>(c)) != 0) {
        ++at;
      } else if (c == '#') {
        at = std::min(text_.find('\n', at), text_.size());
      } else if (c == '"' || c == '\'') {
        at = string_end(at);
      } else {
        break;
      }
    }
    return at;
  }

  /// Behind the string that begins at `at`; a line's end ends it as well, as in protobuf.
  size_t string_end(size_t at) const {
    const char quote = text_[at++];
    while (at < text_.size() && text_[at] != quote && text_[at] != '\n') {
      at += text_[at] == '\\' ? 2 : 1;
    }
    return std::min(at + 1, text_.size());
  }

  const string& text_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

vector<string> dialects_of_engine(const string& value) {
  vector<string> dialects = dialects_of_value("ConvolutionParameter.Engine", value);
  return dialects.empty() ? dialects_of_value("PoolingParameter.Engine", value) : dialects;
}

/// Whether the text can hold one of the engines at all, which few do.
bool may_have_engines(const string& text) {
  for (const char* const value : {"MKLDNN", "MKL2017", "MLU", "NNPACK"}) {
    if (text.find(value) != string::npos) return true;
  }
  return false;
}

}  // namespace

vector<ForkPart> remove_fork_engines(const string& what, string* text) {
  vector<ForkPart> engines;
  if (!may_have_engines(*text)) return engines;
  set<string> seen;
  const string original = *text;
  Scanner scanner(original);
  size_t begin = 0;
  int matched = 0;  // 1: "engine", 2: "engine" ":"
  while (scanner.next()) {
    const string word = scanner.word();
    const vector<string> dialects = matched == 2 ? dialects_of_engine(word) : vector<string>();
    if (!dialects.empty()) {
      for (size_t at = begin; at < scanner.end(); ++at) {
        if ((*text)[at] != '\n') (*text)[at] = ' ';
      }
      if (seen.insert(word).second) {
        const auto line = 1 + std::count(original.begin(), original.begin() + begin, '\n');
        LOG(WARNING) << what << ":" << line << ": engine " << word << " is one of "
                     << dialects_text(dialects) << "; it has no effect here";
        engines.push_back({word, dialects});
      }
    }
    if (word == "engine") begin = scanner.begin();
    matched = word == "engine" ? 1 : matched == 1 && word == ":" ? 2 : 0;
  }
  return engines;
}

}  // namespace caffe
