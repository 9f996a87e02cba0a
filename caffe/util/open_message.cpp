#include "caffe/util/open_message.hpp"

#include <vector>

#include "caffe/util/silent_errors.hpp"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace caffe {

namespace {

using google::protobuf::io::Tokenizer;

struct Open {
  std::string name;
  int line;  // from 0
};

}  // namespace

std::string open_message(const std::string& text) {
  google::protobuf::io::ArrayInputStream stream(text.data(), static_cast<int>(text.size()));
  SilentErrors silent;
  Tokenizer tokens(&stream, &silent);
  tokens.set_comment_style(Tokenizer::SH_COMMENT_STYLE);
  std::vector<Open> open;
  std::string name;
  while (tokens.Next()) {
    const Tokenizer::Token& token = tokens.current();
    if (token.type == Tokenizer::TYPE_IDENTIFIER) name = token.text;
    if (token.text == "{" || token.text == "<") open.push_back({name, token.line});
    if ((token.text == "}" || token.text == ">") && !open.empty()) open.pop_back();
  }
  if (open.empty()) return "";
  return "; the '{' of '" + open[0].name + "' in line " + std::to_string(open[0].line + 1) +
         " is never closed";
}

}  // namespace caffe
