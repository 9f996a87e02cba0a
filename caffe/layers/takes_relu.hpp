#ifndef CAFFE_LAYERS_TAKES_RELU_HPP_
#define CAFFE_LAYERS_TAKES_RELU_HPP_

namespace caffe {

/// A layer that can compute the ReLU behind it in its own kernel. The net asks for it
/// (Net::RunForward) where nothing can see the values before the ReLU.
class TakesReLU {
 public:
  virtual ~TakesReLU() = default;

  /// While such an object lives, the layer's forward passes may end with a ReLU whose
  /// negative_slope is 0.
  class Wish {
   public:
    /// null: of no layer
    explicit Wish(TakesReLU* layer) : layer_(layer) {
      if (layer_ == nullptr) return;
      layer_->relu_is_wanted_ = true;
      layer_->applied_relu_ = false;
    }
    ~Wish() {
      if (layer_ != nullptr) layer_->relu_is_wanted_ = false;
    }
    Wish(const Wish&) = delete;
    Wish& operator=(const Wish&) = delete;
    /// Whether the last forward pass did.
    bool granted() const { return layer_ != nullptr && layer_->applied_relu_; }

   private:
    TakesReLU* layer_;
  };

 protected:
  bool relu_is_wanted_ = false;
  bool applied_relu_ = false;  // by the last forward pass of a Wish
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_TAKES_RELU_HPP_
