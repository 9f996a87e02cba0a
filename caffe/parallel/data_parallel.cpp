#include "caffe/parallel/data_parallel.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <sstream>

#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

/// Gradients of fewer values are copied, to be added up side by side.
constexpr int kSmallGradient = 1 << 16;

/// A layer's blobs that its forward passes change while training: indices [first, end).
template <typename Dtype>
std::pair<size_t, size_t> statistics_of(const Layer<Dtype>& layer) {
  const std::string type = layer.type();
  const size_t blobs = const_cast<Layer<Dtype>&>(layer).blobs().size();
  if (type == "BatchNorm") return {0, std::min<size_t>(blobs, 3)};
  if (type == "BN" && blobs == 4) return {2, 4};
  return {0, 0};
}

std::string first_difference(const std::string& one, const std::string& other) {
  std::istringstream lines(one), other_lines(other);
  std::string line, other_line;
  for (;;) {
    const bool more = static_cast<bool>(std::getline(lines, line));
    const bool other_more = static_cast<bool>(std::getline(other_lines, other_line));
    if (!more) line = "nothing";
    if (!other_more) other_line = "nothing";
    if (line != other_line || !more) return "'" + line + "' there, '" + other_line + "' here";
  }
}

}  // namespace

void become_rank(Communicator* ranks, SolverParameter* param) {
  Caffe::set_solver_count(ranks->size());
  Caffe::set_solver_rank(ranks->rank());
  int64_t seed = param->random_seed();
  if (seed < 0) seed = std::random_device()() >> 1;
  ranks->broadcast(0, sizeof seed, &seed);
  if (param->random_seed() < 0) param->set_random_seed(seed);
}

template <typename Dtype>
DataParallel<Dtype>::DataParallel(Net<Dtype>* net, std::shared_ptr<Communicator> ranks, Room room)
    : net_(net),
      ranks_(std::move(ranks)),
      room_(std::move(room)),
      buckets_(gradient_buckets(*net)),
      share_(Dtype(1) / static_cast<Dtype>(ranks_->size())),
      votes_(ranks_->rank(), ranks_->size()) {
  CAFFE_CHECK(Caffe::solver_count() == ranks_->size() && Caffe::solver_rank() == ranks_->rank(),
              "rank " << ranks_->rank() << " of " << ranks_->size()
                      << ": Caffe's settings are rank " << Caffe::solver_rank() << " of "
                      << Caffe::solver_count()
                      << ": set solver_count and solver_rank before the solver is made");
  for (size_t i = 0; i < buckets_.size(); ++i) small_.push_back(std::make_unique<Blob<Dtype>>());
  net_->OnGradients([this](int layer) { after_layer(layer); });
  since_waits_.Start();
}

template <typename Dtype>
DataParallel<Dtype>::~DataParallel() {
  net_->OnGradients({});
}

/// Made at the first use, when the thread's mode is known.
template <typename Dtype>
GradientSums<Dtype>* DataParallel<Dtype>::sums() {
  if (sums_ == nullptr) sums_ = make_gradient_sums<Dtype>(ranks_);
  return sums_.get();
}

// ---- before an iteration

template <typename Dtype>
void DataParallel<Dtype>::check_same(const std::string& text) {
  const std::vector<std::string> all = ranks_->gather(text);
  for (size_t rank = 1; rank < all.size(); ++rank) {
    CAFFE_CHECK(all[rank] == all[0], "rank " << rank << " trains with other settings than rank 0: "
                                             << first_difference(all[rank], all[0])
                                             << ". Give all ranks the same solver and net");
  }
}

template <typename Dtype>
void DataParallel<Dtype>::broadcast(Blob<Dtype>* blob) {
  char is_empty = blob->data()->head() == SyncedMemory::UNINITIALIZED;
  broadcast(&is_empty);
  const size_t bytes = sizeof(Dtype) * blob->count();
  if (is_empty) {
    const bool mine_is = blob->data()->head() == SyncedMemory::UNINITIALIZED;
    if (!mine_is) std::memset(blob->mutable_cpu_data(), 0, bytes);
  } else if (is_root()) {
    ranks_->broadcast(0, bytes, const_cast<Dtype*>(blob->cpu_data()));
  } else {
    ranks_->broadcast(0, bytes, blob->mutable_cpu_data());
  }
}

template <typename Dtype>
void DataParallel<Dtype>::broadcast(const std::vector<Blob<Dtype>*>& blobs) {
  for (Blob<Dtype>* const blob : blobs) broadcast(blob);
}

template <typename Dtype>
void DataParallel<Dtype>::average_statistics() {
  std::vector<Blob<Dtype>*> blobs;
  std::vector<Dtype> mine;
  for (const auto& layer : net_->layers()) {
    const auto range = statistics_of(*layer);
    for (size_t i = range.first; i < range.second; ++i) {
      Blob<Dtype>* const blob = layer->blobs()[i].get();
      blobs.push_back(blob);
      mine.insert(mine.end(), blob->cpu_data(), blob->cpu_data() + blob->count());
    }
  }
  if (blobs.empty() || ranks_->size() == 1) return;
  // The differences to rank 0's are averaged, because these are 0 where all agree.
  std::vector<Dtype> root = mine, mean(mine.size());
  ranks_->broadcast(0, sizeof(Dtype) * root.size(), root.data());
  for (size_t i = 0; i < mine.size(); ++i) mean[i] = mine[i] - root[i];
  ranks_->sum(mean.size(), mean.data());
  size_t next = 0;
  for (size_t i = 0; i < mean.size(); ++i) mean[i] = root[i] + mean[i] * share_;
  for (Blob<Dtype>* const blob : blobs) {
    const size_t count = static_cast<size_t>(blob->count()), first = next;
    next += count;
    const bool stays = std::equal(mean.begin() + first, mean.begin() + next, mine.begin() + first);
    if (!stays) std::copy_n(mean.begin() + first, count, blob->mutable_cpu_data());
  }
}

template <typename Dtype>
Dtype DataParallel<Dtype>::mean(Dtype value) {
  ranks_->sum(1, &value);
  return value * share_;
}

// ---- an iteration

template <typename Dtype>
void DataParallel<Dtype>::begin_last_pass(bool late_start) {
  sums();
  if (Caffe::mode() == Caffe::GPU && !has_checked_rooms_) check_rooms();
  is_last_pass_ = !late_start;
  started_ = 0;
}

template <typename Dtype>
void DataParallel<Dtype>::after_layer(int layer) {
  if (!is_last_pass_) return;
  while (started_ < buckets_.size() && buckets_[started_].layer >= layer) start(started_++);
}

template <typename Dtype>
void DataParallel<Dtype>::start(size_t bucket) {
  if (ranks_->size() == 1) return;
  if (Caffe::mode() == Caffe::GPU) {
    start_on_gpu(buckets_[bucket]);
  } else {
    start_on_cpu(buckets_[bucket], small_[bucket].get());
  }
}

/// The large gradients in place, the small ones together in a copy.
template <typename Dtype>
void DataParallel<Dtype>::start_on_cpu(const GradientBucket& bucket, Blob<Dtype>* small) {
  int count = 0;
  for (const int param : bucket.params) {
    const int size = net_->learnable_params()[param]->count();
    if (size < kSmallGradient) count += size;
  }
  small->Reshape({count});
  Dtype* to = count == 0 ? nullptr : small->mutable_cpu_data();
  for (const int param : bucket.params) {
    Blob<Dtype>* const blob = net_->learnable_params()[param];
    if (blob->count() < kSmallGradient) {
      caffe_cpu_scale(blob->count(), share_, blob->cpu_diff(), to);
      to += blob->count();
    } else {
      caffe_scal(blob->count(), share_, blob->mutable_cpu_diff());
      sums()->start(blob->count(), blob->mutable_cpu_diff());
    }
  }
  if (count > 0) sums()->start(count, small->mutable_cpu_data());
}

/// Which gradients are added up together depends on their rooms.
template <typename Dtype>
void DataParallel<Dtype>::check_rooms() {
  std::ostringstream text;
  for (const GradientBucket& bucket : buckets_) {
    for (const int param : bucket.params) {
      text << "gradient " << param << ": room for " << room_(param) << " values\n";
    }
  }
  check_same(text.str());
  has_checked_rooms_ = true;
}

/// Those that were laid side by side together; all in place. What else happens to touch is added up
/// alone: all ranks must make the same calls, and addresses differ.
template <typename Dtype>
void DataParallel<Dtype>::start_on_gpu(const GradientBucket& bucket) {
  Places places;
  bool is_laid = false;  // the last one
  for (const int param : bucket.params) {
    Blob<Dtype>* const blob = net_->learnable_params()[param];
    Dtype* const diff = blob->mutable_gpu_diff();
    const size_t room = room_(param);
    if (is_laid && room > 0 && places.back().first + places.back().second == diff) {
      places.back().second += room;
    } else {
      places.emplace_back(diff, room > 0 ? room : static_cast<size_t>(blob->count()));
    }
    is_laid = room > 0;
  }
  for (const auto& place : places) {
    caffe_gpu_scal(static_cast<int>(place.second), share_, place.first);
    sums()->start(place.second, place.first);
  }
}

template <typename Dtype>
void DataParallel<Dtype>::start_rest() {
  is_last_pass_ = false;
  while (started_ < buckets_.size()) start(started_++);
}

/// After the sums.
template <typename Dtype>
void DataParallel<Dtype>::put_back() {
  for (size_t i = 0; i < buckets_.size(); ++i) {
    if (small_[i]->count() == 0) continue;
    const Dtype* from = small_[i]->cpu_data();
    for (const int param : buckets_[i].params) {
      Blob<Dtype>* const blob = net_->learnable_params()[param];
      if (blob->count() >= kSmallGradient) continue;
      std::copy_n(from, blob->count(), blob->mutable_cpu_diff());
      from += blob->count();
    }
  }
}

template <typename Dtype>
RankVerdict<Dtype> DataParallel<Dtype>::finish(Dtype loss, bool stops) {
  start_rest();
  votes_.start(loss, stops, sums());
  CPUTimer timer;
  timer.Start();
  sums()->wait();
  waited_ += timer.Seconds();
  if (ranks_->size() > 1) put_back();
  return votes_.read();
}

template <typename Dtype>
void DataParallel<Dtype>::finish_late(bool stops, LateValues* late,
                                      std::function<void(const RankVerdict<Dtype>&)> then) {
  start_rest();
  votes_.start_on_gpu(stops, late, sums());
  sums()->wait();
  votes_.read_late(late, [this, then = std::move(then)](const RankVerdict<Dtype>& verdict) {
    sums()->check();
    then(verdict);
  });
}

template <typename Dtype>
void DataParallel<Dtype>::throw_error_of(const RankVerdict<Dtype>& verdict) {
  ranks_->barrier();  // throws what that rank says
  CAFFE_FAIL("rank " << verdict.failed.at(0) << " has ended");
}

/// The slowest rank waits least: only for the sums themselves.
template <typename Dtype>
std::string DataParallel<Dtype>::describe_waits() {
  if (Caffe::mode() == Caffe::GPU || ranks_->size() == 1) return "";
  std::vector<double> waits(ranks_->size());
  waits[ranks_->rank()] = waited_;
  waited_ = 0;
  const double passed = since_waits_.Seconds();
  since_waits_.Start();
  ranks_->sum(waits.size(), waits.data());
  const auto least = std::min_element(waits.begin(), waits.end());
  const double more = *std::max_element(waits.begin(), waits.end()) - *least;
  if (more < 0.1 || more < passed / 5) return "";
  std::ostringstream text;
  text.precision(3);
  text << "The other ranks waited " << more << " s of the last " << passed << " s for rank "
       << least - waits.begin();
  return text.str();
}

template <typename Dtype>
void DataParallel<Dtype>::guard(const std::function<void()>& work) {
  const std::string who = "rank " + std::to_string(ranks_->rank()) + " ended";
  const auto end_all = [this](const std::string& why) {
    ranks_->abort(why);
    if (sums_ != nullptr) sums_->abort(why);
  };
  is_last_pass_ = false;
  try {
    work();
  } catch (const std::exception& error) {
    end_all(who + ": " + error.what());
    throw;
  } catch (...) {
    end_all(who);
    throw;
  }
}

INSTANTIATE_CLASS(DataParallel);

}  // namespace caffe
