#include "caffe/common.hpp"

#include <cstdlib>
#include <random>

#include "caffe/util/device.hpp"
#include "caffe/util/gpu_trace.hpp"
#include "caffe/util/log_state.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

class Caffe::RNG::Generator {
 public:
  explicit Generator(unsigned int seed) : engine(seed) {}
  rng_t engine;
};

Caffe::RNG::RNG() : RNG(std::random_device()()) {}
Caffe::RNG::RNG(unsigned int seed) : generator_(std::make_shared<Generator>(seed)) {}
void* Caffe::RNG::generator() {
  return &generator_->engine;
}

Caffe::Caffe() = default;
Caffe::~Caffe() = default;

Caffe& Caffe::Get() {
  static thread_local Caffe of_this_thread;
  return of_this_thread;
}

Caffe::RNG& Caffe::rng_stream() {
  note_host_work("draws random numbers on the host");
  Caffe& mine = Get();
  std::unique_ptr<RNG>& rng = mine.random_generator_;
  const int process = maap::process_generation();
  if (rng == nullptr || (mine.seeded_in_ >= 0 && mine.seeded_in_ != process)) {
    rng.reset(new RNG());
    mine.seeded_in_ = process;
  }
  return *rng;
}

void Caffe::set_random_seed(unsigned int seed) {
  Caffe& mine = Get();
  mine.random_generator_.reset(new RNG(seed));
  mine.seeded_in_ = -1;
  mine.seed_ = seed;
  ++mine.seedings_;
}

void Caffe::SetDevice(int device_id) {
  device::select(device_id);
}
void Caffe::DeviceQuery() {
  std::istringstream properties(device::properties(device::current()));
  for (string line; std::getline(properties, line);) LOG(INFO) << line;
}
bool Caffe::CheckDevice(int device_id) {
  return device::usable(device_id);
}

int Caffe::FindDevice(int start_id) {
  for (int id = start_id; id < device::count(); ++id) {
    if (device::usable(id)) return id;
  }
  return -1;
}

namespace {

/// Makes log lines begin as Caffe's do, "I1124 22:48:41.123456": without the year that glog 0.6 and
/// later add by default. Done when the library is loaded, so that all that use it, also programs
/// that start glog themselves, log alike; $GLOG_log_year_in_prefix and the flag on a command line
/// take precedence.
const bool kPrefixIsSet = [] {
  // The flag is set by name, because an older glog does not have it.
  if (std::getenv("GLOG_log_year_in_prefix") == nullptr) {
    gflags::SetCommandLineOption("log_year_in_prefix", "false");
  }
  return true;
}();

}  // namespace

void GlobalInit(int* pargc, char*** pargv) {
  gflags::ParseCommandLineFlags(pargc, pargv, true);
  if (log_has_started()) return;  // by pycaffe
  google::InitGoogleLogging(*pargc > 0 ? (*pargv)[0] : "caffe");
}

}  // namespace caffe
