#include "caffe_layers/elimination_param.hpp"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "kernels/error.hpp"

namespace maap {
namespace {

using caffe::EliminationParameter;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::UnknownField;

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (text_.empty()) {
      text_ = "line " + std::to_string(line + 1) + ", column " + std::to_string(column + 1) + ": " +
              message;
    }
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// "a_star: ROI | UNCORRELATED | ...; threshold_at: INPUT | MAP; ...; fraction: NUMBER; ..."
std::string choices() {
  std::string all;
  const auto* message = EliminationParameter::descriptor();
  for (int i = 0; i < message->field_count(); ++i) {
    all += (i ? "; " : "") + message->field(i)->name() + ":";
    const EnumDescriptor* values = message->field(i)->enum_type();
    if (values == nullptr) {
      all += " NUMBER";
      continue;
    }
    for (int k = 0; k < values->value_count(); ++k)
      all += (k ? " | " : " ") + values->value(k)->name();
  }
  return all;
}

/// Throws for a value that its enum lacks. Where protobuf reads one in a binary file, it puts it
/// among the unknown fields, and the field then looks as if it had not been set.
void require_known_values(const std::string& layer, const EliminationParameter& param) {
  const auto& unknown = param.unknown_fields();
  for (int i = 0; i < unknown.field_count(); ++i) {
    const UnknownField& value = unknown.field(i);
    const FieldDescriptor* const field =
        EliminationParameter::descriptor()->FindFieldByNumber(value.number());
    if (field == nullptr || value.type() != UnknownField::TYPE_VARINT) continue;
    throw Error("layer '" + layer + "' (Elimination): elimination_param has " + field->name() +
                " number " + std::to_string(value.varint()) +
                ", which is unknown here. Write any of: " + choices());
  }
}

}  // namespace

EliminationParameter elimination_param(const caffe::LayerParameter& layer) {
  EliminationParameter param;
  const std::string text = layer.has_python_param() ? layer.python_param().param_str() : "";
  if (const caffe::EliminationParameter* const field = elimination_field(layer)) {
    if (!text.empty()) {
      throw Error(
          "layer '" + layer.name() +
          "' (Elimination): both elimination_param and python_param.param_str are set; keep one");
    }
    require_known_values(layer.name(), *field);
    return *field;
  }
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (!parser.ParseFromString(text, &param)) {
    throw Error("layer '" + layer.name() + "' (Elimination): python_param.param_str \"" + text +
                "\", " + error.text() + " Write any of: " + choices());
  }
  return param;
}

RegionRule region_rule(const caffe::EliminationParameter& param) {
  // Numbers that no int holds become ones that check_rule refuses.
  const auto whole = [](uint32_t value) { return static_cast<int>(std::min(value, 0x7fffffffu)); };
  RegionRule rule;
  rule.at = static_cast<ThresholdAt>(param.threshold_at());
  rule.threshold = static_cast<Threshold>(param.threshold());
  rule.fraction = param.fraction();
  rule.component = static_cast<Component>(param.component());
  rule.connectivity = whole(param.connectivity());
  rule.padding = param.padding();
  rule.border = whole(param.border());
  return rule;
}

}  // namespace maap
