#ifndef CAFFE_LAYERS_KEEPS_WEIGHTS_HPP_
#define CAFFE_LAYERS_KEEPS_WEIGHTS_HPP_

#include <atomic>

namespace caffe {

/// A layer that can keep what it computed from its learnt blobs, such as the weights in another
/// layout, from one pass to the next.
///
/// It sees when the values change (caffe/util/unchanged.hpp), except by a pointer that
/// mutable_cpu_data() returned before the last pass. Caffe allows such pointers. So a layer keeps
/// nothing unless its net (Net::KeepOnly) or the program says that nobody uses one.
class KeepsWeights {
 public:
  virtual ~KeepsWeights() = default;
  /// Nobody changes this layer's learnt blobs through an old pointer.
  void allow_keeping() { is_allowed_ = true; }
  /// The same for every layer of the program.
  static void allow_keeping_everywhere() { everywhere() = true; }

 protected:
  bool may_keep() const { return is_allowed_ || everywhere(); }

 private:
  static std::atomic<bool>& everywhere();
  bool is_allowed_ = false;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_KEEPS_WEIGHTS_HPP_
