#ifndef CAFFE_UTIL_COPY_FIELD_HPP_
#define CAFFE_UTIL_COPY_FIELD_HPP_

#include "google/protobuf/message.h"

namespace caffe {

/// Copies the value of a field to a field of another message: numbers, strings and messages of the
/// same type, enums by number, an int32 to a uint32 if it is not negative. To a repeated field it
/// appends the value, or all values of a repeated field.
void CopyField(const google::protobuf::Message& from,
               const google::protobuf::FieldDescriptor& from_field, google::protobuf::Message* to,
               const google::protobuf::FieldDescriptor& to_field);

}  // namespace caffe

#endif  // CAFFE_UTIL_COPY_FIELD_HPP_
