#include "caffe/util/given_up.hpp"

namespace caffe {

namespace {

class NoValues : public ForeignCopy {
 public:
  void copy_to(void*) const override {
    CAFFE_FAIL(
        "these values were given up after the last layer that reads them: name the blob in "
        "Net::KeepOnly (in Python: net.keep_only), or run forward again");
  }
};

}  // namespace

const std::shared_ptr<ForeignCopy>& no_values() {
  // Never destroyed: blocks may live longer than static objects.
  static const auto* const copy = new std::shared_ptr<ForeignCopy>(new NoValues);
  return *copy;
}

}  // namespace caffe
