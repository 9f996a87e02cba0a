// Reads prototxt text. Errors say what is wrong, where, and what may have been meant.

#include <algorithm>
#include <cctype>

#include "caffe/layer_factory.hpp"
#include "caffe/util/dialects.hpp"
#include "caffe/util/file_kind.hpp"
#include "caffe/util/fork_text.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/open_message.hpp"
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

/// The enums of all fields of that name in `message` and its submessages.
void collect_enums(const Descriptor& message, const string& field_name,
                   set<const Descriptor*>* seen, vector<const EnumDescriptor*>* enums) {
  if (!seen->insert(&message).second) return;
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    if (field.message_type() != nullptr) {
      collect_enums(*field.message_type(), field_name, seen, enums);
    } else if (field.enum_type() != nullptr && field.name() == field_name) {
      enums->push_back(field.enum_type());
    }
  }
}

/// A message's or enum's name without the package.
string short_name(const string& full_name) {
  const string package = "caffe.";
  return full_name.compare(0, package.size(), package) == 0 ? full_name.substr(package.size())
                                                            : full_name;
}

/// Collects the parser's messages and makes one error of them. The parser skips fields that the
/// schema does not have, with a warning: here a field of another fork stays one, any other is an
/// error.
class Findings : public google::protobuf::io::ErrorCollector {
 public:
  Findings(const string& what, const Descriptor& root) : what_(what), root_(root) {}

  void AddError(int line, int column, const string& message) override {
    const int kMost = 10;
    if (++count_ > kMost) return;
    if (count_ > 1) text_ << "\n";
    // The parser counts from 0; -1 is the end of the text.
    text_ << what_;
    if (line >= 0) text_ << place(line, column);
    text_ << ": " << message << meant(message);
  }
  void AddWarning(int line, int column, const string& message) override {
    const vector<string> parts = quoted(message);
    const bool unknown = message.find("has no field named") != string::npos && parts.size() == 2;
    if (!unknown) {
      LOG(WARNING) << what_ << place(line, column) << ": " << message;
      return;
    }
    const string type = short_name(parts[0]);
    const vector<string> dialects = dialects_of_field(type, parts[1]);
    if (dialects.empty()) return AddError(line, column, message);
    if (!names_.insert(type + "." + parts[1]).second) return;
    skipped_.push_back({parts[1], dialects});
    warnings_.push_back(place(line, column) + ": '" + parts[1] + "' is a field of " + type +
                        " in " + dialects_text(dialects) + "; it has no effect here");
  }
  string text() const { return text_.str(); }
  bool empty() const { return count_ == 0; }
  /// The fields of other forks, each once.
  const vector<ForkPart>& skipped() const { return skipped_; }
  void log_warnings() const {
    for (const string& warning : warnings_) LOG(WARNING) << what_ << warning;
  }

 private:
  static string place(int line, int column) {
    return ":" + std::to_string(line + 1) + ":" + std::to_string(column + 1);
  }

  string meant(const string& message) const {
    const vector<string> parts = quoted(message);
    if (parts.size() < 2) return "";
    string nearest;
    if (message.find("has no field named") != string::npos) {
      const Descriptor* type = root_.file()->pool()->FindMessageTypeByName(parts[0]);
      if (type != nullptr) nearest = nearest_name(parts[1], field_names(*type));
    } else if (message.find("numeration value") != string::npos) {
      set<const Descriptor*> seen;
      vector<const EnumDescriptor*> enums;
      collect_enums(root_, parts[1], &seen, &enums);
      const string forks = forks_with(enums, parts[0]);
      const string type = type_of_today(parts[0], enums);
      if (!type.empty()) {
        return " It is a type of the newer form: write layer { type: \"" + type +
               "\" ... } for layers { ... } in the whole net" +
               (forks.empty() ? "." : " (the old form of " + forks + " has it).");
      }
      if (!forks.empty()) return " It is a value of " + forks + ", which is not built here.";
      nearest = nearest_name(parts[0], value_names(enums));
    }
    return nearest.empty() ? "" : " Did you mean '" + nearest + "'?";
  }

  static vector<string> value_names(const vector<const EnumDescriptor*>& enums) {
    vector<string> names;
    for (const EnumDescriptor* const type : enums) {
      for (int v = 0; v < type->value_count(); ++v) names.push_back(type->value(v)->name());
    }
    return names;
  }

  /// The layer type that a type of V1's form, ROI_POOLING, has today, if it is built; "" if V1 has
  /// none that is like it.
  static string type_of_today(const string& value, const vector<const EnumDescriptor*>& enums) {
    const bool of_v1 = std::any_of(enums.begin(), enums.end(), [](const EnumDescriptor* type) {
      return short_name(type->full_name()) == "V1LayerParameter.LayerType";
    });
    if (!of_v1) return "";
    const auto plain = [](const string& name) {
      string letters;
      for (const char c : name) {
        if (c != '_') letters += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      }
      return letters;
    };
    for (const string& name : LayerRegistry<float>::LayerTypeList()) {
      if (plain(name) == plain(value)) return name;
    }
    return "";
  }

  static string forks_with(const vector<const EnumDescriptor*>& enums, const string& value) {
    for (const EnumDescriptor* const type : enums) {
      const vector<string> dialects = dialects_of_value(short_name(type->full_name()), value);
      if (!dialects.empty()) return dialects_text(dialects);
    }
    return "";
  }

  const string what_;
  const Descriptor& root_;
  std::ostringstream text_;
  int count_ = 0;
  set<string> names_;
  vector<ForkPart> skipped_;
  vector<string> warnings_;
};

/// Messages in messages; the schema has fewer than ten. The parser calls itself for each, also for
/// those of a field that it skips.
const int kDeepest = 100;

bool parse(const string& text, bool partial, Findings* findings, Message* proto) {
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(findings);
  parser.AllowUnknownField(true);
  parser.SetRecursionLimit(kDeepest);
  parser.AllowPartialMessage(partial);
  return parser.ParseFromString(text, proto) && findings->empty();
}

bool parses(const string& text, Message* proto) {
  Findings findings("", *proto->GetDescriptor());
  return parse(text, true, &findings, proto);
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
  const vector<ForkPart> engines = remove_fork_engines(what, &text);
  Findings findings(what, *proto->GetDescriptor());
  const bool good = parse(text, false, &findings, proto);
  if (!good) {
    const string found =
        findings.text().empty() ? what + ": is not a " + proto->GetTypeName() : findings.text();
    throw Error(found + open_message(text) + other_kind(text, *proto));
  }
  findings.log_warnings();
  vector<ForkPart> skipped = findings.skipped();
  skipped.insert(skipped.end(), engines.begin(), engines.end());
  NetParameter* const net = dynamic_cast<NetParameter*>(proto);
  // What the message does not show; all else can be found in it when a net is made.
  if (net != nullptr && !skipped.empty()) resolve_dialect(find_dialect(*net, skipped), net);
}

}  // namespace caffe
