#ifndef CAFFE_UTIL_SILENT_ERRORS_HPP_
#define CAFFE_UTIL_SILENT_ERRORS_HPP_

#include <string>

#include "google/protobuf/io/tokenizer.h"

namespace caffe {

/// For protobuf's parsers, where another reader of the text says what is wrong with it.
class SilentErrors : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int, int, const std::string&) override {}
  void AddWarning(int, int, const std::string&) override {}
};

}  // namespace caffe

#endif  // CAFFE_UTIL_SILENT_ERRORS_HPP_
