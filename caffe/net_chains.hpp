#ifndef CAFFE_NET_CHAINS_HPP_
#define CAFFE_NET_CHAINS_HPP_

// Which layers of a net may be computed together: a layer that takes followers
// (caffe/layers/takes_followers.hpp) and the layers behind it that change its top in place.
//
// The values in between belong to the same blob, so nobody can read them after a pass. During a
// pass, callbacks (without Net::KeepOnly) and debug_info can: then nothing is offered. Passes over
// a part of the layers stay right, too: a forward pass that ends within a chain offers only the
// layers up to its end; and before a pass that begins or ends within what ran together, the chain's
// layers run again, one by one. If they cannot, a backward pass says so.
//
// And which layers compute the gradient of the ReLU in front of them
// (caffe/layers/takes_relu_gradient.hpp).

#include <vector>

#include "caffe/layers/takes_followers.hpp"
#include "caffe/layers/takes_relu_gradient.hpp"

namespace caffe {

template <typename Dtype>
class Net;

template <typename Dtype>
class NetChains {
 public:
  typedef typename TakesFollowers<Dtype>::Scope Scope;
  typedef typename TakesFollowers<Dtype>::Followers Followers;

  /// Finds the chains of a net that is complete.
  void find(const Net<Dtype>& net);

  /// A forward pass begins, from layer `start` to `end`.
  void begin_forward(const Net<Dtype>& net, int start, int end);
  /// For the pass of one layer. `end` is the last layer that it may compute.
  Scope offer(int layer, int end);
  /// After that pass: the number of layers behind it that it took.
  int finish_forward(const Net<Dtype>& net, int layer);

  /// A backward pass begins, from layer `start` down to `end`. `is_watched`: somebody looks at it.
  void begin_backward(const Net<Dtype>& net, int start, int end, bool is_watched);
  /// The layer whose Backward computes the gradients from layer `last` on: `last` or the layer that
  /// took it.
  int head_of(int last) const;
  /// For that layer's backward pass.
  Scope together(const Net<Dtype>& net, int last) const;
  /// For the backward pass of one layer: the gradient of the layer in front of it, if that is a
  /// ReLU. `end` is the lowest layer of the pass.
  TakesReluGradient::Offer offer_relu(int layer, int end, bool is_watched) const;

 private:
  struct Chain {
    TakesFollowers<Dtype>* head = nullptr;  // null: the layer takes none
    Followers followers;
    int taken = 0;           // by the last forward pass
    std::vector<int> shape;  // of the head's bottom in that pass
    bool is_spent = false;   // since then, a backward pass has given up what it needs
  };
  void set_taken(int layer, int count);
  bool has_shape(const Net<Dtype>& net, int layer) const;
  void separate(const Net<Dtype>& net, int layer, bool has_bottom);
  void run_again(const Net<Dtype>& net, int layer);

  std::vector<Chain> chains_;                    // [layer]
  std::vector<TakesReluGradient*> behind_relu_;  // [layer] the layer, or null: takes no ReLU
  std::vector<bool> is_lost_;  // [layer] Backward lacks what a forward pass would have left
  bool is_whole_ = true;       // the forward pass runs the last layer
  std::vector<int> heads_;     // [layer] the one that took it as its last follower, or itself
};

}  // namespace caffe

#endif  // CAFFE_NET_CHAINS_HPP_
