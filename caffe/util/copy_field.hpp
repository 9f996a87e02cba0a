#ifndef CAFFE_UTIL_COPY_FIELD_HPP_
#define CAFFE_UTIL_COPY_FIELD_HPP_

#include "google/protobuf/message.h"

namespace caffe {

/// Puts the value of a field into a field of another message: numbers, strings and messages of the
/// same type, enums by number, an int32 as uint32 where it
/// is not below 0. A repeated field gets it appended, or all of them from a repeated
/// one.
void CopyField(const google::protobuf::Message& from,
               const google::protobuf::FieldDescriptor& from_field, google::protobuf::Message* to,
               const google::protobuf::FieldDescriptor& to_field);

}  // namespace caffe

#endif  // CAFFE_UTIL_COPY_FIELD_HPP_
