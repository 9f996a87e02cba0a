#ifndef CAFFE_SOLVERS_PARAM_ARENA_HPP_
#define CAFFE_SOLVERS_PARAM_ARENA_HPP_

// The parameters of a net side by side in the GPU's memory, so that one kernel or one memset does
// for all what would be one per parameter.
//
// An arena holds four arrays: data, diff and one or two histories. All have the same segments, one
// per parameter, and every segment begins at a multiple of kChunk values; so the parameter of a
// value is found by its chunk, in a table. The blobs keep their SyncedMemory, whose memory on the
// GPU is the arena's; a blob that is given other memory later (ShareData, set_gpu_data, Reshape) is
// then no longer in place, and the solver updates parameter by parameter again.

#include <memory>
#include <vector>

#include "caffe/net.hpp"

namespace caffe {

/// A parameter's part of the arrays and its multipliers.
template <typename Dtype>
struct ArenaSegment {
  int begin, count;  // values
  Dtype lr, decay;
};

/// Segments on the GPU, in the order of the parameters.
template <typename Dtype>
class ArenaTable {
 public:
  static constexpr int kChunk = 1024;

  ArenaTable(std::vector<ArenaSegment<Dtype>> segments, int chunks);
  /// Changes the multipliers.
  void set_multipliers(const std::vector<int>& params, const Net<Dtype>& net);

  int chunks() const { return chunks_; }
  const std::vector<ArenaSegment<Dtype>>& segments() const { return segments_; }
  const ArenaSegment<Dtype>* gpu_segments() const;
  /// [chunks]: the index of a chunk's segment.
  const int* gpu_segment_of() const;

 private:
  void upload();

  std::vector<ArenaSegment<Dtype>> segments_;
  int chunks_;
  std::unique_ptr<SyncedMemory> table_, segment_of_;
};

/// The table of parameters of these sizes; null if they are too many for the indices of a kernel.
template <typename Dtype>
std::unique_ptr<ArenaTable<Dtype>> make_arena_table(const std::vector<size_t>& sizes);

/// What the update kernel needs of an arena; pointers to the GPU.
template <typename Dtype>
struct ArenaView {
  const ArenaTable<Dtype>* table;
  Dtype* data;
  Dtype* diff;
  Dtype* history;
  Dtype* second_history;  // null if there is none
};

template <typename Dtype>
class ParamArena {
 public:
  typedef vector<shared_ptr<Blob<Dtype>>> Histories;

  /// Moves these learnable parameters, by index, and their histories, together with what values
  /// they have. Null if one of them cannot move; it may be that some have moved then.
  static std::unique_ptr<ParamArena> make(const Net<Dtype>& net, const Histories& history,
                                          const vector<int>& params);

  const vector<int>& params() const { return params_; }
  /// Whether all are in place. If so, their values on the GPU count as changed from now on.
  bool take(const Net<Dtype>& net, const Histories& history, ArenaView<Dtype>* view);
  /// Sets all gradients to 0; false, with their values unchanged, if one is not in place.
  bool clear_diffs(const Net<Dtype>& net);
  /// From where the gradient of a learnable parameter begins to the next one: its values and
  /// padding, which is 0. The result is 0 if it is not in place.
  size_t gradient_room(const Net<Dtype>& net, int param) const;
  /// The diffs, padding included, which is 0.
  const ArenaTable<Dtype>& table() const { return *table_; }

 private:
  struct Moved {  // one array's block of a parameter
    shared_ptr<SyncedMemory> memory;
    std::weak_ptr<void> place;  // the blocks alone own it, and other memory may be there after it
    bool holds(const shared_ptr<SyncedMemory>& now) const {
      return !place.expired() && now == memory && now->gpu_memory() == place.lock().get();
    }
  };
  typedef vector<Moved> Array;  // [params_]

  ParamArena() = default;
  bool move(const vector<shared_ptr<SyncedMemory>>& memories, Array* array);

  vector<int> params_;
  std::unique_ptr<ArenaTable<Dtype>> table_;
  Array data_, diff_;
  vector<Array> histories_;
};

}  // namespace caffe

#endif  // CAFFE_SOLVERS_PARAM_ARENA_HPP_
