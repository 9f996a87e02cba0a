#ifndef CAFFE_UTIL_CPU_ISA_HPP_
#define CAFFE_UTIL_CPU_ISA_HPP_

namespace caffe {

/// Whether code on the CPU may use AVX-512: the processor has it, and the environment's
/// CAFFE_CPU_ISA, which is read once, does not hide it. Its only value is AVX2; any other is a
/// caffe::Error.
///
/// The first call passes this on to oneDNN, which must happen before oneDNN chooses any code, so
/// code that uses oneDNN calls this first. OpenBLAS chooses its code when it is loaded and reads
/// OPENBLAS_CORETYPE, which tools/engine/run sets.
bool avx512_allowed();

/// Sets of instructions that own code is compiled for: the processor's baseline, AVX2 with FMA, and
/// these with AVX-512.
enum class Isa { kPlain, kAvx2, kAvx512 };

/// Whether the processor has them, hidden or not.
bool processor_has(Isa isa);
/// The most that avx512_allowed() leaves.
Isa best_isa();

}  // namespace caffe

#endif  // CAFFE_UTIL_CPU_ISA_HPP_
