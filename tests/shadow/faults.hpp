#ifndef TESTS_SHADOW_FAULTS_HPP_
#define TESTS_SHADOW_FAULTS_HPP_

// Accesses that fault. One to a closed block of the right device by a running operation opens the
// block. Any other one to device memory, and every fault of a running operation, is reported (what
// ran, the address, where it lies) and ends the process. All other faults go to whoever handled
// them before.

namespace shadow {

/// Installs the handler, once.
void install_fault_handler();
/// Gives the calling thread a stack for the handler, once: an operation's own stack may be small.
void prepare_thread_for_faults();

}  // namespace shadow

#endif  // TESTS_SHADOW_FAULTS_HPP_
