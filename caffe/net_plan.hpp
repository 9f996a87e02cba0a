#ifndef CAFFE_NET_PLAN_HPP_
#define CAFFE_NET_PLAN_HPP_

#include <memory>
#include <set>
#include <string>

#include "caffe/net_chains.hpp"
#include "caffe/net_joins.hpp"
#include "caffe/net_liveness.hpp"
#include "caffe/util/buffer_cache.hpp"
#include "caffe/util/math_mode.hpp"

namespace caffe {

/// How a net runs its layers: what it may leave out, join or overwrite. Net::Init makes it.
template <typename Dtype>
struct NetPlan {
  MathMode math = math_mode();           // of all its passes
  bool keeps_all = true;                 // every blob can be read from outside
  std::set<std::string> kept;            // otherwise these, and the net's inputs and outputs
  NetChains<Dtype> chains;               // layers that may be computed together
  NetJoins<Dtype> joins;                 // layers that write where a later one joins
  Liveness<Dtype> liveness;              // without keeps_all
  std::shared_ptr<BufferCache> buffers;  // the same; null until KeepOnly

  ~NetPlan() {
    if (buffers != nullptr) buffers->clear();
  }
};

/// One pass of a net over some of its layers. It gives back what nobody reads any more, unless
/// every blob is kept or somebody watches the pass.
template <typename Dtype>
class ReleasingPass {
 public:
  ReleasingPass(const Net<Dtype>& net, NetPlan<Dtype>* plan, bool is_watched)
      : plan_(plan),
        releases_(!plan->keeps_all && !is_watched),
        scope_(Caffe::mode() == Caffe::CPU ? plan->buffers.get() : nullptr) {
    if (releases_) plan_->liveness.prepare(net);
  }
  /// Layers `first` to `last` have run.
  void after_forward(int first, int last) {
    for (int i = first; releases_ && i <= last; ++i) plan_->liveness.after_forward(i);
  }
  /// Layers `last` down to `first` have run backward.
  void after_backward(int last, int first) {
    for (int i = last; releases_ && i >= first; --i) plan_->liveness.after_backward(i);
  }
  /// The pass has come to the net's end.
  void end() {
    if (releases_) plan_->buffers->end_pass();
  }

 private:
  NetPlan<Dtype>* plan_;
  bool releases_;
  BufferCache::Scope scope_;
};

}  // namespace caffe

#endif  // CAFFE_NET_PLAN_HPP_
