#include "caffe/parallel/mpi.hpp"

#include <dlfcn.h>
#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "caffe/common.hpp"
#include "caffe/parallel/mpi_plugin.hpp"
#include "caffe/util/math_functions.hpp"

extern "C" void openblas_set_num_threads(int threads);

namespace caffe {

namespace {

struct Launcher {
  const char* name;
  const char* rank;  // variables
  const char* size;
};

// As documented. Slurm: those of a step (srun), because SLURM_NTASKS is also set in a job's script,
// which one process runs.
const Launcher kLaunchers[] = {
    {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
    {"MVAPICH", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"},
    {"MPICH", "PMI_RANK", "PMI_SIZE"},  // Hydra: also Intel MPI and others made from MPICH
    {"Flux", "FLUX_TASK_RANK", "FLUX_JOB_SIZE"},
    {"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},
    {"PMIx", "PMIX_RANK", nullptr},
};

/// -1 if it is no number from 0.
int number_of(const char* text) {
  if (text == nullptr || *text == '\0') return -1;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  return *end == '\0' && value >= 0 && value <= INT_MAX ? static_cast<int>(value) : -1;
}

std::string folder_of_library() {
  Dl_info here;
  CAFFE_CHECK(dladdr(reinterpret_cast<void*>(&rank_name), &here) != 0,
              "cannot find the folder of libcaffe.so");
  const std::string file = here.dli_fname;
  const size_t slash = file.rfind('/');
  return slash == std::string::npos ? "." : file.substr(0, slash);
}

const char* const kAlone =
    " To start independent processes all the same, set CAFFE_RANKS=off, and give each a snapshot "
    "prefix of its own.";

std::string started_by(const Launch& launch) {
  std::string text =
      launch.launcher + " started this process as rank " + std::to_string(launch.rank);
  if (launch.size > 0) text += " of " + std::to_string(launch.size);
  return text;
}

template <typename Function>
Function* function_of(void* library, const char* name) {
  auto* const found = reinterpret_cast<Function*>(dlsym(library, name));
  CAFFE_CHECK(found != nullptr, "libcaffe_mpi.so has no " << name << ": build it again");
  return found;
}

void* load_plugin(const Launch& launch) {
  const std::string file = folder_of_library() + "/libcaffe_mpi.so";
  CAFFE_CHECK(access(file.c_str(), F_OK) == 0,
              started_by(launch) << ", but this build cannot join the others: there is no " << file
                                 << ". Build with MPI (-DMAAP_MPI=ON; Debian: apt-get install "
                                    "libopenmpi-dev openmpi-bin)."
                                 << kAlone);
  // Global, because some MPI libraries load parts of their own that look for their symbols there.
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
  const char* why = library == nullptr ? dlerror() : nullptr;
  CAFFE_CHECK(library != nullptr, started_by(launch) << ", but " << file << " cannot be loaded: "
                                                     << (why == nullptr ? "?" : why)
                                                     << ". It needs the MPI library that it was "
                                                        "built with."
                                                     << kAlone);
  return library;
}

/// This process's place among the ranks.
struct World {
  std::mutex mutex;
  bool joined = false;
  int process = 0;  // generation that joined
  std::shared_ptr<Communicator> ranks;
  CaffeMpiLeave* leave = nullptr;
};

/// Never destroyed, and its ranks neither: solvers that exist when the process ends may hold them.
World& world() {
  static World* const one = new World();
  return *one;
}

void leave() {
  World& here = world();
  if (here.process == maap::process_generation()) here.leave(here.ranks.get());
}

void join(World* here) {
  const Launch launch = find_launch();
  if (launch.size == 1) return;
  void* const library = load_plugin(launch);
  here->leave = function_of<CaffeMpiLeave>(library, "caffe_mpi_leave");
  std::string error;
  Communicator* const ranks = function_of<CaffeMpiJoin>(library, "caffe_mpi_join")(launch, &error);
  CAFFE_CHECK(error.empty(), started_by(launch)
                                 << ", but cannot join the others: " << error << kAlone);
  if (ranks == nullptr) return;
  here->ranks.reset(ranks, [](Communicator*) {});
  setenv("CAFFE_RANKS", "off", 1);  // for programs that this one starts
  std::atexit(leave);
}

}  // namespace

std::string rank_name(int rank, int size) {
  return "rank " + std::to_string(rank) + " of " + std::to_string(size);
}

Launch find_launch(const std::function<const char*(const char*)>& variable) {
  Launch launch;
  const char* const wanted = variable("CAFFE_RANKS");
  if (wanted != nullptr && *wanted != '\0') {
    CAFFE_CHECK(std::string(wanted) == "off", "CAFFE_RANKS is '"
                                                  << wanted << "': the one value is 'off', for "
                                                  << "processes that have nothing to do with "
                                                     "each other");
    return launch;
  }
  for (const Launcher& one : kLaunchers) {
    const int rank = number_of(variable(one.rank));
    const int size = one.size == nullptr ? 0 : number_of(variable(one.size));
    if (rank < 0 || size < 0) continue;
    launch.launcher = one.name;
    launch.rank = rank;
    launch.size = size;
    return launch;
  }
  return launch;
}

Launch find_launch() {
  return find_launch([](const char* name) { return std::getenv(name); });
}

std::shared_ptr<Communicator> world_communicator() {
  World& here = world();
  const std::lock_guard<std::mutex> lock(here.mutex);
  if (!here.joined) {
    join(&here);
    here.process = maap::process_generation();
    here.joined = true;
  }
  CAFFE_CHECK(here.ranks == nullptr || here.process == maap::process_generation(),
              "a forked child is not a rank: only the process that the launcher started is");
  return here.ranks;
}

// ---- threads

namespace {

/// Whether the user has set it. CAFFE_DEFAULT_THREADS says that a script set the variables, because
/// the user had not.
bool user_chose(const char* variable) {
  return std::getenv(variable) != nullptr && std::getenv("CAFFE_DEFAULT_THREADS") == nullptr;
}

/// The cores that this process may use, for comparison with other processes'.
std::string own_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  sched_getaffinity(0, sizeof(cores), &cores);
  return host + std::string(1, '\0') +
         std::string(reinterpret_cast<const char*>(&cores), sizeof(cores));
}

/// Threads of each of the ranks that have the same cores as this one.
int own_share(Communicator* ranks) {
  const std::string mine = own_cores();
  const std::vector<std::string> all = ranks->gather(mine);
  const int sharing = static_cast<int>(std::count(all.begin(), all.end(), mine));
  // The smaller of the cores and of what a script found to be usable (a container's limit).
  const int threads = std::min(omp_get_num_procs(), omp_get_max_threads());
  return std::max(1, threads / std::max(1, sharing));
}

/// Shares the cores; collective. The threads of this rank, 0 if the user has chosen. Some sums, and
/// with them the last bits of an update, depend on the number of threads, so all ranks have the
/// same.
int share_cores(Communicator* ranks) {
  const bool is_chosen = user_chose("OMP_NUM_THREADS");
  const int share = own_share(ranks);
  int threads = is_chosen ? omp_get_max_threads() : share;
  for (const std::string& other : ranks->gather(std::to_string(threads))) {
    threads = std::min(threads, std::stoi(other));
  }
  if (is_chosen) return 0;
  if (!user_chose("OPENBLAS_NUM_THREADS")) openblas_set_num_threads(threads);
  setenv("CAFFE_DATA_THREADS", std::to_string(std::min(4, threads)).c_str(), 0);
  LOG(INFO) << ranks->size() << " ranks, " << threads << " threads each";
  return threads;
}

}  // namespace

void prepare_process(Communicator* ranks) {
  Caffe::set_solver_count(ranks->size());
  Caffe::set_solver_rank(ranks->rank());
  Caffe::set_multiprocess(true);
  if (ranks->rank() != 0) FLAGS_minloglevel = std::max(FLAGS_minloglevel, google::GLOG_ERROR);
  static const int threads = share_cores(ranks);
  thread_local bool has_share = false;
  if (threads > 0 && !has_share) omp_set_num_threads(threads);
  has_share = true;
}

}  // namespace caffe
