#ifndef CAFFE_UTIL_LOG_STATE_HPP_
#define CAFFE_UTIL_LOG_STATE_HPP_

namespace caffe {

/// Whether glog was started in this process, by whomever; it must not be started twice.
bool log_has_started();

}  // namespace caffe

#endif  // CAFFE_UTIL_LOG_STATE_HPP_
