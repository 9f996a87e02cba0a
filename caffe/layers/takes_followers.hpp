#ifndef CAFFE_LAYERS_TAKES_FOLLOWERS_HPP_
#define CAFFE_LAYERS_TAKES_FOLLOWERS_HPP_

// A layer that can compute the layers behind it together with its own work.
//
// The followers of a layer with one top are the layers right behind it that change that top in
// place and nothing else: BatchNorm, Scale, ReLU ... in the order of the net. In a forward pass the
// net offers them where nobody can see the values in between (caffe/net_chains.hpp). The layer
// takes as many from the front as it can compute, and says how their gradients come about:
//
//   void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
//     const size_t count = ...;  // followers()[0] to followers()[count - 1] can be computed here
//     ...
//     this->take(count, Gradient::kTogether);
//   }
//
// What is not taken runs by itself, as ever.

#include <cstddef>
#include <utility>
#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

template <typename Dtype>
class TakesFollowers {
 public:
  typedef std::vector<Layer<Dtype>*> Followers;

  /// How the gradients of a layer and of the followers that it took come about.
  enum class Gradient {
    /// Each layer's Backward works as after a forward pass of its own. (A ReLU needs only its top.)
    kApart,
    /// The layer's Backward computes the gradient through all of them, from their last top to its
    /// bottom, and adds the gradients of what they learn; followers() are those it took. For a pass
    /// over a part of them, as kAgain.
    kTogether,
    /// The same, but for a pass over a part of them, as kApart.
    kEither,
    /// Before a backward pass the net runs the layer and the followers again, one by one.
    kAgain
  };

  virtual ~TakesFollowers() = default;

  /// Of the last forward pass; 0 after one without an offer.
  size_t taken() const { return taken_; }
  Gradient gradient() const { return gradient_; }

  /// While such an object lives, the layer's pass is not one by itself. The net makes them.
  class Scope {
   public:
    /// An offer, for a forward pass, or the followers that it took, for a backward pass. A null
    /// layer: of no layer.
    Scope(TakesFollowers* layer, Followers followers, bool keeps_gradient = true) : layer_(layer) {
      if (layer_ == nullptr) return;
      layer_->followers_ = std::move(followers);
      layer_->keeps_gradient_ = keeps_gradient;
    }
    /// For a forward pass that repeats the last one, without followers.
    explicit Scope(TakesFollowers* layer) : layer_(layer) { layer_->runs_again_ = true; }
    ~Scope() {
      if (layer_ == nullptr) return;
      layer_->followers_.clear();
      layer_->runs_again_ = false;
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    TakesFollowers* layer_;
  };

  /// The net calls it before every forward pass. `whole`: the net's last layer runs, too.
  void begin_forward(bool whole) {
    taken_ = 0;
    goes_on_ = whole;
  }

 protected:
  /// In a forward pass: what the layer may take. In a backward pass: what it took and must compute.
  const Followers& followers() const { return followers_; }
  /// In a backward pass through followers: whether the top's diff must be left as the layers one by
  /// one would leave it, because somebody may read it: with the gradient of the layer's own top or,
  /// where no gradient reaches the layer, of the top of the lowest follower that learns. (In place,
  /// a gradient of the bottom replaces it.)
  bool keeps_gradient() const { return keeps_gradient_; }
  /// In a forward pass: the top has the values behind the first `count` followers.
  void take(size_t count, Gradient gradient) {
    taken_ = count;
    gradient_ = gradient;
  }
  /// In a forward pass: whether it repeats the last one, to leave behind what a pass by itself
  /// would have left. It must not count as another pass: averages and random numbers stay. If the
  /// layer works in place and took followers, its bottom now has the values behind these; the layer
  /// must have kept its input.
  bool runs_again() const { return runs_again_; }
  /// In a forward pass: whether all layers behind run, too. If not, what one of them has kept of
  /// the last pass must stay.
  bool goes_on() const { return goes_on_; }

 private:
  Followers followers_;
  size_t taken_ = 0;
  Gradient gradient_ = Gradient::kApart;
  bool runs_again_ = false;
  bool goes_on_ = true;
  bool keeps_gradient_ = true;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_TAKES_FOLLOWERS_HPP_
