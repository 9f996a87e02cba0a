#ifndef CAFFE_UTIL_FORK_TEXT_HPP_
#define CAFFE_UTIL_FORK_TEXT_HPP_

#include "caffe/util/dialects.hpp"

namespace caffe {

/// Replaces "engine: VALUE" by blanks where VALUE is an engine of another fork alone (MKLDNN,
/// MKL2017, MLU, NNPACK), so that the layer takes its own choice. Comments and strings stay as they
/// are, and so do lines and columns. Logs a warning for each value, and returns them.
vector<ForkPart> remove_fork_engines(const string& what, string* text);

}  // namespace caffe

#endif  // CAFFE_UTIL_FORK_TEXT_HPP_
