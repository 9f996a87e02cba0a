#include "caffe/parallel/gpu_ranks.hpp"

#include <omp.h>

#include <algorithm>
#include <mutex>
#include <system_error>
#include <thread>

#include "caffe/common.hpp"
#include "caffe/parallel/local_group.hpp"
#include "caffe/parallel/nccl_sums.hpp"
#include "caffe/util/device.hpp"
#include "caffe/util/math_mode.hpp"

namespace caffe {

namespace {

void check_gpus(const vector<int>& gpus) {
  CAFFE_CHECK(!gpus.empty(), "no GPU is named");
  for (const int gpu : gpus) {
    CAFFE_CHECK(device::usable(gpu), device::why_unusable(gpu));
    CAFFE_CHECK(std::count(gpus.begin(), gpus.end(), gpu) == 1,
                "GPU " << gpu << " is named twice: each rank needs a GPU of its own");
  }
  if (gpus.size() > 1 && !has_nccl()) new_nccl_id();  // throws what is missing
}

/// The error of the rank that failed first.
class FirstError {
 public:
  void note(const string& text) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (text_.empty()) text_ = text;
  }
  void rethrow() const {
    if (!text_.empty()) throw Error(text_);
  }

 private:
  std::mutex mutex_;
  string text_;
};

/// The calling thread's settings, which it has again afterwards.
class SettingsOfThread {
 public:
  ~SettingsOfThread() {
    Caffe::set_solver_count(count_);
    Caffe::set_solver_rank(rank_);
    omp_set_num_threads(threads_);
  }

 private:
  const int count_ = Caffe::solver_count(), rank_ = Caffe::solver_rank();
  const int threads_ = omp_get_max_threads();
};

}  // namespace

void run_on_gpus(const vector<int>& gpus,
                 const std::function<void(std::shared_ptr<Communicator>)>& run) {
  check_gpus(gpus);
  const SettingsOfThread settings;
  const int size = static_cast<int>(gpus.size());
  const int threads = std::max(1, omp_get_max_threads() / size);
  const MathMode mode = math_mode();
  vector<std::shared_ptr<Communicator>> ranks = LocalGroup::make(size);
  FirstError error;
  const auto end_all = [&](int rank, Communicator* own, const string& why) {
    const bool names_rank = why.compare(0, 5, "rank ") == 0;
    const string who = "rank " + std::to_string(rank) + " (GPU " + std::to_string(gpus[rank]) + ")";
    const string text = names_rank ? why : who + ": " + why;
    error.note(text);
    own->abort(text);
  };
  const auto run_rank = [&](int rank) {
    const std::shared_ptr<Communicator> own = std::move(ranks[rank]);
    try {
      Caffe::SetDevice(gpus[rank]);
      Caffe::set_mode(Caffe::GPU);
      omp_set_num_threads(threads);
      set_math_mode(mode);
      run(own);
    } catch (const std::exception& caught) {
      end_all(rank, own.get(), caught.what());
    } catch (...) {
      end_all(rank, own.get(), "an exception that is no std::exception");
    }
  };
  vector<std::thread> others;
  others.reserve(size);
  try {
    for (int rank = 1; rank < size; ++rank) others.emplace_back(run_rank, rank);
    run_rank(0);
  } catch (const std::system_error& caught) {  // the ranks that have begun wait for this one
    const std::shared_ptr<Communicator> own = std::move(ranks[0]);
    end_all(0, own.get(), string("cannot start a thread for each GPU: ") + caught.what());
  }
  for (std::thread& other : others) other.join();
  error.rethrow();
}

}  // namespace caffe
