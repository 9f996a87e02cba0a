#ifndef TESTS_CPP_ENGINE_TOY_NET_HPP_
#define TESTS_CPP_ENGINE_TOY_NET_HPP_

// Layers with results that are easy to compute by hand, and nets from text.

#include <memory>
#include <string>
#include <vector>

#include "caffe/layer.hpp"
#include "caffe/net.hpp"
#include "caffe/util/io.hpp"
#include "fixtures.hpp"
#include "log_lines.hpp"

namespace caffe {

/// y[i] = w[i % num_output] x[i] + b, with w (num_output values, all 2 at first) and b (1 value, 0)
/// learnt. num_output comes from inner_product_param; without bias_term there is no b.
template <typename Dtype>
class ToyWeightsLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit ToyWeightsLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const Blobs&, const Blobs&) override {
    const InnerProductParameter& param = this->layer_param_.inner_product_param();
    const int count = static_cast<int>(param.num_output());
    CAFFE_CHECK(count > 0, "toy weights need a num_output");
    const vector<int> shape = param.transpose() ? vector<int>{1, count} : vector<int>{count};
    this->blobs_.push_back(std::make_shared<Blob<Dtype>>(shape));
    caffe_set(count, Dtype(2), this->blobs_[0]->mutable_cpu_data());
    if (param.bias_term()) this->blobs_.push_back(std::make_shared<Blob<Dtype>>(vector<int>{1}));
  }
  void Reshape(const Blobs& bottom, const Blobs& top) override {
    const int count = bottom[0]->count(), weights = this->blobs_[0]->count();
    CAFFE_CHECK(count % weights == 0, count << " values are no multiple of " << weights);
    if (top[0] != bottom[0]) top[0]->ReshapeLike(*bottom[0]);
  }
  const char* type() const override { return "ToyWeights"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    const Dtype* w = this->blobs_[0]->cpu_data();
    const Dtype b = this->blobs_.size() > 1 ? this->blobs_[1]->cpu_data()[0] : Dtype(0);
    for (int i = 0; i < bottom[0]->count(); ++i) {
      top[0]->mutable_cpu_data()[i] =
          w[i % this->blobs_[0]->count()] * bottom[0]->cpu_data()[i] + b;
    }
  }
  void Backward_cpu(const Blobs& top, const vector<bool>& down, const Blobs& bottom) override {
    const int count = this->blobs_[0]->count();
    for (int i = 0; i < top[0]->count(); ++i) {
      const Dtype dy = top[0]->cpu_diff()[i];
      if (this->param_propagate_down(0)) {
        this->blobs_[0]->mutable_cpu_diff()[i % count] += dy * bottom[0]->cpu_data()[i];
      }
      if (this->blobs_.size() > 1 && this->param_propagate_down(1)) {
        this->blobs_[1]->mutable_cpu_diff()[0] += dy;
      }
      if (down[0]) {
        bottom[0]->mutable_cpu_diff()[i] = dy * this->blobs_[0]->cpu_data()[i % count];
      }
    }
  }
};

/// The sum of the first bottom's values; a second bottom takes no gradient. Its default loss weight
/// is 1; its top need not be named.
template <typename Dtype>
class ToyLossLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit ToyLossLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const Blobs&, const Blobs&) override {
    if (this->layer_param_.loss_weight_size() == 0) this->layer_param_.add_loss_weight(1);
  }
  void Reshape(const Blobs&, const Blobs& top) override { top[0]->Reshape(vector<int>()); }
  const char* type() const override { return "ToyLoss"; }
  int MinBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AutoTopBlobs() const override { return true; }
  bool AllowForceBackward(int bottom) const override { return bottom == 0; }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override {
    Dtype sum = 0;
    for (int i = 0; i < bottom[0]->count(); ++i) sum += bottom[0]->cpu_data()[i];
    top[0]->mutable_cpu_data()[0] = sum;
  }
  void Backward_cpu(const Blobs& top, const vector<bool>& down, const Blobs& bottom) override {
    CAFFE_CHECK(bottom.size() < 2 || !down[1], this->name() << "asked for a label's gradient");
    if (down[0])
      caffe_set(bottom[0]->count(), top[0]->cpu_diff()[0], bottom[0]->mutable_cpu_diff());
  }
};

inline NetParameter net_param(const string& text, Phase phase = TRAIN) {
  NetParameter param;
  ReadProtoFromText(text, "test", &param);
  param.mutable_state()->set_phase(phase);
  return param;
}

template <typename Dtype = float>
std::unique_ptr<Net<Dtype>> make_net(const string& text, Phase phase = TRAIN) {
  const QuietLog quiet;
  return std::unique_ptr<Net<Dtype>>(new Net<Dtype>(net_param(text, phase)));
}

/// An Input layer "data" of 2 x 3 values.
const char kToyData[] =
    "layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 2 dim: 3 } } } ";

/// A ToyWeights layer of 3 weights; `more` is for its other fields.
inline string toy_weights(const string& name, const string& bottom, const string& top,
                          const string& more = "") {
  return "layer { name: '" + name + "' type: 'ToyWeights' bottom: '" + bottom + "' top: '" + top +
         "' inner_product_param { num_output: 3 } " + more + "} ";
}

inline string toy_loss(const string& name, const string& bottom, const string& more = "") {
  return "layer { name: '" + name + "' type: 'ToyLoss' bottom: '" + bottom + "' " + more + "} ";
}

template <typename Dtype>
void fill(Blob<Dtype>* blob, Dtype value) {
  caffe_set(blob->count(), value, blob->mutable_cpu_data());
}

template <typename Dtype>
vector<double> values(const Blob<Dtype>& blob) {
  return vector<double>(blob.cpu_data(), blob.cpu_data() + blob.count());
}
template <typename Dtype>
vector<double> gradient(const Blob<Dtype>& blob) {
  return vector<double>(blob.cpu_diff(), blob.cpu_diff() + blob.count());
}

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_TOY_NET_HPP_
