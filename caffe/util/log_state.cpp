#include "caffe/util/log_state.hpp"

#include <glog/logging.h>

#ifdef CAFFE_GLOG_IS_OLD  // glog before 0.5 exports the function without a header
namespace google {
namespace glog_internal_namespace_ {
bool IsGoogleLoggingInitialized();
}
using glog_internal_namespace_::IsGoogleLoggingInitialized;
}  // namespace google
#endif

namespace caffe {

bool log_has_started() {
  return google::IsGoogleLoggingInitialized();
}

}  // namespace caffe
