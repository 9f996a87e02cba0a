#include "caffe/layers/scaled_batch_norm_layer.hpp"

#include <algorithm>

#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/layers/engine_choice.hpp"

namespace caffe {

namespace {

const int kStatistics = 3;  // blobs of the BatchNorm; the Scale has two

bool has_fillers(const BatchNormParameter& param) {
  return param.has_scale_filler() || param.has_bias_filler();
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> make_batch_norm(const LayerParameter& param) {
  return EngineChoice<Dtype>::make(param, static_cast<int>(ConvolutionParameter::DEFAULT),
                                   make_plain<Dtype, BatchNormLayer>);
}

}  // namespace

template <typename Dtype>
bool ScaledBatchNormLayer<Dtype>::takes(const LayerParameter& param) {
  const BatchNormParameter& norm = param.batch_norm_param();
  if (norm.scale_bias() || param.dialect() == "nv015") return true;
  return has_fillers(norm) && (param.dialect() == "nv017" || param.dialect().empty());
}

template <typename Dtype>
void ScaledBatchNormLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  set_rates();
  make_inner();
  const Blobs between = middle(bottom, top);
  norm_->SetUp(bottom, between);
  scale_->SetUp(between, top);
  this->blobs_ = norm_->blobs();
  this->blobs_.insert(this->blobs_.end(), scale_->blobs().begin(), scale_->blobs().end());
  this->param_propagate_down_ = {false, false, false, true, true};
}

/// Writes the learning rates into the layer's params.
template <typename Dtype>
void ScaledBatchNormLayer<Dtype>::set_rates() {
  auto* const params = this->layer_param_.mutable_param();
  const bool first_learns = !params->empty() && params->Get(0).lr_mult() != 0;
  const bool of_015 = this->layer_param_.dialect() == "nv015" || first_learns;
  const vector<ParamSpec> given(params->begin(), params->end());
  vector<ParamSpec> specs(kStatistics + 2);
  for (size_t i = 0; i < std::min(given.size(), specs.size()); ++i) {
    specs[of_015 ? (i + kStatistics) % specs.size() : i] = given[i];
  }
  for (size_t i = 0; i < specs.size(); ++i) {
    const bool learnt = i >= kStatistics;
    if (!learnt) specs[i].set_lr_mult(0);
    if (learnt && !of_015) {
      specs[i].set_lr_mult(1);
      specs[i].set_decay_mult(1);
    }
  }
  CAFFE_CHECK(given.size() <= specs.size(), this->name() << "has param { } " << given.size()
                                                         << " times and 5 blobs: three of "
                                                         << "statistics, scales and biases");
  params->Clear();
  for (const ParamSpec& spec : specs) *params->Add() = spec;
}

template <typename Dtype>
void ScaledBatchNormLayer<Dtype>::make_inner() {
  LayerParameter norm = this->layer_param_, scale;
  norm.clear_blobs();
  norm.clear_param();
  norm.clear_loss_weight();
  norm.set_dialect("nv017");
  norm.clear_batch_norm_param();
  BatchNormParameter* const own = this->layer_param_.mutable_batch_norm_param();
  norm.mutable_batch_norm_param()->CopyFrom(*own);
  norm.mutable_batch_norm_param()->clear_scale_bias();
  norm.mutable_batch_norm_param()->clear_scale_filler();
  norm.mutable_batch_norm_param()->clear_bias_filler();
  norm_ = make_batch_norm<Dtype>(norm);

  scale.set_name(norm.name());
  scale.set_type("Scale");
  scale.set_phase(this->phase_);
  scale.mutable_scale_param()->set_bias_term(true);
  if (own->has_scale_filler()) *scale.mutable_scale_param()->mutable_filler() = own->scale_filler();
  if (own->has_bias_filler()) {
    *scale.mutable_scale_param()->mutable_bias_filler() = own->bias_filler();
  }
  scale_ = LayerRegistry<Dtype>::CreateLayer(scale);

  const auto& stored = this->blobs_;  // what came with the layer's parameters
  if (stored.empty()) return;
  CAFFE_CHECK(stored.size() == kStatistics || stored.size() == kStatistics + 2,
              this->name() << "its parameters hold " << stored.size()
                           << " blobs of learnt values, and it has 5");
  norm_->blobs().assign(stored.begin(), stored.begin() + kStatistics);
  scale_->blobs().assign(stored.begin() + kStatistics, stored.end());
}

template <typename Dtype>
typename Layer<Dtype>::Blobs ScaledBatchNormLayer<Dtype>::middle(const Blobs& bottom,
                                                                 const Blobs& top) {
  return {bottom[0] == top[0] ? top[0] : &normalised_};
}

template <typename Dtype>
void ScaledBatchNormLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const Blobs between = middle(bottom, top);
  norm_->Reshape(bottom, between);
  scale_->Reshape(between, top);
}

template <typename Dtype>
void ScaledBatchNormLayer<Dtype>::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  const Blobs between = middle(bottom, top);
  norm_->ForwardWithoutLoss(bottom, between);
  scale_->ForwardWithoutLoss(between, top);
}

template <typename Dtype>
void ScaledBatchNormLayer<Dtype>::Backward_cpu(const Blobs& top,
                                               const std::vector<bool>& propagate_down,
                                               const Blobs& bottom) {
  const Blobs between = middle(bottom, top);
  for (int i = 0; i < 2; ++i) {
    scale_->set_param_propagate_down(i, this->param_propagate_down_[kStatistics + i]);
  }
  scale_->Backward(top, propagate_down, between);
  norm_->Backward(between, propagate_down, bottom);
}

template <typename Dtype>
size_t ScaledBatchNormLayer<Dtype>::own_bytes() const {
  return sizeof(Dtype) * static_cast<size_t>(normalised_.count()) + own_bytes_of(*norm_) +
         own_bytes_of(*scale_);
}

template <typename Dtype>
size_t ScaledBatchNormLayer<Dtype>::workspace_bytes() const {
  return std::max(workspace_bytes_of(*norm_), workspace_bytes_of(*scale_));
}

namespace {

template <typename Dtype>
shared_ptr<Layer<Dtype>> make_either_batch_norm(const LayerParameter& param) {
  if (!ScaledBatchNormLayer<Dtype>::takes(param)) {
    LOG_IF(WARNING, has_fillers(param.batch_norm_param()) && Caffe::root_solver())
        << "layer '" << param.name() << "' (BatchNorm): scale_filler and bias_filler have no "
        << "effect in a net of another fork than NVIDIA's; dialect: \"nv017\" in the layer gives "
           "it "
        << "scales and biases";
    return make_batch_norm<Dtype>(param);
  }
  return std::make_shared<ScaledBatchNormLayer<Dtype>>(param);
}

}  // namespace

INSTANTIATE_CLASS(ScaledBatchNormLayer);
REGISTER_LAYER_CREATOR(BatchNorm, make_either_batch_norm);

}  // namespace caffe
