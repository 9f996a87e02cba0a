// Reads prototxt text. Errors say what is wrong, where, and what may have been meant.

#include "caffe/util/file_kind.hpp"
#include "caffe/util/io.hpp"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

namespace caffe {

namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

/// The parts of a message between double quotes.
vector<string> quoted(const string& message) {
  vector<string> parts;
  for (size_t begin = message.find('"'); begin != string::npos;) {
    const size_t end = message.find('"', begin + 1);
    if (end == string::npos) break;
    parts.push_back(message.substr(begin + 1, end - begin - 1));
    begin = message.find('"', end + 1);
  }
  return parts;
}

vector<string> field_names(const Descriptor& message) {
  vector<string> names;
  for (int i = 0; i < message.field_count(); ++i) names.push_back(message.field(i)->name());
  return names;
}

/// The values of the enums of all fields of that name in `message` and its submessages.
void collect_values(const Descriptor& message, const string& field_name,
                    set<const Descriptor*>* seen, vector<string>* values) {
  if (!seen->insert(&message).second) return;
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    if (field.message_type() != nullptr) {
      collect_values(*field.message_type(), field_name, seen, values);
    } else if (field.enum_type() != nullptr && field.name() == field_name) {
      const EnumDescriptor& type = *field.enum_type();
      for (int v = 0; v < type.value_count(); ++v) values->push_back(type.value(v)->name());
    }
  }
}

/// Collects the parser's messages and makes one error of them.
class Findings : public google::protobuf::io::ErrorCollector {
 public:
  Findings(const string& what, const Descriptor& root) : what_(what), root_(root) {}

  void AddError(int line, int column, const string& message) override {
    const int kMost = 10;
    if (++count_ > kMost) return;
    if (count_ > 1) text_ << "\n";
    // The parser counts from 0; -1 is the end of the text.
    text_ << what_;
    if (line >= 0) text_ << ":" << line + 1 << ":" << column + 1;
    text_ << ": " << message << meant(message);
  }
  void AddWarning(int line, int column, const string& message) override {
    LOG(WARNING) << what_ << ":" << line + 1 << ":" << column + 1 << ": " << message;
  }
  string text() const { return text_.str(); }

 private:
  string meant(const string& message) const {
    const vector<string> parts = quoted(message);
    if (parts.size() < 2) return "";
    string nearest;
    if (message.find("has no field named") != string::npos) {
      const Descriptor* type = root_.file()->pool()->FindMessageTypeByName(parts[0]);
      if (type != nullptr) nearest = nearest_name(parts[1], field_names(*type));
    } else if (message.find("numeration value") != string::npos) {
      set<const Descriptor*> seen;
      vector<string> values;
      collect_values(root_, parts[1], &seen, &values);
      nearest = nearest_name(parts[0], values);
    }
    return nearest.empty() ? "" : " Did you mean '" + nearest + "'?";
  }

  const string what_;
  const Descriptor& root_;
  std::ostringstream text_;
  int count_ = 0;
};

/// Keeps the parser from printing.
class Silence : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int, int, const string&) override {}
  void AddWarning(int, int, const string&) override {}
};

bool parses(const string& text, Message* proto) {
  Silence silence;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&silence);
  parser.AllowPartialMessage(true);
  return parser.ParseFromString(text, proto);
}

/// A note if a text that is no `proto` is a prototxt of another kind.
string other_kind(const string& text, const Message& proto) {
  NetParameter net;
  SolverParameter solver;
  if (proto.GetDescriptor() == solver.GetDescriptor() && parses(text, &net)) {
    return " (this is the prototxt of a net, not of a solver: give the solver's, whose field 'net' "
           "names it)";
  }
  if (proto.GetDescriptor() == net.GetDescriptor() && parses(text, &solver)) {
    return " (this is the prototxt of a solver, not of a net: give the net's" +
           (solver.has_net() ? ", '" + solver.net() + "'" : "") + ")";
  }
  return "";
}

}  // namespace

void ReadProtoFromText(const string& given, const string& what, Message* proto) {
  const string kind = kind_of_bytes(given);
  CAFFE_CHECK(kind.empty() || kind == "text",
              what << ": is not a prototxt; it is " << kind
                   << (kind == "text in UTF-16" ? ": save it as UTF-8" : ""));
  CAFFE_CHECK(given.find('\0') == string::npos,
              what << ": is a binary file, not a prototxt; if it has weights, give it where "
                      "weights are expected");
  string text = given;
  remove_byte_order_mark(&text);
  Findings findings(what, *proto->GetDescriptor());
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&findings);
  const bool good = parser.ParseFromString(text, proto);
  if (good) return;
  const string found =
      findings.text().empty() ? what + ": is not a " + proto->GetTypeName() : findings.text();
  throw Error(found + other_kind(text, *proto));
}

}  // namespace caffe
