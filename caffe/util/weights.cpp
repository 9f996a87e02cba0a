#include "caffe/util/weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "caffe/net_error.hpp"
#include "caffe/proto/weights.pb.h"
#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "google/protobuf/unknown_field_set.h"

namespace caffe {

namespace {

using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

// Fields that the schema does not have.
const int kLayerOfV0 = 1;                    // V1LayerParameter
const int kRawDataType = 10, kRawData = 12;  // BlobProto of NVIDIA's Caffe
enum RawType { kDouble = 0, kFloat = 1, kFloat16 = 2 };

const UnknownField* find_field(const UnknownFieldSet& fields, int number, UnknownField::Type type) {
  for (int i = 0; i < fields.field_count(); ++i) {
    if (fields.field(i).number() == number && fields.field(i).type() == type) {
      return &fields.field(i);
    }
  }
  return nullptr;
}

/// The value of a 16-bit float.
float half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const float sign = (bits & 0x8000) != 0 ? -1.f : 1.f;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  return sign * std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
}

template <typename Stored, typename Add>
bool decode(const string& raw, const Add& add) {
  if (raw.size() % sizeof(Stored) != 0) return false;
  for (size_t at = 0; at < raw.size(); at += sizeof(Stored)) {
    Stored value;
    std::memcpy(&value, &raw[at], sizeof(Stored));
    add(value);
  }
  return true;
}

/// Turns raw bytes into data, and drops all that the schema does not have.
void decode_blob(const string& layer, BlobProto* blob) {
  UnknownFieldSet* const unknown = blob->GetReflection()->MutableUnknownFields(blob);
  const UnknownField* const raw =
      find_field(*unknown, kRawData, UnknownField::TYPE_LENGTH_DELIMITED);
  if (raw != nullptr && blob->data_size() == 0 && blob->double_data_size() == 0) {
    const UnknownField* const type = find_field(*unknown, kRawDataType, UnknownField::TYPE_VARINT);
    const string& bytes = raw->length_delimited();
    const int floats = static_cast<int>(bytes.size() / sizeof(float));
    bool good = false;
    switch (type == nullptr ? uint64_t{kFloat} : type->varint()) {
      case kDouble:
        good = decode<double>(bytes, [&](double value) { blob->add_double_data(value); });
        break;
      case kFloat:
        blob->mutable_data()->Reserve(floats);
        good = decode<float>(bytes, [&](float value) { blob->add_data(value); });
        break;
      case kFloat16:
        blob->mutable_data()->Reserve(2 * floats);
        good = decode<uint16_t>(bytes, [&](uint16_t bits) { blob->add_data(half_value(bits)); });
        break;
      default:
        CAFFE_FAIL("layer '" << layer << "': its weights are stored as raw values of type "
                             << type->varint() << "; only FLOAT, DOUBLE and FLOAT16 can be read");
    }
    CAFFE_CHECK(good, "layer '" << layer << "': its raw weights end inside a value: the file is "
                                << "damaged");
  }
  unknown->Clear();
}

int64_t values_of(const BlobProto& blob) {
  return std::max(blob.data_size(), blob.double_data_size());
}

/// NVIDIA's 0.15 stores scales, biases, means, variances and a value that nothing reads; its later
/// versions and this engine means, variances, weight, scales, biases.
void reorder_batch_norm(LayerParameter* layer) {
  auto* const blobs = layer->mutable_blobs();
  const bool of_015 = layer->type() == "BatchNorm" && blobs->size() == 5 &&
                      values_of(blobs->Get(4)) == 1 && values_of(blobs->Get(2)) > 1;
  if (!of_015) return;
  for (int i = 0; i < 3; ++i) blobs->SwapElements(i, i + 2);  // means, variances, value, b, s
  blobs->SwapElements(3, 4);
  layer->mutable_blobs(2)->clear_double_data();
  layer->mutable_blobs(2)->clear_data();
  layer->mutable_blobs(2)->add_data(1);
}

template <typename Stored>
void move_layer(Stored* stored, LayerParameter* layer) {
  layer->mutable_name()->swap(*stored->mutable_name());
  layer->mutable_blobs()->Swap(stored->mutable_blobs());
  for (BlobProto& blob : *layer->mutable_blobs()) decode_blob(layer->name(), &blob);
  reorder_batch_norm(layer);
}

bool has_layers_of_v0(const NetWeights& stored) {
  for (const V1LayerWeights& layer : stored.layers()) {
    const UnknownFieldSet& unknown = layer.GetReflection()->GetUnknownFields(layer);
    if (find_field(unknown, kLayerOfV0, UnknownField::TYPE_LENGTH_DELIMITED) != nullptr) {
      return true;
    }
  }
  return false;
}

const char* type_of_v1(int number) {
  return V1LayerParameter_LayerType_IsValid(number)
             ? UpgradeV1LayerType(static_cast<V1LayerParameter_LayerType>(number))
             : "";
}

}  // namespace

void ReadWeightsFromBinaryFile(const string& filename, NetParameter* weights) {
  weights->Clear();
  NetWeights stored;
  ReadProtoFromBinaryFile(filename, &stored);
  if (has_layers_of_v0(stored)) {  // from 2013, before there were forks
    stored.Clear();
    return ReadNetParamsFromBinaryFileOrDie(filename, weights);
  }
  CAFFE_CHECK(stored.layer_size() == 0 || stored.layers_size() == 0,
              filename << ": has both layer { } and layers { }, of the old form");
  weights->set_name(stored.name());
  for (V1LayerWeights& layer : *stored.mutable_layers()) {
    LayerParameter* const moved = weights->add_layer();
    moved->set_type(type_of_v1(layer.type()));
    in_file(filename, [&] { move_layer(&layer, moved); });
  }
  for (LayerWeights& layer : *stored.mutable_layer()) {
    LayerParameter* const moved = weights->add_layer();
    moved->mutable_type()->swap(*layer.mutable_type());
    in_file(filename, [&] { move_layer(&layer, moved); });
  }
  LOG_IF(INFO, stored.layers_size() > 0) << "Upgraded " << filename << " from V1LayerParameter";
}

}  // namespace caffe
