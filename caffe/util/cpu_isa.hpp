#ifndef CAFFE_UTIL_CPU_ISA_HPP_
#define CAFFE_UTIL_CPU_ISA_HPP_

namespace caffe {

/// Whether code on the CPU may use AVX-512: the processor has it, and the environment's
/// CAFFE_CPU_ISA, which is read once, does not hide it. Its one value is AVX2; a caffe::Error for
/// any other.
///
/// The first call tells oneDNN the same, which must happen before oneDNN chooses any code: whoever
/// uses oneDNN calls this first. OpenBLAS chooses when it is loaded; there OPENBLAS_CORETYPE says
/// so, which tools/engine/run sets.
bool avx512_allowed();

}  // namespace caffe

#endif  // CAFFE_UTIL_CPU_ISA_HPP_
