// Whole nets with the channels last on a GPU (caffe/util/value_order.hpp) against the same nets in
// the plain order. A convolution of this file stands in for a library's. Skipped without a GPU.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/util/reorder_count.hpp"
#include "caffe/util/value_order.hpp"
#include "layers/channels_last_nets.hpp"

namespace caffe {

// The library has these (CMakeLists.txt says why none may be in this program).
extern template class ConvolutionLayer<float>;
extern template class ConvolutionLayer<double>;

/// Reads and writes values with the channels last, and computes on plain copies of its own.
template <typename Dtype>
class ChannelsLastConvolutionLayer : public ConvolutionLayer<Dtype> {
 public:
  using Base = ConvolutionLayer<Dtype>;
  using Base::Base;
  using typename Layer<Dtype>::Blobs;

 protected:
  void Forward_gpu(const Blobs& bottom, const Blobs& top) override {
    x_.ReshapeLike(*bottom[0]);
    y_.ReshapeLike(*top[0]);
    nhwc_to_nchw(x_.shape(), data_in(Order::kNhwc, *bottom[0]), x_.mutable_gpu_data());
    Base::Forward_gpu({&x_}, {&y_});
    nchw_to_nhwc(y_.shape(), y_.gpu_data(), mutable_data_in(Order::kNhwc, top[0]));
  }
  void Backward_gpu(const Blobs& top, const vector<bool>& down, const Blobs& bottom) override {
    nhwc_to_nchw(x_.shape(), data_in(Order::kNhwc, *bottom[0]), x_.mutable_gpu_data());
    nhwc_to_nchw(y_.shape(), diff_in(Order::kNhwc, *top[0]), y_.mutable_gpu_diff());
    Base::Backward_gpu({&y_}, down, {&x_});
    if (!down[0]) return;
    nchw_to_nhwc(x_.shape(), x_.gpu_diff(), mutable_diff_in(Order::kNhwc, bottom[0]));
  }

 private:
  Blob<Dtype> x_, y_;
};

INSTANTIATE_CLASS(ChannelsLastConvolutionLayer);
REGISTER_LAYER_CLASS(ChannelsLastConvolution);

namespace {

class ChannelsLastPair : public ChannelsLastNet {
 protected:
  /// Three iterations of both nets; conversions per pass.
  template <typename T>
  static void compare(const std::string& text, int forward, int backward) {
    Caffe::set_random_seed(7);
    Net<T> plain(parse(text, "Convolution"));
    Caffe::set_random_seed(7);
    Net<T> last(parse(text, "ChannelsLastConvolution"));
    for (int iteration = 0; iteration < 3; ++iteration) {
      SCOPED_TRACE(iteration);
      for (Net<T>* const net : {&plain, &last}) {
        fill(net, iteration);
        net->ClearParamDiffs();
      }
      Caffe::set_random_seed(iteration);
      plain.Forward();
      plain.Backward();
      Caffe::set_random_seed(iteration);
      const int64_t before = reorder_count();
      last.Forward();
      EXPECT_EQ(reorder_count() - before, forward);
      last.Backward();
      EXPECT_EQ(reorder_count() - before, forward + backward);
      EXPECT_EQ(data_order(*last.blobs()[3]), Order::kNhwc);
      for (size_t i = 0; i < plain.blobs().size(); ++i) {
        const Blob<T>&a = *last.blobs()[i], &b = *plain.blobs()[i];
        expect_near(a.cpu_data(), b.cpu_data(), a.count(), last.blob_names()[i]);
        expect_near(a.cpu_diff(), b.cpu_diff(), a.count(), "gradient of " + last.blob_names()[i]);
        if (HasFatalFailure()) return;
      }
      for (size_t i = 0; i < plain.params().size(); ++i) {
        const Blob<T>&a = *last.params()[i], &b = *plain.params()[i];
        expect_near(a.cpu_diff(), b.cpu_diff(), a.count(), "parameter " + std::to_string(i));
        if (HasFatalFailure()) return;
      }
    }
  }
};

/// The images, and the values before the first inner product with their gradient.
TEST_F(ChannelsLastPair, AlexNetConvertsAtItsEndsOnly) {
  compare<float>(alexnet(false), 2, 1);
}

TEST_F(ChannelsLastPair, EnhancementTakesPartInIt) {
  compare<float>(alexnet(true), 2, 1);
  compare<double>(alexnet(true), 2, 1);
}

/// One pixel has no order.
TEST_F(ChannelsLastPair, AResNetConvertsItsImagesOnly) {
  compare<float>(resnet(), 1, 0);
  compare<double>(resnet(), 1, 0);
}

TEST_F(ChannelsLastPair, BranchesAreJoinedWithoutAConversion) {
  compare<float>(inception(), 2, 1);
}

}  // namespace
}  // namespace caffe
