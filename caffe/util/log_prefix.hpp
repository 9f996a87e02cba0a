#ifndef CAFFE_UTIL_LOG_PREFIX_HPP_
#define CAFFE_UTIL_LOG_PREFIX_HPP_

namespace caffe {

/// Makes log lines begin as Caffe's do, "I1124 22:48:41.123456": without the year that glog 0.6 and
/// later add by default. To be called before google::InitGoogleLogging;
/// $GLOG_log_year_in_prefix and the flag on a command line take precedence.
void UseCaffeLogPrefix();

}  // namespace caffe

#endif  // CAFFE_UTIL_LOG_PREFIX_HPP_
