#include "caffe/layer.hpp"

#include "caffe/util/device.hpp"

namespace caffe {

namespace {

/// What a layer declares about its bottoms or its tops.
struct Declared {
  int exactly, at_least, at_most;
};

string amount(int count, const string& kind) {
  return std::to_string(count) + " " + kind + (count == 1 ? "" : "s");
}

void check_count(const string& layer, const string& kind, const Declared& declared,
                 const google::protobuf::RepeatedPtrField<string>& names, size_t count) {
  const int found = static_cast<int>(count);
  string wanted;
  if (declared.exactly >= 0 && found != declared.exactly) {
    wanted = amount(declared.exactly, kind);
  } else if (declared.at_least >= 0 && found < declared.at_least) {
    wanted = "at least " + amount(declared.at_least, kind);
  } else if (declared.at_most >= 0 && found > declared.at_most) {
    wanted = "at most " + amount(declared.at_most, kind);
  }
  if (wanted.empty()) return;
  const vector<string> given(names.begin(), names.end());
  CAFFE_FAIL(layer << "takes " << wanted << " and has " << found
                   << (given.empty() ? "" : " (" + join(given) + ")"));
}

}  // namespace

template <typename Dtype>
Layer<Dtype>::Layer(const LayerParameter& param) : layer_param_(param), phase_(param.phase()) {
  for (const BlobProto& stored : param.blobs()) {
    blobs_.push_back(std::make_shared<Blob<Dtype>>());
    blobs_.back()->FromProto(stored);
  }
}

template <typename Dtype>
string Layer<Dtype>::name() const {
  const string type_name = layer_param_.type().empty() ? type() : layer_param_.type();
  return "layer '" + layer_param_.name() + "' (" + type_name + "): ";
}

template <typename Dtype>
void Layer<Dtype>::SetUp(const Blobs& bottom, const Blobs& top) {
  CheckBlobCounts(bottom, top);
  LayerSetUp(bottom, top);
  Reshape(bottom, top);
  read_loss_weights(top);
  place_loss_weights(top);
}

template <typename Dtype>
void Layer<Dtype>::CheckBlobCounts(const Blobs& bottom, const Blobs& top) {
  const Declared bottoms = {ExactNumBottomBlobs(), MinBottomBlobs(), MaxBottomBlobs()};
  const Declared tops = {ExactNumTopBlobs(), MinTopBlobs(), MaxTopBlobs()};
  check_count(name(), "bottom", bottoms, layer_param_.bottom(), bottom.size());
  check_count(name(), "top", tops, layer_param_.top(), top.size());
  CAFFE_CHECK(!EqualNumBottomTopBlobs() || bottom.size() == top.size(),
              name() << "takes as many tops as bottoms and has "
                     << amount(static_cast<int>(bottom.size()), "bottom") << " and "
                     << amount(static_cast<int>(top.size()), "top"));
}

/// Copies the prototxt's loss weights; a missing one means 0.
template <typename Dtype>
void Layer<Dtype>::read_loss_weights(const Blobs& top) {
  const int given = layer_param_.loss_weight_size();
  const int tops = static_cast<int>(top.size());
  if (given == 0) return;
  CAFFE_CHECK(given == tops, name() << "has " << amount(given, "loss_weight") << " and "
                                    << amount(tops, "top")
                                    << ": give one for each top, or none at all");
  for (int i = 0; i < tops; ++i) {
    if (layer_param_.loss_weight(i) != 0) set_loss(i, Dtype(layer_param_.loss_weight(i)));
  }
}

/// Writes each loss weight into the diff of its top, again whenever the size of a top has changed.
template <typename Dtype>
void Layer<Dtype>::place_loss_weights(const Blobs& top) {
  loss_counts_.resize(top.size(), -1);
  for (size_t i = 0; i < top.size(); ++i) {
    const Dtype weight = loss(static_cast<int>(i));
    if (weight == Dtype(0) || loss_counts_[i] == top[i]->count()) continue;
    caffe_set(top[i]->count(), weight, top[i]->mutable_cpu_diff());
    loss_counts_[i] = top[i]->count();
  }
}

template <typename Dtype>
Dtype Layer<Dtype>::Forward(const Blobs& bottom, const Blobs& top) {
  ForwardWithoutLoss(bottom, top);
  Dtype total = 0;
  for (size_t i = 0; i < top.size(); ++i) {
    if (loss(static_cast<int>(i)) != Dtype(0)) total += top[i]->dot_data_diff();
  }
  return total;
}

template <typename Dtype>
void Layer<Dtype>::ForwardWithoutLoss(const Blobs& bottom, const Blobs& top) {
  Reshape(bottom, top);
  place_loss_weights(top);
  if (Caffe::mode() == Caffe::GPU) {
    Forward_gpu(bottom, top);
    device::has_run(layer_param_.name(), "forward");
  } else {
    Forward_cpu(bottom, top);
  }
}

template <typename Dtype>
void Layer<Dtype>::Backward(const Blobs& top, const vector<bool>& propagate_down,
                            const Blobs& bottom) {
  if (Caffe::mode() == Caffe::GPU) {
    Backward_gpu(top, propagate_down, bottom);
    device::has_run(layer_param_.name(), "backward");
  } else {
    Backward_cpu(top, propagate_down, bottom);
  }
}

template <typename Dtype>
void Layer<Dtype>::ToProto(LayerParameter* param, bool write_diff) {
  *param = layer_param_;
  param->clear_blobs();
  for (const shared_ptr<Blob<Dtype>>& blob : blobs_) blob->ToProto(param->add_blobs(), write_diff);
}

INSTANTIATE_CLASS(Layer);

}  // namespace caffe
