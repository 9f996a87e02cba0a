#ifndef TESTS_SHADOW_LAZY_LOADING_HPP_
#define TESTS_SHADOW_LAZY_LOADING_HPP_

#include <string>

namespace shadow {

/// Throws the Fault of load_lazily(), if this is the first such operation on this device.
void load(const std::string& operation, int device);
/// Whether a call of NCCL on the device is not complete, which may wait for another rank.
bool waits_for_ranks(int device);

}  // namespace shadow

#endif  // TESTS_SHADOW_LAZY_LOADING_HPP_
