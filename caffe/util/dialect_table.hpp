#ifndef CAFFE_UTIL_DIALECT_TABLE_HPP_
#define CAFFE_UTIL_DIALECT_TABLE_HPP_

namespace caffe {

/// The text of caffe/proto/dialects.tsv: lines of kind, owner, name and dialects, between tabs.
extern const char* const kDialectTable;

}  // namespace caffe

#endif  // CAFFE_UTIL_DIALECT_TABLE_HPP_
