// The handles of NVIDIA's libraries and their errors as text. Compiled in a build with CUDA only.

#include <dlfcn.h>

#include <random>

#include "caffe/common.hpp"
#include "caffe/util/gpu_context.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

/// cuRAND, loaded at its first use: the engine itself draws without it, and a program that asks for
/// the generator has the library anyway.
class CuRand {
 public:
  static const CuRand& get() {
    static const CuRand loaded;
    return loaded;
  }
  decltype(&curandCreateGenerator) create;
  decltype(&curandDestroyGenerator) destroy;
  decltype(&curandSetPseudoRandomGeneratorSeed) set_seed;
  decltype(&curandSetGeneratorOffset) set_offset;
  decltype(&curandSetStream) set_stream;

 private:
  CuRand() {
    const char* const name = "libcurand.so." AS_STRING(CURAND_VER_MAJOR);
    void* const library = dlopen(name, RTLD_NOW);
    CAFFE_CHECK(library != nullptr, "curand_generator: cannot load " << name << ": " << dlerror());
    find(library, "curandCreateGenerator", &create);
    find(library, "curandDestroyGenerator", &destroy);
    find(library, "curandSetPseudoRandomGeneratorSeed", &set_seed);
    find(library, "curandSetGeneratorOffset", &set_offset);
    find(library, "curandSetStream", &set_stream);
  }
  template <typename Function>
  static void find(void* library, const char* name, Function* function) {
    *function = reinterpret_cast<Function>(dlsym(library, name));
    CAFFE_CHECK(*function != nullptr, "cuRAND has no function " << name);
  }
};

/// The calling thread's generators, one per GPU.
class Generators {
 public:
  ~Generators() {
    for (const auto& entry : generators_) {
      if (entry.second.handle != nullptr) CuRand::get().destroy(entry.second.handle);
    }
  }
  /// The current GPU's generator, with this seed if that is its `seedings`-th; the first one is
  /// random unless the thread was given a seed.
  curandGenerator_t current(unsigned int seed, int seedings) {
    const GpuContext& context = GpuContext::current();
    Generator& generator = generators_[context.device()];
    if (generator.handle == nullptr) {
      CURAND_CHECK(CuRand::get().create(&generator.handle, CURAND_RNG_PSEUDO_DEFAULT));
      CURAND_CHECK(CuRand::get().set_stream(generator.handle, context.stream()));
      if (seedings == 0) set_seed(generator.handle, std::random_device()());
    }
    if (generator.seedings != seedings) {
      set_seed(generator.handle, seed);
      generator.seedings = seedings;
    }
    return generator.handle;
  }

 private:
  struct Generator {
    curandGenerator_t handle = nullptr;
    int seedings = 0;
  };

  static void set_seed(curandGenerator_t handle, unsigned int seed) {
    CURAND_CHECK(CuRand::get().set_seed(handle, seed));
    CURAND_CHECK(CuRand::get().set_offset(handle, 0));
  }

  map<int, Generator> generators_;
};

}  // namespace

cublasHandle_t CudaLibraries::cublas_handle() {
  return GpuContext::current().blas();
}

curandGenerator_t CudaLibraries::curand_generator() {
  static thread_local Generators of_this_thread;
  return of_this_thread.current(Caffe::Get().seed_, Caffe::Get().seedings_);
}

template <typename Dtype>
void caffe_gpu_scal(const int N, const Dtype alpha, Dtype* X, cudaStream_t str) {
  const maap::OnStream on(str);
  caffe_gpu_scal(N, alpha, X);
}
template void caffe_gpu_scal<float>(const int, const float, float*, cudaStream_t);
template void caffe_gpu_scal<double>(const int, const double, double*, cudaStream_t);

const char* cublasGetErrorString(cublasStatus_t error) {
  return cublasGetStatusName(error);
}

const char* curandGetErrorString(curandStatus_t error) {
#define CAFFE_NAME(status) \
  case status:             \
    return #status
  switch (error) {
    CAFFE_NAME(CURAND_STATUS_SUCCESS);
    CAFFE_NAME(CURAND_STATUS_VERSION_MISMATCH);
    CAFFE_NAME(CURAND_STATUS_NOT_INITIALIZED);
    CAFFE_NAME(CURAND_STATUS_ALLOCATION_FAILED);
    CAFFE_NAME(CURAND_STATUS_TYPE_ERROR);
    CAFFE_NAME(CURAND_STATUS_OUT_OF_RANGE);
    CAFFE_NAME(CURAND_STATUS_LENGTH_NOT_MULTIPLE);
    CAFFE_NAME(CURAND_STATUS_DOUBLE_PRECISION_REQUIRED);
    CAFFE_NAME(CURAND_STATUS_LAUNCH_FAILURE);
    CAFFE_NAME(CURAND_STATUS_PREEXISTING_FAILURE);
    CAFFE_NAME(CURAND_STATUS_INITIALIZATION_FAILED);
    CAFFE_NAME(CURAND_STATUS_ARCH_MISMATCH);
    CAFFE_NAME(CURAND_STATUS_INTERNAL_ERROR);
  }
#undef CAFFE_NAME
  return "unknown cuRAND status";
}

}  // namespace caffe
