#include "caffe/solver_graph.hpp"

#include <algorithm>
#include <cstring>

#include "caffe/net_liveness.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

namespace {

constexpr int kWarmUpIterations = 2;
constexpr size_t kValuesOfAWatch = 256;
constexpr int kMostWatches = 5;
constexpr int kMostMisfits = 3;      // in a row
constexpr int kMostRecordings = 10;  // that are given up, none of which lasted
constexpr int kLasting = 100;        // iterations
/// Of values that a layer reads on the host, and which must not change.
constexpr size_t kMostOnHost = 4096;

/// Layers without a bottom at the beginning.
template <typename Dtype>
int count_sources(const Net<Dtype>& net) {
  size_t count = 0;
  while (count < net.layers().size() && net.bottom_vecs()[count].empty()) ++count;
  return static_cast<int>(count);
}

/// The tops that the net gets from outside: of the first layers, and of Input layers, which do
/// nothing. A Parameter layer's top is a parameter.
template <typename Dtype>
std::vector<const Blob<Dtype>*> inputs_of(const Net<Dtype>& net, int sources) {
  std::vector<const Blob<Dtype>*> found;
  for (size_t i = 0; i < net.layers().size(); ++i) {
    const string type = net.layers()[i]->type();
    if ((static_cast<int>(i) >= sources && type != "Input") || type == "Parameter") continue;
    found.insert(found.end(), net.top_vecs()[i].begin(), net.top_vecs()[i].end());
  }
  return found;
}

}  // namespace

template <typename Dtype>
IterationGraph<Dtype>::IterationGraph(Net<Dtype>* net, int passes)
    : net_(net),
      passes_(passes),
      first_(count_sources(*net)),
      inputs_(inputs_of(*net, first_)),
      landings_(inputs_.size()) {
  std::string why;
  if (!can_record(&why)) go_off(why);
}

/// What does not change while the net exists.
template <typename Dtype>
bool IterationGraph<Dtype>::can_record(std::string* why) const {
  if (device::is_asked_for("CAFFE_GPU_SYNC")) *why = "CAFFE_GPU_SYNC=1 waits after every layer";
  for (size_t i = first_; i < net_->layers().size(); ++i) {
    const Layer<Dtype>& layer = *net_->layers()[i];
    const string name = "layer '" + net_->layer_names()[i] + "' (" + layer.type() + ")";
    if (!is_engines_own(layer)) *why = name + " is not the engine's own";
    if (net_->bottom_vecs()[i].empty() && string(layer.type()) != "Input") {
      *why = name + " stands behind layers that have bottoms: move it to the net's beginning";
    }
  }
  return why->empty();
}

template <typename Dtype>
void IterationGraph<Dtype>::go_off(const std::string& why) {
  stage_ = kOff;
  recorded_.clear();
  rehearsed_.clear();
  leave_out(why);
}

template <typename Dtype>
void IterationGraph<Dtype>::leave_out(const std::string& why) {
  LOG_IF(WARNING, !is_told_ && Caffe::root_solver())
      << "cuda_graph: iterations are not recorded: " << why;
  is_told_ = true;
}

template <typename Dtype>
void IterationGraph<Dtype>::start_again(const std::string& why) {
  recorded_.clear();
  if (++recordings_ == kMostRecordings) return go_off(why + ", again and again");
  stage_ = kWarmUp;
  seen_ = misfits_ = 0;
}

/// Goes on to the next stage if the last iteration allows that.
template <typename Dtype>
void IterationGraph<Dtype>::conclude() {
  const bool went_well = done_ == passes_;
  done_ = 0;
  runs_plainly_ = false;
  if (stage_ == kWarmUp && seen_ == kWarmUpIterations) {
    stage_ = kWatch;
    seen_ = 0;
  } else if (stage_ == kWatch && seen_ > 0) {
    if (went_well) {
      stage_ = kRecord;
      seen_ = 0;
    } else if (seen_ == kMostWatches) {
      go_off(why_not_.empty() ? "iterations end with errors" : why_not_);
    }
  } else if (stage_ == kRecord && seen_ > 0) {
    if (!went_well) return start_again(why_not_);
    stage_ = kReplay;
    seen_ = 0;
    rehearsed_.clear();
    size_t size = 0;
    for (const Pass& pass : recorded_) size += pass.graph->size();
    LOG_IF(INFO, Caffe::root_solver())
        << "cuda_graph: an iteration was recorded: " << size << " kernels, copies and fills";
  } else if (stage_ == kReplay && seen_ > 0) {
    misfits_ = went_well ? 0 : misfits_ + 1;
    if (seen_ > kLasting) recordings_ = 0;
    if (misfits_ == kMostMisfits) start_again("its memory is elsewhere in each iteration");
  }
}

template <typename Dtype>
bool IterationGraph<Dtype>::begins(const std::vector<double>& settings) {
  conclude();
  const bool has_callbacks = !net_->before_forward().empty() || !net_->after_forward().empty() ||
                             !net_->before_backward().empty() || !net_->after_backward().empty();
  if (stage_ != kOff && has_callbacks) go_off("the net has callbacks");
  if (stage_ != kOff && !net_->keeps_all()) go_off("the net gives memory back (KeepOnly)");
  if (stage_ == kOff) return false;
  if (stage_ == kReplay) {
    const bool fits = *alive_ && settings == settings_ && has_its_shapes() &&
                      std::none_of(recorded_.begin(), recorded_.end(),
                                   [](const Pass& pass) { return pass.graph->is_stale(); });
    if (!fits) start_again("blobs or settings change in each iteration");
    if (stage_ == kOff) return false;
  }
  ++seen_;
  if (stage_ == kWarmUp) {
    try {
      device::Graph::prepare();
    } catch (const OutOfMemory& error) {
      go_off(error.what());
    }
    return false;
  }
  settle();
  if (stage_ == kWatch) values_.assign(passes_, 0);
  if (stage_ == kRecord) {
    settings_ = settings;
    shapes_ = shapes();
    recorded_.clear();
  }
  if (stage_ != kReplay) {
    used_.clear();
    alive_ = std::make_shared<bool>(true);
  }
  return true;
}

template <typename Dtype>
std::vector<typename IterationGraph<Dtype>::Shape> IterationGraph<Dtype>::shapes() const {
  std::vector<Shape> all;
  for (const auto* const blobs : {&net_->blobs(), &net_->params()}) {
    for (const shared_ptr<Blob<Dtype>>& blob : *blobs) {
      const bool has = has_memory(*blob);
      all.push_back({blob.get(), blob->shape(), has ? blob->data().get() : nullptr,
                     has ? blob->diff().get() : nullptr});
    }
  }
  return all;
}

template <typename Dtype>
bool IterationGraph<Dtype>::has_its_shapes() const {
  return std::all_of(shapes_.begin(), shapes_.end(), [](const Shape& one) {
    const bool has = has_memory(*one.blob);
    return one.blob->shape() == one.shape && one.data == (has ? one.blob->data().get() : nullptr) &&
           one.diff == (has ? one.blob->diff().get() : nullptr);
  });
}

template <typename Dtype>
void IterationGraph<Dtype>::land_inputs() {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i]->count() == 0) continue;
    SyncedMemory* const block = inputs_[i]->data().get();
    if (landings_[i].block != block) landings_[i] = {block, nullptr};
    block->gpu_data();  // a copy from the host cannot be recorded
    block->land_on_gpu(&landings_[i].room);
  }
}

template <typename Dtype>
void IterationGraph<Dtype>::name_inputs(GpuTrace* trace) const {
  for (const Blob<Dtype>* const input : inputs_) {
    if (input->count() > 0) trace->changes_between(input->data().get());
  }
}

template <typename Dtype>
void IterationGraph<Dtype>::run(int pass, LateLoss<Dtype>* loss,
                                const std::function<void(int first)>& rest) {
  net_->ForwardLate(0, first_ - 1, loss);
  land_inputs();
  const auto run_rest = [&] { rest(first_); };
  if (runs_plainly_) return run_rest();
  switch (stage_) {
    case kWatch:
      return watch(run_rest);
    case kRecord:
      return record(pass, loss, run_rest);
    case kReplay:
      if (replay(pass, loss)) return;
      runs_plainly_ = true;
      return run_rest();
    default:
      return run_rest();
  }
}

/// Values that a script has looked at since the last iteration count as newer on the CPU; their
/// copy to the GPU cannot be recorded.
template <typename Dtype>
void IterationGraph<Dtype>::settle() const {
  if (stage_ == kReplay || used_.empty() || !*alive_) return;
  for (SyncedMemory* const block : used_) {
    if (block->head() == SyncedMemory::HEAD_AT_CPU) block->gpu_data();
  }
}

template <typename Dtype>
void IterationGraph<Dtype>::watch(const std::function<void()>& rest) {
  rehearsed_.push_back(std::make_unique<LaunchValues>(kValuesOfAWatch));
  GpuTrace trace(GpuTrace::kWatch, rehearsed_.back().get());
  name_inputs(&trace);
  {
    const GpuTrace::Scope scope(&trace);
    rest();
  }
  values_[done_] = trace.values();
  for (const GpuTrace::Touch& touch : trace.touches()) {
    if (touch.block == nullptr || touch.is_read_on_host) continue;
    if (touch.block->gpu_memory() == nullptr) continue;
    touch.block->watch_life(alive_);
    used_.push_back(touch.block);
  }
  if (!trace.why_not().empty()) {
    why_not_ = trace.why_not();
    runs_plainly_ = true;
    return;
  }
  ++done_;
}

/// What goes wrong while the pass is recorded has no effect: it runs again, as ever.
template <typename Dtype>
void IterationGraph<Dtype>::record(int pass, LateLoss<Dtype>* loss,
                                   const std::function<void()>& rest) {
  Pass made;
  made.values = std::make_unique<LaunchValues>(values_[pass]);
  GpuTrace trace(GpuTrace::kRecord, made.values.get());
  name_inputs(&trace);
  rng_t* const random = caffe_rng();
  const rng_t random_before = *random;
  const auto loss_before = loss->progress();
  try {
    made.late_before = late_.mark();
    {
      const GpuTrace::Scope scope(&trace);
      device::Graph::begin();
      rest();
    }
    if (!trace.why_not().empty()) throw NotRecorded(trace.why_not());
    made.graph = device::Graph::end();
    keep(&trace, &made);
    made.late = late_.mark();
  } catch (const std::exception& error) {
    device::Graph::abandon();
    trace.release_kept();
    for (const GpuTrace::Touch& touch : trace.touches()) {
      if (touch.block != nullptr) touch.block->undo_to(touch.before);
    }
    *random = random_before;
    loss->set_progress(loss_before);
    late_.go_to(made.late_before);
    why_not_ = error.what();
    runs_plainly_ = true;
    return rest();
  }
  made.loss = loss->progress();
  // Other threads may have used the same memory meanwhile.
  for (const Block& block : made.blocks) block.touch.block->wait_for_others();
  made.values->send();
  made.graph->launch();
  recorded_.push_back(std::move(made));
  ++done_;
}

template <typename Dtype>
void IterationGraph<Dtype>::keep(GpuTrace* trace, Pass* recorded) {
  for (const GpuTrace::Touch& touch : trace->touches()) {
    SyncedMemory* const block = touch.block;
    recorded->blocks.push_back({touch, block->state(), {}});
    const SyncedMemory::State& after = recorded->blocks.back().after;
    if (after.gpu != touch.before.gpu || after.foreign != touch.before.foreign ||
        after.foreign_memory != touch.before.foreign_memory) {
      throw NotRecorded("its memory moves");
    }
    block->watch_life(alive_);
    if (!touch.is_read_on_host) continue;
    if (touch.is_written || block->size() > kMostOnHost) {
      throw NotRecorded("a layer reads values on the host");
    }
    const char* const values = static_cast<const char*>(block->cpu_data());
    recorded->blocks.back().on_host.assign(values, values + block->size());
  }
}

template <typename Dtype>
bool IterationGraph<Dtype>::is_ready(const Pass& recorded) const {
  for (const Block& block : recorded.blocks) {
    SyncedMemory* const memory = block.touch.block;
    if (!block.on_host.empty()) {
      if (!memory->is_on_cpu()) return false;
      if (std::memcmp(memory->cpu_data(), block.on_host.data(), memory->size()) != 0) return false;
    }
    if (!memory->make_ready(block.touch.before)) return false;
  }
  return true;
}

template <typename Dtype>
bool IterationGraph<Dtype>::replay(int pass, LateLoss<Dtype>* loss) {
  Pass& recorded = recorded_[pass];
  // The data layers may have changed their tops since the iteration's begin.
  if (!*alive_ || !has_its_shapes() || !late_.is_at(recorded.late_before)) return false;
  if (!is_ready(recorded) || !late_.go_to(recorded.late)) return false;
  loss->set_progress(recorded.loss);
  recorded.values->refresh();
  recorded.values->send();
  recorded.graph->launch();
  for (const Block& block : recorded.blocks) {
    block.touch.block->has_become(block.touch.before, block.after, block.touch.is_written);
  }
  ++done_;
  return true;
}

INSTANTIATE_CLASS(IterationGraph);

}  // namespace caffe
