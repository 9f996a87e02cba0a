#ifndef CAFFE_SOLVERS_LOSS_SCALE_HPP_
#define CAFFE_SOLVERS_LOSS_SCALE_HPP_

// The loss scale of the math mode FP16, on a GPU.
//
// Gradients below 2^-25 are 0 as Float16 (kernels/half.hpp). So the gradient of the loss is
// multiplied by a number S, and with it all gradients; the update divides by S. S is a power of
// two, so both are exact.
//
//   at the start                         S = 2^16
//   after 2000 good iterations in a row  S = 2 S, at most 2^24
//   a gradient is not finite             S = S / 2; the update of this iteration is left out:
//                                        weights and histories stay as they are
//   S < 1                                an Error
//
// S is on the GPU, where the kernels of the loss and of the update read it, and is decided there,
// with *LateValues::stop(): an iteration waits no more often than in float. A solverstate has no
// field for S: whoever resumes starts with 2^16. The diffs that callbacks see before the update,
// and those of debug_info, are multiplied by S.

#include "caffe/solvers/param_arena.hpp"
#include "caffe/util/late_values.hpp"

namespace caffe {

template <typename Dtype>
struct LossScaleState {
  Dtype scale;    // S, of the next iteration once this one's was decided
  Dtype inverse;  // what this iteration's gradients are multiplied by
  int good;       // iterations since S changed
  int skipped;    // updates that were left out, in all
};

template <typename Dtype>
class LossScale {
 public:
  static constexpr int kStart = 1 << 16, kMost = 1 << 24, kGoodIterations = 2000;

  LossScale();
  /// On the GPU: S.
  const Dtype* factor() const;
  /// Looks at all gradients, decides, and returns what they have to be multiplied by, on the GPU.
  /// The log tells of a change of S at iteration *iter. Of diffs in an arena: two kernels.
  const Dtype* decide(const ArenaView<Dtype>& arena, const int* iter, LateValues* late);
  const Dtype* decide(const Net<Dtype>& net, const int* iter, LateValues* late);
  /// Waits for the GPU.
  LossScaleState<Dtype> state() const;
  /// For tests.
  void set_state(const LossScaleState<Dtype>& state);

 private:
  int* new_flags(int chunks);
  const Dtype* conclude(int chunks, const int* iter, LateValues* late);

  mutable SyncedMemory state_;
  Blob<int> flags_;  // [chunks]: 1 where a gradient is not finite
};

}  // namespace caffe

#endif  // CAFFE_SOLVERS_LOSS_SCALE_HPP_
