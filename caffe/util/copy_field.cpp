#include "caffe/util/copy_field.hpp"

#include <string>

#include "caffe/util/error.hpp"
#include "google/protobuf/descriptor.h"

namespace caffe {

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// One value: of a repeated field, at `index`, or of a single field.
#define VALUE(Type)                                                          \
  (from_field.is_repeated() ? in.GetRepeated##Type(from, &from_field, index) \
                            : in.Get##Type(from, &from_field))
#define PUT(Type)                                \
  do {                                           \
    if (to_field.is_repeated()) {                \
      out.Add##Type(to, &to_field, VALUE(Type)); \
    } else {                                     \
      out.Set##Type(to, &to_field, VALUE(Type)); \
    }                                            \
  } while (false)

void copy_one(const Message& from, const FieldDescriptor& from_field, int index, Message* to,
              const FieldDescriptor& to_field) {
  const google::protobuf::Reflection& in = *from.GetReflection();
  const google::protobuf::Reflection& out = *to->GetReflection();
  switch (from_field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      PUT(UInt32);
      break;
    case FieldDescriptor::CPPTYPE_INT32:
      if (to_field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
        CAFFE_CHECK(VALUE(Int32) >= 0, from_field.full_name()
                                           << " is " << VALUE(Int32) << ", below 0");
        out.SetUInt32(to, &to_field, static_cast<uint32_t>(VALUE(Int32)));
      } else {
        PUT(Int32);
      }
      break;
    case FieldDescriptor::CPPTYPE_FLOAT:
      PUT(Float);
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      PUT(Bool);
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      PUT(String);
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      PUT(EnumValue);
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const Message& value = from_field.is_repeated()
                                 ? in.GetRepeatedMessage(from, &from_field, index)
                                 : in.GetMessage(from, &from_field);
      Message* const copy = to_field.is_repeated() ? out.AddMessage(to, &to_field)
                                                   : out.MutableMessage(to, &to_field);
      copy->CopyFrom(value);
      break;
    }
    default:
      CAFFE_FAIL("no old message has the field " << from_field.full_name());
  }
}
#undef PUT
#undef VALUE

}  // namespace

void CopyField(const Message& from, const FieldDescriptor& from_field, Message* to,
               const FieldDescriptor& to_field) {
  const bool unsigned_now = from_field.cpp_type() == FieldDescriptor::CPPTYPE_INT32 &&
                            to_field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32;
  CAFFE_CHECK(from_field.cpp_type() == to_field.cpp_type() || unsigned_now,
              from_field.full_name() << " has a different type from " << to_field.full_name());
  const int count =
      from_field.is_repeated() ? from.GetReflection()->FieldSize(from, &from_field) : 1;
  for (int i = 0; i < count; ++i) copy_one(from, from_field, i, to, to_field);
}

}  // namespace caffe
