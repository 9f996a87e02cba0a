#include "caffe/util/dialects.hpp"

#include <algorithm>
#include <mutex>
#include <sstream>

#include "caffe/util/dialect_table.hpp"
#include "caffe/util/format.hpp"
#include "google/protobuf/descriptor.h"

namespace caffe {

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

vector<string> split(const string& text, char separator) {
  vector<string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(separator, begin)) != string::npos; begin = end + 1) {
    parts.push_back(text.substr(begin, end - begin));
  }
  parts.push_back(text.substr(begin));
  return parts;
}

/// The rows of dialects.tsv.
struct Table {
  vector<string> dialects;
  map<string, vector<string>> types;
  map<string, vector<string>> fields;  // "Message.field"
  map<string, vector<string>> values;  // "Message.Enum.VALUE"
};

Table read_table() {
  Table table;
  std::istringstream lines(kDialectTable);
  string line;
  std::getline(lines, line);  // the columns' names
  while (std::getline(lines, line)) {
    const vector<string> row = split(line, '\t');
    CAFFE_CHECK(row.size() == 4, "caffe/proto/dialects.tsv has a row of another length: " << line);
    if (row[0] == "dialect") table.dialects.push_back(row[2]);
    if (row[0] == "type") table.types[row[2]] = split(row[3], '|');
    if (row[0] == "field") table.fields[row[1] + "." + row[2]] = split(row[3], '|');
    if (row[0] == "value") table.values[row[1] + "." + row[2]] = split(row[3], '|');
  }
  return table;
}

const Table& table() {
  static const Table* const rows = new Table(read_table());
  return *rows;
}

vector<string> look_up(const map<string, vector<string>>& rows, const string& key) {
  const auto found = rows.find(key);
  return found == rows.end() ? vector<string>() : found->second;
}

struct Chosen {
  std::mutex mutex;
  string name;
};

Chosen& chosen() {
  static Chosen* const choice = new Chosen();
  return *choice;
}

bool has(const vector<string>& names, const string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// ---- which dialect a net is of

/// The parts of a net, each once.
class Parts {
 public:
  void add(const string& name, const vector<string>& dialects) {
    if (!dialects.empty() && seen_.insert(name).second) parts_.push_back({name, dialects});
  }

  /// The fields that are set in a message and in those inside it, except learnt values.
  void add_fields(const Message& message) {
    static const string kPackage = "caffe.";
    vector<const FieldDescriptor*> fields;
    const auto* const reflection = message.GetReflection();
    reflection->ListFields(message, &fields);
    const string type = message.GetDescriptor()->full_name().substr(kPackage.size());
    for (const FieldDescriptor* const field : fields) {
      add(field->name(), dialects_of_field(type, field->name()));
      if (field->message_type() == nullptr || field->name() == "blobs") continue;
      if (!field->is_repeated()) {
        add_fields(reflection->GetMessage(message, field));
        continue;
      }
      for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
        add_fields(reflection->GetRepeatedMessage(message, field, i));
      }
    }
  }

  const vector<ForkPart>& all() const { return parts_; }

 private:
  set<string> seen_;
  vector<ForkPart> parts_;
};

/// The first dialect that has most of the parts.
string most_fitting(const vector<ForkPart>& parts) {
  map<string, int> counts;
  for (const ForkPart& part : parts) {
    for (const string& dialect : part.dialects) ++counts[dialect];
  }
  string best;
  for (const string& dialect : known_dialects()) {
    if (counts[dialect] > (best.empty() ? 0 : counts[best])) best = dialect;
  }
  return best;
}

// ---- types with two meanings

/// What a layer's own fields, bottoms and tops say: one of its type's meanings, or "".
typedef string (*OwnMeaning)(const LayerParameter& layer);

/// A type with several meanings. Each is named by the first of the dialects that have it.
struct Clash {
  OwnMeaning own;
  vector<vector<string>> meanings;
};

string meaning_of_batch_norm(const LayerParameter& layer) {
  return layer.batch_norm_param().scale_bias() ? "nv017" : "";
}

string meaning_of_bn(const LayerParameter& layer) {
  const BNParameter& param = layer.bn_param();
  if (param.has_scale_filler() || param.has_shift_filler() || param.has_bn_mode()) return "segnet";
  if (param.has_slope_filler() || param.has_bias_filler() || param.has_frozen() ||
      param.has_momentum()) {
    return "pspnet";
  }
  if (layer.top_size() > 1 || layer.blobs_size() == 2) return "segnet";
  return layer.blobs_size() == 4 || layer.param_size() > 2 ? "pspnet" : "";
}

string meaning_of_focal_loss(const LayerParameter& layer) {
  // The only forks that know each of these.
  if (layer.focal_loss_param().type() == FocalLossParameter::ONEADDP) return "happynear";
  return layer.focal_loss_param().has_axis() ? "focal_chuanqi305" : "";
}

string meaning_of_l1_loss(const LayerParameter& layer) {
  return layer.has_l1_loss_param() || layer.bottom_size() == 1 ? "flownet2" : "";
}

string meaning_of_normalize(const LayerParameter& layer) {
  if (layer.has_norm_param()) return "ssd";
  return layer.has_normalize_param() || layer.top_size() > 1 ? "happynear" : "";
}

string meaning_of_smooth_l1_loss(const LayerParameter& layer) {
  if (layer.bottom_size() == 3) return "ssd";
  return layer.bottom_size() == 4 || layer.has_smooth_l1_loss_param() ? "faster_rcnn" : "";
}

string meaning_of_upsample(const LayerParameter& layer) {
  if (layer.bottom_size() == 2) return "segnet";
  return layer.bottom_size() == 1 ? "yolo_eric612" : "";
}

string no_meaning(const LayerParameter&) {
  return "";
}

const map<string, Clash>& clashes() {
  static const map<string, Clash>* const all = new map<string, Clash>{
      {"BatchNorm",
       {meaning_of_batch_norm,
        {{"nv017", "nv016"}, {"nv015"}, {"intel", "happynear", "brocolli_inisis", "sophgo"}}}},
      {"BN",
       {meaning_of_bn,
        {{"pspnet", "icnet", "happynear", "deeplab2", "deeplab2x"},
         {"segnet", "enet", "deconvnet", "synopsys"}}}},
      {"CTCLoss", {no_meaning, {{"textboxes"}, {"caffe_ocr", "license_plate"}}}},
      {"FocalLoss",
       {meaning_of_focal_loss,
        {{"focal_chuanqi305", "ssd", "ssd_chuanqi305", "troyliu0105"},
         {"focal_zimenglan", "pyrfcnpriv"},
         {"happynear"}}}},
      {"L1Loss", {meaning_of_l1_loss, {{"nv017", "nv016", "nv015"}, {"flownet2", "synopsys"}}}},
      {"Normalize",
       {meaning_of_normalize,
        {{"ssd", "ssd_chuanqi305", "yolo_eric612", "textboxes", "nv017", "intel", "yolo9000",
          "brocolli_inisis", "openvino_toolbox", "gait_extractor", "cc40", "synopsys", "sophgo",
          "cambricon", "troyliu0105", "focal_chuanqi305"},
         {"happynear"}}}},
      {"SmoothL1Loss",
       {meaning_of_smooth_l1_loss,
        {{"ssd", "fast_rcnn", "ssd_chuanqi305", "yolo_eric612", "textboxes", "nv017", "yolo9000",
          "brocolli_inisis", "openvino_toolbox", "gait_extractor", "cc40", "troyliu0105",
          "focal_chuanqi305"},
         {"faster_rcnn", "py_faster_rcnn", "rfcn", "ms_caffe", "pvanet", "pyrfcnpriv", "intel",
          "happynear", "synopsys", "sophgo"}}}},
      {"Upsample",
       {meaning_of_upsample,
        {{"segnet", "enet", "synopsys"},
         {"yolo_eric612", "upsample_seanq88", "brocolli_inisis", "sophgo", "troyliu0105"}}}}};
  return *all;
}

/// The meaning that a dialect has of a type, or "".
string meaning_in(const Clash& clash, const string& dialect) {
  for (const vector<string>& meaning : clash.meanings) {
    if (has(meaning, dialect)) return meaning[0];
  }
  return "";
}

string meaning_of(const Clash& clash, const LayerParameter& layer, const string& dialect) {
  const string by_hand = meaning_in(clash, chosen_dialect());
  if (!by_hand.empty()) return by_hand;
  const string own = clash.own(layer);
  return own.empty() ? meaning_in(clash, dialect) : own;
}

/// The dialects that have the layer's type; of a type with several meanings, those that have the
/// layer's own.
vector<string> dialects_of_layer(const LayerParameter& layer) {
  vector<string> dialects = dialects_of_type(layer.type());
  const auto clash = clashes().find(layer.type());
  if (clash == clashes().end()) return dialects;
  const string own = clash->second.own(layer);
  const auto other = [&](const string& dialect) {
    return meaning_in(clash->second, dialect) != own;
  };
  if (!own.empty()) {
    dialects.erase(std::remove_if(dialects.begin(), dialects.end(), other), dialects.end());
  }
  return dialects;
}

void check_known(const string& dialect, const string& whose) {
  if (dialect.empty() || has(table().dialects, dialect)) return;
  const string nearest = nearest_name(dialect, table().dialects);
  CAFFE_FAIL(whose << "unknown dialect '" << dialect << "'"
                   << (nearest.empty() ? "" : "; did you mean '" + nearest + "'?")
                   << " (known: " << join(table().dialects) << ")");
}

/// Writes out a default that is another one in some dialects.
void set_defaults(const string& dialect, LayerParameter* layer) {
  static const vector<string> kClip = {"yolo9000", "brocolli_inisis", "cambricon"};
  if (layer->type() == "PriorBox" && has(kClip, dialect) && !layer->prior_box_param().has_clip()) {
    layer->mutable_prior_box_param()->set_clip(true);
  }
  if (layer->type() == "BatchNorm" && (dialect == "nv017" || dialect == "nv015")) {
    BatchNormParameter* const param = layer->mutable_batch_norm_param();
    if (!param->use_global_stats()) param->clear_use_global_stats();  // the phase decides
    param->set_eps(std::max(param->eps(), 1e-5f));
  }
}

}  // namespace

vector<string> known_dialects() {
  return table().dialects;
}

vector<string> dialects_of_type(const string& type) {
  return look_up(table().types, type);
}

vector<string> dialects_of_field(const string& message, const string& field) {
  return look_up(table().fields, message + "." + field);
}

vector<string> dialects_of_value(const string& enum_name, const string& value) {
  return look_up(table().values, enum_name + "." + value);
}

string dialects_text(const vector<string>& dialects) {
  const size_t most = 3;
  const size_t shown = dialects.size() == most + 1 ? most + 1 : std::min(most, dialects.size());
  string text;
  for (size_t i = 0; i < shown; ++i) {
    const bool last = i + 1 == dialects.size();
    text += (i == 0 ? "" : last ? " and " : ", ") + dialects[i];
  }
  if (shown < dialects.size()) text += " and " + std::to_string(dialects.size() - shown) + " more";
  return text;
}

void set_dialect(const string& name) {
  check_known(name, "");
  const std::lock_guard<std::mutex> lock(chosen().mutex);
  chosen().name = name;
}

string chosen_dialect() {
  const std::lock_guard<std::mutex> lock(chosen().mutex);
  return chosen().name;
}

DialectFound find_dialect(const NetParameter& net, const vector<ForkPart>& skipped) {
  Parts parts;
  for (const LayerParameter& layer : net.layer()) {
    parts.add(layer.type(), dialects_of_layer(layer));
  }
  parts.add_fields(net);
  for (const ForkPart& part : skipped) parts.add(part.name, part.dialects);
  if (parts.all().empty()) return {};
  const string by_hand = chosen_dialect();
  DialectFound found{by_hand.empty() ? most_fitting(parts.all()) : by_hand, {}};
  for (const ForkPart& part : parts.all()) {
    if (has(part.dialects, found.name)) found.from.push_back(part.name);
  }
  return found;
}

void resolve_dialect(const DialectFound& found, NetParameter* net) {
  for (LayerParameter& layer : *net->mutable_layer()) {
    check_known(layer.dialect(), "layer '" + layer.name() + "': ");
    const auto clash = clashes().find(layer.type());
    if (clash != clashes().end()) {
      const string meaning = layer.dialect().empty() ? meaning_of(clash->second, layer, found.name)
                                                     : meaning_in(clash->second, layer.dialect());
      if (!meaning.empty()) layer.set_dialect(meaning);
    }
    set_defaults(layer.dialect().empty() ? found.name : layer.dialect(), &layer);
  }
}

}  // namespace caffe
