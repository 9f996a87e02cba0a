#ifndef TESTS_SHADOW_INCLUDE_CURAND_H_
#define TESTS_SHADOW_INCLUDE_CURAND_H_

// What caffe/util/cuda_libraries.cu needs of cuRAND. The engine loads the library by a name that
// has this "version": libcurand.so.shadow (tests/shadow/curand.cpp).

#include <cstddef>

#define CURAND_VER_MAJOR shadow

enum curandStatus {
  CURAND_STATUS_SUCCESS = 0,
  CURAND_STATUS_VERSION_MISMATCH = 100,
  CURAND_STATUS_NOT_INITIALIZED = 101,
  CURAND_STATUS_ALLOCATION_FAILED = 102,
  CURAND_STATUS_TYPE_ERROR = 103,
  CURAND_STATUS_OUT_OF_RANGE = 104,
  CURAND_STATUS_LENGTH_NOT_MULTIPLE = 105,
  CURAND_STATUS_DOUBLE_PRECISION_REQUIRED = 106,
  CURAND_STATUS_LAUNCH_FAILURE = 201,
  CURAND_STATUS_PREEXISTING_FAILURE = 202,
  CURAND_STATUS_INITIALIZATION_FAILED = 203,
  CURAND_STATUS_ARCH_MISMATCH = 204,
  CURAND_STATUS_INTERNAL_ERROR = 999
};
typedef curandStatus curandStatus_t;
enum curandRngType { CURAND_RNG_PSEUDO_DEFAULT = 100 };
typedef curandRngType curandRngType_t;
typedef struct curandGenerator_st* curandGenerator_t;

// C names: the engine looks them up in the loaded library.
extern "C" {
curandStatus_t curandCreateGenerator(curandGenerator_t* generator, curandRngType_t type);
curandStatus_t curandDestroyGenerator(curandGenerator_t generator);
curandStatus_t curandSetPseudoRandomGeneratorSeed(curandGenerator_t generator,
                                                  unsigned long long seed);
curandStatus_t curandSetGeneratorOffset(curandGenerator_t generator, unsigned long long offset);
curandStatus_t curandSetStream(curandGenerator_t generator, struct CUstream_st* stream);
curandStatus_t curandGenerate(curandGenerator_t generator, unsigned* values, size_t count);
curandStatus_t curandGenerateUniform(curandGenerator_t generator, float* values, size_t count);
}

#endif  // TESTS_SHADOW_INCLUDE_CURAND_H_
