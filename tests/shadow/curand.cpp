// libcurand.so.shadow: a generator that a program in Caffe's style can ask the engine for.

#include <cuda_runtime.h>
#include <curand.h>

#include "tests/shadow/library_call.hpp"
#include "tests/shadow/random.hpp"

struct curandGenerator_st {
  unsigned long long seed = 0, offset = 0;
  cudaStream_t stream = nullptr;
};

namespace {

/// Adds an operation that writes value(seed, index) to each element.
template <typename T, typename F>
curandStatus_t generate(curandGenerator_t generator, T* values, size_t count, const F& value) {
  if (generator == nullptr) return CURAND_STATUS_NOT_INITIALIZED;
  const unsigned long long seed = generator->seed, first = generator->offset;
  generator->offset += count;
  shadow::check_memory("cuRAND", values, count * sizeof(T));
  const bool added = shadow::add_library_call("cuRAND", generator->stream, {values}, [=] {
    for (size_t i = 0; i < count; ++i)
      values[i] = value(shadow::mix(seed ^ shadow::mix(first + i)));
  });
  return added ? CURAND_STATUS_SUCCESS : CURAND_STATUS_LAUNCH_FAILURE;
}

}  // namespace

curandStatus_t curandCreateGenerator(curandGenerator_t* generator, curandRngType_t) {
  if (!shadow::library_may_allocate()) return CURAND_STATUS_INITIALIZATION_FAILED;
  *generator = new curandGenerator_st;
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandDestroyGenerator(curandGenerator_t generator) {
  delete generator;
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandSetPseudoRandomGeneratorSeed(curandGenerator_t generator,
                                                  unsigned long long seed) {
  generator->seed = seed;
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandSetGeneratorOffset(curandGenerator_t generator, unsigned long long offset) {
  generator->offset = offset;
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandSetStream(curandGenerator_t generator, cudaStream_t stream) {
  generator->stream = stream;
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandGenerate(curandGenerator_t generator, unsigned* values, size_t count) {
  return generate(generator, values, count, [](uint64_t bits) { return unsigned(bits >> 32); });
}

curandStatus_t curandGenerateUniform(curandGenerator_t generator, float* values, size_t count) {
  return generate(generator, values, count,
                  [](uint64_t bits) { return (float(bits >> 40) + 1) * (1.0f / 16777216.0f); });
}
