#ifndef CAFFE_LAYERS_TAKES_RELU_GRADIENT_HPP_
#define CAFFE_LAYERS_TAKES_RELU_GRADIENT_HPP_

// A layer whose backward pass can compute the gradient of the ReLU in front of it as well, where
// that ReLU works in place and only this layer reads its result. The values are then written once
// instead of being read and written again. The net offers it (caffe/net_chains.hpp), if nobody can
// see the gradient in between:
//
//   void Backward_cpu(...) override {
//     const bool relu = this->take_relu();
//     ...  // with relu, the bottom's diff is 0 where the bottom's data is not more than 0
//   }

namespace caffe {

class TakesReluGradient {
 public:
  virtual ~TakesReluGradient() = default;

  /// An offer, while the object lives. The net makes it. A null layer: of no layer.
  class Offer {
   public:
    explicit Offer(TakesReluGradient* layer) : layer_(layer) {
      if (layer_ != nullptr) layer_->state_ = State::kOffered;
    }
    ~Offer() {
      if (layer_ != nullptr) layer_->state_ = State::kNone;
    }
    bool is_taken() const { return layer_ != nullptr && layer_->state_ == State::kTaken; }
    Offer(const Offer&) = delete;
    Offer& operator=(const Offer&) = delete;

   private:
    TakesReluGradient* layer_;
  };

 protected:
  /// In a backward pass: whether it must compute the ReLU's gradient, too. Call it once.
  bool take_relu() {
    if (state_ == State::kOffered) state_ = State::kTaken;
    return state_ == State::kTaken;
  }

 private:
  enum class State { kNone, kOffered, kTaken };
  State state_ = State::kNone;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_TAKES_RELU_GRADIENT_HPP_
