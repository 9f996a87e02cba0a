#ifndef CAFFE_LAYERS_ONEDNN_KEPT_INPUT_HPP_
#define CAFFE_LAYERS_ONEDNN_KEPT_INPUT_HPP_

#include <memory>

#include "caffe/layers/onednn/memory.hpp"

namespace caffe {
namespace onednn {

/// The input of a layer that works in place, for its backward pass. Instead of copying it, the
/// layer writes its result to other memory, which becomes the blob's, and keeps the memory that the
/// blob had; in the next pass the two are exchanged again.
class KeptInput {
 public:
  /// A forward pass, compute(from, to). The bottom has that layout. With `keep`, its values are
  /// kept.
  template <typename Compute>
  void forward(const Layout& layout, Blob<float>* bottom, Blob<float>* top, bool keep,
               const Compute& compute) {
    const std::shared_ptr<OneDnnCopy> given = current_copy(*bottom);
    std::shared_ptr<OneDnnCopy> room;
    if (keep) {
      const bool fits = kept_ != nullptr && kept_->layout() == layout && kept_ != given;
      room = fits ? kept_ : OneDnnCopy::make(layout);
    }
    Output to = keep ? Output(top, Part::kData, room) : Output(top, Part::kData, layout);
    compute(given->memory(), to.memory());
    kept_ = keep ? given : nullptr;
    dropped_ = false;
    to.done();
  }

  /// The last forward pass again, from the kept values if there are any.
  template <typename Compute>
  void again(const Layout& layout, const Blob<float>& bottom, Blob<float>* top,
             const Compute& compute) const {
    const Values from(*this, layout, bottom);
    Output to(top, Part::kData, layout);
    compute(from.memory(), to.memory());
    to.done();
  }

  /// Gives the memory up: there will be no backward pass before the next forward pass.
  void drop() {
    dropped_ = kept_ != nullptr;
    kept_ = nullptr;
  }

  /// The input of the last forward pass, if it is wanted; valid as long as this object exists.
  class Values {
   public:
    Values(const KeptInput& input, const Layout& layout, const Blob<float>& bottom,
           bool wanted = true)
        : kept_(input.kept_) {
      CAFFE_CHECK(
          !wanted || !input.dropped_,
          "run forward again before backward; see Net::KeepOnly (in Python: net.keep_only)");
      if (wanted && kept_ == nullptr)
        given_.reset(new Input(bottom, Part::kData, layout, Slot::kSource));
    }
    /// Empty if they are not wanted.
    dnnl::memory memory() const {
      if (kept_ != nullptr) return kept_->memory();
      return given_ != nullptr ? given_->memory() : dnnl::memory();
    }

   private:
    std::shared_ptr<OneDnnCopy> kept_;
    std::unique_ptr<Input> given_;
  };

 private:
  std::shared_ptr<OneDnnCopy> kept_;
  bool dropped_ = false;  // since the last forward pass
};

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_KEPT_INPUT_HPP_
