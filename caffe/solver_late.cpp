// A solver's iteration on a GPU: all of it is queued, and what the host reads comes at the end.

#include "caffe/parallel/data_parallel.hpp"
#include "caffe/solver.hpp"
#include "caffe/solver_graph.hpp"
#include "caffe/util/late_loss.hpp"

namespace caffe {

namespace {

/// Sets a flag; false again at the end, also of an iteration that throws.
class WhileHere {
 public:
  WhileHere(bool* flag, bool value) : flag_(flag) { *flag = value; }
  ~WhileHere() { *flag_ = false; }
  WhileHere(const WhileHere&) = delete;
  WhileHere& operator=(const WhileHere&) = delete;

 private:
  bool* flag_;
};

}  // namespace

template <typename Dtype>
void Solver<Dtype>::iterate_late() {
  IterationGraph<Dtype>* const graph = graph_for_now();
  if (late_values_ == nullptr) late_values_ = std::make_unique<LateValues>();
  LateValues* const late = graph != nullptr ? graph->late_values() : late_values_.get();
  late->begin();
  const bool waits = !callbacks_.empty() || !UpdatesLate();
  const Dtype* const factor = GpuLossFactor();
  const WhileHere scaled(&gradients_are_scaled_, factor != nullptr);
  {
    const LateValues::Scope scope(late);
    LateLoss<Dtype> late_loss(late);
    late_loss.scale_gradients(factor);
    run_passes_late(&late_loss, graph, [&] {
      // A recording serves iterations that show larger outputs, too: those are copied when read.
      fetch_late(net_->output_blobs(),
                 display_is_due() && graph == nullptr ? SIZE_MAX : kSmallOutput);
      const bool stops = !param_.continue_on_nonfinite_loss();
      if (together_ == nullptr) {
        late_loss.finish(stops, [this](Dtype loss) { show(loss); });
      } else {
        late_loss.finish_at(together_->gpu_loss());
        request_together();
        together_->finish_late(
            stops, late, [this](const RankVerdict<Dtype>& verdict) { show_together(verdict); });
      }
      if (!waits) ApplyUpdate();
    });
  }
  late->finish();
  if (!waits) return;
  for (Callback* callback : callbacks_) callback->on_gradients_ready();
  ApplyUpdate();
}

template <typename Dtype>
void Solver<Dtype>::run_passes_late(LateLoss<Dtype>* loss, IterationGraph<Dtype>* graph,
                                    const std::function<void()>& conclude) {
  const int last_layer = static_cast<int>(net_->layers().size()) - 1;
  for (int i = 0; i < param_.iter_size(); ++i) {
    begin_pass(i);
    const auto run_from = [&](int first) {
      net_->ForwardLate(first, last_layer, loss);
      net_->BackwardLate(loss);
      if (GpuTrace::current() != nullptr) GpuTrace::current()->in_layer("");
      if (i + 1 == param_.iter_size()) conclude();
    };
    if (graph == nullptr) {
      run_from(0);
    } else {
      graph->run(i, loss, run_from);
    }
  }
}

/// Through which this iteration runs; null: as without cuda_graph.
template <typename Dtype>
IterationGraph<Dtype>* Solver<Dtype>::graph_for_now() {
  if (!param_.cuda_graph()) return nullptr;
  if (graph_ == nullptr || graph_->passes() != param_.iter_size()) {
    graph_ = std::make_shared<IterationGraph<Dtype>>(net_.get(), param_.iter_size());
  }
  const char* const why = together_ != nullptr  ? "several ranks train together"
                          : !callbacks_.empty() ? "the solver has callbacks"
                          : !UpdatesLate()      ? "the update needs the loss on the host"
                                                : nullptr;
  if (why != nullptr) graph_->leave_out(why);
  const bool shows_all = display_is_due() && param_.debug_info();
  if (why != nullptr || shows_all) return nullptr;
  return graph_->begins(UpdateSettings()) ? graph_.get() : nullptr;
}

template <typename Dtype>
vector<double> Solver<Dtype>::UpdateSettings() const {
  const SolverParameter& p = param_;
  vector<double> settings = {p.momentum(),
                             p.momentum2(),
                             p.delta(),
                             p.rms_decay(),
                             p.weight_decay(),
                             p.clip_gradients(),
                             1.0 * p.iter_size(),
                             1.0 * p.continue_on_nonfinite_loss(),
                             p.regularization_type() == "L1" ? 1.0 : 0.0};
  for (const float one : net_->params_lr()) settings.push_back(one);
  for (const float one : net_->params_weight_decay()) settings.push_back(one);
  return settings;
}

#define INSTANTIATE_LATE(Dtype)                                                          \
  template void Solver<Dtype>::iterate_late();                                           \
  template void Solver<Dtype>::run_passes_late(LateLoss<Dtype>*, IterationGraph<Dtype>*, \
                                               const std::function<void()>&);            \
  template vector<double> Solver<Dtype>::UpdateSettings() const;                         \
  template IterationGraph<Dtype>* Solver<Dtype>::graph_for_now()
INSTANTIATE_LATE(float);
INSTANTIATE_LATE(double);

}  // namespace caffe
