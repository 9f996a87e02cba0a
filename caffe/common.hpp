#ifndef CAFFE_COMMON_HPP_
#define CAFFE_COMMON_HPP_

// What every file of the engine needs: names from the standard library, the macros for writing
// layers, and Caffe, the settings of a thread.

#include <gflags/gflags.h>
#include <glog/logging.h>

#include <climits>
#include <cmath>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "caffe/util/device_alternate.hpp"
#include "caffe/util/error.hpp"
#include "kernels/fork.hpp"

#define STRINGIFY(m) #m
#define AS_STRING(m) STRINGIFY(m)

#define DISABLE_COPY_AND_ASSIGN(classname) \
 private:                                  \
  classname(const classname&) = delete;    \
  classname& operator=(const classname&) = delete

#define INSTANTIATE_CLASS(classname) \
  template class classname<float>;   \
  template class classname<double>

/// For layers whose GPU methods are in a separate file.
#define INSTANTIATE_LAYER_GPU_FORWARD(classname)                                         \
  template void classname<float>::Forward_gpu(const std::vector<Blob<float>*>& bottom,   \
                                              const std::vector<Blob<float>*>& top);     \
  template void classname<double>::Forward_gpu(const std::vector<Blob<double>*>& bottom, \
                                               const std::vector<Blob<double>*>& top)

#define INSTANTIATE_LAYER_GPU_BACKWARD(classname)                                        \
  template void classname<float>::Backward_gpu(const std::vector<Blob<float>*>& top,     \
                                               const std::vector<bool>& propagate_down,  \
                                               const std::vector<Blob<float>*>& bottom); \
  template void classname<double>::Backward_gpu(const std::vector<Blob<double>*>& top,   \
                                                const std::vector<bool>& propagate_down, \
                                                const std::vector<Blob<double>*>& bottom)

#define INSTANTIATE_LAYER_GPU_FUNCS(classname) \
  INSTANTIATE_LAYER_GPU_FORWARD(classname);    \
  INSTANTIATE_LAYER_GPU_BACKWARD(classname)

/// glog's, in a section without forks: a child whose parent's other thread was writing a line would
/// wait for the log's lock for ever.
#undef LOG
#define LOG(severity) (static_cast<void>(::maap::NoFork()), COMPACT_GOOGLE_LOG_##severity.stream())

#define NOT_IMPLEMENTED CAFFE_FAIL("not implemented: " << __func__ << " in " << __FILE__)

namespace cv {
class Mat;
}

namespace caffe {

using std::fstream;
using std::ios;
using std::isinf;
using std::isnan;
using std::iterator;
using std::make_pair;
using std::map;
using std::ostringstream;
using std::pair;
using std::set;
using std::shared_ptr;
using std::string;
using std::stringstream;
using std::vector;

/// Initialises a program's flags and log; removes the flags it knows from the arguments.
void GlobalInit(int* pargc, char*** pargv);

/// The settings of the calling thread: each thread has its own mode, random numbers and rank, and
/// starts in CPU mode. With CUDA it also has cublas_handle() and curand_generator(). A forked child
/// has those of the thread that forked; of random numbers without a seed it draws others.
class Caffe : public CudaLibraries {
 public:
  enum Brew { CPU, GPU };

  /// A Mersenne twister (mt19937). Copies share their state; a new one gets a new seed.
  class RNG {
   public:
    RNG();
    explicit RNG(unsigned int seed);
    void* generator();  // rng_t*, see caffe/util/rng.hpp

   private:
    class Generator;
    shared_ptr<Generator> generator_;
  };

  static Caffe& Get();
  ~Caffe();

  static RNG& rng_stream();
  static Brew mode() { return Get().mode_; }
  static void set_mode(Brew mode) { Get().mode_ = mode; }
  /// From now on this thread draws the sequence of this seed.
  static void set_random_seed(unsigned int seed);

  /// Selects a GPU for this thread. Throws when no GPU has that number or this build has no CUDA.
  static void SetDevice(int device_id);
  /// Logs the properties of this thread's GPU, a line each. Throws as SetDevice does.
  static void DeviceQuery();
  static bool CheckDevice(int device_id);
  /// The first usable GPU with a number of at least start_id; -1 if there is none.
  static int FindDevice(int start_id = 0);

  /// Several solvers, one thread each, may train one net: how many there are, and which one this
  /// is.
  static int solver_count() { return Get().solver_count_; }
  static void set_solver_count(int count) { Get().solver_count_ = count; }
  static int solver_rank() { return Get().solver_rank_; }
  static void set_solver_rank(int rank) { Get().solver_rank_ = rank; }
  static bool multiprocess() { return Get().multiprocess_; }
  static void set_multiprocess(bool multiprocess) { Get().multiprocess_ = multiprocess; }
  static bool root_solver() { return solver_rank() == 0; }

 private:
  Caffe();
  friend class CudaLibraries;

  std::unique_ptr<RNG> random_generator_;
  unsigned int seed_ = 0;  // of cuRAND's generator, set `seedings_` times
  int seedings_ = 0;
  int seeded_in_ = -1;  // process_generation() of a generator without a seed of the user's
  Brew mode_ = CPU;
  int solver_count_ = 1;
  int solver_rank_ = 0;
  bool multiprocess_ = false;

  DISABLE_COPY_AND_ASSIGN(Caffe);
};

}  // namespace caffe

#endif  // CAFFE_COMMON_HPP_
