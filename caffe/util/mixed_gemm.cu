#include "caffe/util/mixed_gemm.hpp"

#include "caffe/util/device.hpp"
#include "caffe/util/gpu_workspace.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_format.hpp"
#include "kernels/half.hpp"

namespace caffe {

namespace {

template <typename From, typename To>
struct Convert {
  const From* from;  // [n]
  To* to;            // [n]
  CAFFE_HD void operator()(int i) const { to[i] = To(maap::Computed<From>(from[i])); }
};

template <typename From, typename To>
void convert(int64_t n, const void* from, void* to) {
  parallel_for(Device::kGPU, n,
               Convert<From, To>{static_cast<const From*>(from), static_cast<To*>(to)});
}

template <typename From>
void convert_from(int64_t n, const void* from, ValueType to_type, void* to) {
  switch (to_type) {
    case ValueType::kFloat:
      return convert<From, float>(n, from, to);
    case ValueType::kFloat16:
      return convert<From, Float16>(n, from, to);
    case ValueType::kBfloat16:
      return convert<From, Bfloat16>(n, from, to);
    case ValueType::kDouble:
      break;
  }
  CAFFE_FAIL("no values are converted to " << name_of(to_type));
}

void product(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, float alpha,
             const float* a, const float* b, float beta, float* c) {
  const ValueType type = multiplied_type<float>();
  const bool half = is_half(type);
  if (k == 0 || (!half && !rounds_to_tf32())) {
    return caffe_gpu_gemm(ta, tb, m, n, k, alpha, a, b, beta, c);
  }
  if (!half) return gpu_gemm_of(type, true, ta, tb, m, n, k, alpha, a, b, beta, c);
  const int64_t in_a = static_cast<int64_t>(m) * k, in_b = static_cast<int64_t>(k) * n;
  const size_t bytes_a = device::aligned(in_a * size_of(type));
  char* const half_a = static_cast<char*>(device::operand_room(bytes_a + in_b * size_of(type)));
  char* const half_b = a == b && in_a == in_b ? half_a : half_a + bytes_a;
  convert_values(in_a, ValueType::kFloat, a, type, half_a);
  if (half_b != half_a) convert_values(in_b, ValueType::kFloat, b, type, half_b);
  gpu_gemm_of(type, false, ta, tb, m, n, k, alpha, half_a, half_b, beta, c);
}

void product(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, double alpha,
             const double* a, const double* b, double beta, double* c) {
  caffe_gpu_gemm(ta, tb, m, n, k, alpha, a, b, beta, c);
}

}  // namespace

bool rounds_to_tf32() {
  return math_mode() == MathMode::kTf32 || device::allows_tf32();
}

void convert_values(int64_t n, ValueType from_type, const void* from, ValueType to_type, void* to) {
  switch (from_type) {
    case ValueType::kFloat:
      return convert_from<float>(n, from, to_type, to);
    case ValueType::kFloat16:
      return convert_from<Float16>(n, from, to_type, to);
    case ValueType::kBfloat16:
      return convert_from<Bfloat16>(n, from, to_type, to);
    case ValueType::kDouble:
      break;
  }
  CAFFE_FAIL("no values are converted from " << name_of(from_type));
}

template <typename Dtype>
void mixed_gpu_gemm(CBLAS_TRANSPOSE TransA, CBLAS_TRANSPOSE TransB, int M, int N, int K,
                    Dtype alpha, const Dtype* A, const Dtype* B, Dtype beta, Dtype* C) {
  if (M == 0 || N == 0) return;
  product(TransA, TransB, M, N, K, alpha, A, B, beta, C);
}

template <typename Dtype>
void multiply_by_weights(CBLAS_TRANSPOSE TransB, int M, int N, int K, const Dtype* A,
                         const Blob<Dtype>& B, Dtype* C) {
  const ValueType type = multiplied_type<Dtype>();
  if (Caffe::mode() != Caffe::GPU || !is_half(type) || M == 0 || N == 0 || K == 0) {
    return caffe_gemm(CblasNoTrans, TransB, M, N, K, Dtype(1), A, B.active_data(), Dtype(0), C);
  }
  const int64_t in_a = static_cast<int64_t>(M) * K;
  const void* const half_b = internal::read_nhwc(B.data().get(), B.shape(), type);
  void* const half_a = device::operand_room(in_a * size_of(type));
  convert_values(in_a, type_of<Dtype>(), A, type, half_a);
  gpu_gemm_of(type, false, CblasNoTrans, TransB, M, N, K, 1, half_a, half_b, 0,
              reinterpret_cast<float*>(C));  // doubles have no 16 bits
}

#define INSTANTIATE(T)                                                                          \
  template void mixed_gpu_gemm<T>(CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, int, int, int, T, const T*, \
                                  const T*, T, T*);                                             \
  template void multiply_by_weights<T>(CBLAS_TRANSPOSE, int, int, int, const T*, const Blob<T>&, T*)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
