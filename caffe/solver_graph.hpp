#ifndef CAFFE_SOLVER_GRAPH_HPP_
#define CAFFE_SOLVER_GRAPH_HPP_

// Trains with CUDA graphs (cuda_graph: true): an iteration is recorded once and then replayed, so
// that the host starts one piece of work instead of some thousand kernels. The numbers are those of
// an iteration that is not recorded, bit for bit, as far as cuBLAS and cuDNN choose the same
// kernels.
//
// Of each pass, the data layers at the beginning of the net (those without a bottom) run as ever;
// their tops are copied to a fixed place if they are elsewhere in each pass. The rest, with the
// backward pass and, in the last pass of iter_size, the update, is recorded: a graph per pass.
//
//   iteration 1, 2   as ever: memory is allocated, libraries choose their kernels
//   the next         under a GpuTrace that looks for what a recording could not repeat, up to
//                    kMostWatches times; with the kernels of a recording
//   the next         recorded, and launched
//   all others       replayed. What the host does in an iteration is repeated from the recording:
//                    the states of blocks of memory (SyncedMemory) and the late values' functions
//                    (LateValues), while the learning rate and random seeds are drawn anew, in the
//                    same order
//
// Before a replay, blobs, parameters, their memory and the settings must be those of the recording.
// If they are not, the iteration runs as ever, and if that does not help, another one is recorded.
//
// Not recorded, with a line in the log that says why: nets with a Python layer or one of another
// library behind the data layers, or with a data layer behind other layers; layers that read values
// on the host, Net::KeepOnly, callbacks, lr_policy plateau, several ranks. An iteration that shows
// debug_info runs as ever.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/util/gpu_graph.hpp"
#include "caffe/util/gpu_trace.hpp"
#include "caffe/util/late_loss.hpp"

namespace caffe {

template <typename Dtype>
class IterationGraph {
 public:
  IterationGraph(Net<Dtype>* net, int passes);

  /// Whether the iteration that begins now runs through run(). `settings`: all numbers that the
  /// update depends on, but for the learning rate.
  bool begins(const std::vector<double>& settings);
  /// Says in the log, once, why iterations are not recorded.
  void leave_out(const std::string& why);

  int passes() const { return passes_; }
  /// The late values of such iterations.
  LateValues* late_values() { return &late_; }
  /// A pass of the iteration: the data layers, then rest(first layer behind them), as a replay if
  /// that is possible.
  void run(int pass, LateLoss<Dtype>* loss, const std::function<void(int first)>& rest);

 private:
  enum Stage { kWarmUp, kWatch, kRecord, kReplay, kOff };
  struct Block {
    GpuTrace::Touch touch;
    SyncedMemory::State after;
    std::vector<char> on_host;  // what the pass reads there
  };
  struct Pass {  // recorded
    std::unique_ptr<device::Graph> graph;
    std::unique_ptr<LaunchValues> values;
    std::vector<Block> blocks;
    LateValues::Mark late_before, late;
    typename LateLoss<Dtype>::Progress loss;
  };
  struct Shape {
    const Blob<Dtype>* blob;
    std::vector<int> shape;
    const SyncedMemory *data, *diff;
  };
  struct Landing {
    SyncedMemory* block = nullptr;
    std::shared_ptr<void> room;
  };

  void go_off(const std::string& why);
  void conclude();
  void start_again(const std::string& why);
  bool can_record(std::string* why) const;
  std::vector<Shape> shapes() const;
  bool has_its_shapes() const;
  void land_inputs();
  void name_inputs(GpuTrace* trace) const;
  void settle() const;
  void watch(const std::function<void()>& rest);
  void record(int pass, LateLoss<Dtype>* loss, const std::function<void()>& rest);
  void keep(GpuTrace* trace, Pass* recorded);
  bool is_ready(const Pass& recorded) const;
  bool replay(int pass, LateLoss<Dtype>* loss);

  Net<Dtype>* const net_;
  const int passes_;
  const int first_;  // the first layer behind the data layers
  const std::vector<const Blob<Dtype>*> inputs_;
  LateValues late_;

  Stage stage_ = kWarmUp;
  int seen_ = 0;               // iterations of this stage
  int done_ = 0;               // passes of this iteration that went as the stage wants
  int misfits_ = 0;            // replays in a row that were not possible
  int recordings_ = 0;         // that were given up
  std::string why_not_;        // of the last watch, or why a recording failed
  bool runs_plainly_ = false;  // the rest of this iteration
  bool is_told_ = false;

  std::vector<size_t> values_;                            // [pass] how many a watched pass had
  std::vector<SyncedMemory*> used_;                       // on the GPU, by watched passes
  std::vector<std::unique_ptr<LaunchValues>> rehearsed_;  // which layers may hold until a recording
  std::vector<Pass> recorded_;                            // [pass]
  std::vector<Landing> landings_;                         // [input]
  std::vector<Shape> shapes_;
  std::vector<double> settings_;
  std::shared_ptr<bool> alive_;  // whether all blocks of used_ or recorded_ still exist

  DISABLE_COPY_AND_ASSIGN(IterationGraph);
};

}  // namespace caffe

#endif  // CAFFE_SOLVER_GRAPH_HPP_
