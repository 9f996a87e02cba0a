#include "caffe/layers/recurrent_layer.hpp"

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/scale_layer.hpp"
#include "caffe/util/active.hpp"

namespace caffe {

namespace {

void add_shape(const vector<int>& shape, LayerParameter* input) {
  BlobShape* const dims = input->mutable_input_param()->add_shape();
  for (const int length : shape) dims->add_dim(length);
}

vector<int> shape_of(const BlobShape& shape) {
  return vector<int>(shape.dim().begin(), shape.dim().end());
}

}  // namespace

// ---- set-up

template <typename Dtype>
vector<string> RecurrentLayer<Dtype>::names(Names which) const {
  vector<string> result;
  (this->*which)(&result);
  return result;
}

template <typename Dtype>
int RecurrentLayer<Dtype>::MinBottomBlobs() const {
  const bool exposed = this->layer_param_.recurrent_param().expose_hidden();
  const vector<string> states = names(&RecurrentLayer::RecurrentInputBlobNames);
  return 2 + (exposed ? static_cast<int>(states.size()) : 0);
}

template <typename Dtype>
int RecurrentLayer<Dtype>::ExactNumTopBlobs() const {
  const bool exposed = this->layer_param_.recurrent_param().expose_hidden();
  const vector<string> states = names(&RecurrentLayer::RecurrentOutputBlobNames);
  return 1 + (exposed ? static_cast<int>(states.size()) : 0);
}

template <typename Dtype>
void RecurrentLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  expose_hidden_ = this->layer_param_.recurrent_param().expose_hidden();
  static_input_ = static_cast<int>(bottom.size()) > MinBottomBlobs();
  CAFFE_CHECK(bottom[0]->num_axes() >= 2, this->name()
                                              << "x has shape " << bottom[0]->shape_string()
                                              << " and should be T x N x ...: steps, "
                                              << "streams, and the values of each");
  T_ = bottom[0]->shape(0);
  N_ = bottom[0]->shape(1);
  CAFFE_CHECK(T_ > 0, this->name() << "x has shape " << bottom[0]->shape_string()
                                   << ": at least one step is needed");
  check_inputs(bottom);
  LOG_IF(INFO, Caffe::root_solver())
      << "Initializing recurrent layer: assuming input batch contains " << T_ << " timesteps of "
      << N_ << " independent streams.";
  unrolled_net_ = std::make_shared<Net<Dtype>>(unrolled_net(bottom));
  unrolled_net_->set_debug_info(this->layer_param_.recurrent_param().debug_info());
  find_blobs();
  take_params();
}

/// Checks the shapes of x, cont and x_static; T_ and N_ are those of x.
template <typename Dtype>
void RecurrentLayer<Dtype>::check_inputs(const Blobs& bottom) const {
  CAFFE_CHECK(bottom[1]->shape() == (vector<int>{T_, N_}),
              this->name() << "bottom 1, which tells where a sequence continues, has shape "
                           << bottom[1]->shape_string() << " and should have one value for each "
                           << "of the " << T_ << " steps and " << N_ << " streams of x");
  if (!static_input_) return;
  CAFFE_CHECK(bottom[2]->num_axes() >= 1 && bottom[2]->shape(0) == N_,
              this->name() << "bottom 2, the static input, has shape " << bottom[2]->shape_string()
                           << " and should be N x ..., for the " << N_ << " streams of x");
}

/// The unrolled net: its inputs, the derived layer's layers, and a loss for each output. The losses
/// never run; they are there because a net runs backward only where a loss is reached.
template <typename Dtype>
NetParameter RecurrentLayer<Dtype>::unrolled_net(const Blobs& bottom) const {
  NetParameter param;
  LayerParameter* const input = param.add_layer();
  input->set_type("Input");
  const char* const inputs[] = {"x", "cont", "x_static"};
  for (int i = 0; i < (static_input_ ? 3 : 2); ++i) {
    input->add_top(inputs[i]);
    add_shape(bottom[i]->shape(), input);
  }
  this->FillUnrolledNet(&param);
  const string& prefix = this->layer_param_.name();
  for (LayerParameter& layer : *param.mutable_layer()) {
    if (!prefix.empty()) layer.set_name(prefix + "_" + layer.name());
  }
  for (const string& output : names(&RecurrentLayer::OutputBlobNames)) {
    LayerParameter* const loss = param.add_layer();
    loss->set_name(output + "_pseudoloss");
    loss->set_type("Reduction");
    loss->add_bottom(output);
    loss->add_top(output + "_pseudoloss");
    loss->add_loss_weight(1);
  }
  return param;
}

template <typename Dtype>
Blob<Dtype>* RecurrentLayer<Dtype>::inner_blob(const string& blob_name) const {
  CAFFE_CHECK(unrolled_net_->has_blob(blob_name),
              this->name() << "its unrolled net has no blob '" << blob_name << "'");
  return unrolled_net_->blob_by_name(blob_name).get();
}

template <typename Dtype>
void RecurrentLayer<Dtype>::find_blobs() {
  const auto find = [this](Names which) {
    vector<Blob<Dtype>*> found;
    for (const string& blob_name : names(which)) found.push_back(inner_blob(blob_name));
    return found;
  };
  x_input_blob_ = inner_blob("x");
  cont_input_blob_ = inner_blob("cont");
  x_static_input_blob_ = static_input_ ? inner_blob("x_static") : nullptr;
  recur_input_blobs_ = find(&RecurrentLayer::RecurrentInputBlobNames);
  recur_output_blobs_ = find(&RecurrentLayer::RecurrentOutputBlobNames);
  output_blobs_ = find(&RecurrentLayer::OutputBlobNames);
  CAFFE_CHECK(recur_input_blobs_.size() == recur_output_blobs_.size(),
              this->name() << "has " << recur_input_blobs_.size() << " states before the first "
                           << "step and " << recur_output_blobs_.size() << " after the last");
  for (const auto& layer : unrolled_net_->layers()) {  // cont times h
    auto* const scale = dynamic_cast<ScaleLayer<Dtype>*>(layer.get());
    if (scale != nullptr) scale->reset_by_zeros();
  }
  last_layer_index_ = static_cast<int>(unrolled_net_->layers().size() - 1 - output_blobs_.size());
}

/// Makes the parameters of the unrolled net this layer's. Values that came with the layer's
/// parameters are kept.
template <typename Dtype>
void RecurrentLayer<Dtype>::take_params() {
  const vector<shared_ptr<Blob<Dtype>>> stored = this->blobs_;
  this->blobs_.clear();
  for (size_t i = 0; i < unrolled_net_->params().size(); ++i) {
    if (unrolled_net_->param_owners()[i] >= 0) continue;
    LOG_IF(INFO, Caffe::root_solver()) << "Adding parameter " << this->blobs_.size() << ": "
                                       << unrolled_net_->param_display_names()[i];
    this->blobs_.push_back(unrolled_net_->params()[i]);
  }
  this->param_propagate_down_.assign(this->blobs_.size(), true);
  if (stored.empty()) return;
  CAFFE_CHECK(stored.size() == this->blobs_.size(),
              this->name() << "its parameters hold " << stored.size()
                           << " blobs of learnt values, and it has " << this->blobs_.size());
  for (size_t i = 0; i < stored.size(); ++i) {
    CAFFE_CHECK(stored[i]->shape() == this->blobs_[i]->shape(),
                this->name() << "the stored blob " << i << " is " << stored[i]->shape_string()
                             << " and should be " << this->blobs_[i]->shape_string());
    this->blobs_[i]->CopyFrom(*stored[i]);
  }
}

template <typename Dtype>
void RecurrentLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  CAFFE_CHECK(bottom[0]->num_axes() >= 2 && bottom[0]->shape(0) == T_,
              this->name() << "was set up for " << T_ << " steps; x now has shape "
                           << bottom[0]->shape_string() << ". The number of steps cannot change");
  N_ = bottom[0]->shape(1);
  check_inputs(bottom);
  x_input_blob_->ReshapeLike(*bottom[0]);
  cont_input_blob_->ReshapeLike(*bottom[1]);
  if (static_input_) x_static_input_blob_->ReshapeLike(*bottom[2]);
  vector<BlobShape> shapes;
  this->RecurrentInputShapes(&shapes);
  for (size_t i = 0; i < recur_input_blobs_.size(); ++i) recur_input_blobs_[i]->Reshape(shapes[i]);
  unrolled_net_->Reshape();

  x_input_blob_->ShareData(*bottom[0]);
  x_input_blob_->ShareDiff(*bottom[0]);
  cont_input_blob_->ShareData(*bottom[1]);
  if (static_input_) {
    x_static_input_blob_->ShareData(*bottom[2]);
    x_static_input_blob_->ShareDiff(*bottom[2]);
  }
  for (size_t i = 0; i < output_blobs_.size(); ++i) {
    top[i]->ReshapeLike(*output_blobs_[i]);
    if (T_ > 1) top[i]->ShareData(*output_blobs_[i]);
    top[i]->ShareDiff(*output_blobs_[i]);
  }
  if (!expose_hidden_) return;
  const size_t first_bottom = static_input_ ? 3 : 2;
  for (size_t i = 0; i < recur_input_blobs_.size(); ++i) {
    const Blob<Dtype>& given = *bottom[first_bottom + i];
    CAFFE_CHECK(given.shape() == shape_of(shapes[i]),
                this->name() << "bottom " << first_bottom + i << ", a state before the first step, "
                             << "has shape " << given.shape_string() << " and should have shape "
                             << recur_input_blobs_[i]->shape_string());
    recur_input_blobs_[i]->ShareData(given);
    top[output_blobs_.size() + i]->ReshapeLike(*recur_output_blobs_[i]);
  }
}

template <typename Dtype>
void RecurrentLayer<Dtype>::Reset() {
  for (Blob<Dtype>* const state : recur_output_blobs_) {
    active_set(state->count(), Dtype(0), state->mutable_active_data());
  }
}

// ---- running

template <typename Dtype>
void RecurrentLayer<Dtype>::Forward_any(const Blobs&, const Blobs& top) {
  // A net that shares its weights, with another net or by name, replaces the memory of blobs(),
  // which are the parameters of the first step only.
  unrolled_net_->ShareWeights();
  if (!expose_hidden_) {
    for (size_t i = 0; i < recur_input_blobs_.size(); ++i) {
      recur_input_blobs_[i]->CopyFrom(*recur_output_blobs_[i]);
    }
  }
  unrolled_net_->ForwardWithoutLoss(0, last_layer_index_);
  // Copies where the top would be the memory of a state: a later layer may work in place on it.
  for (size_t i = 0; T_ == 1 && i < output_blobs_.size(); ++i) {
    top[i]->CopyFrom(*output_blobs_[i]);
  }
  for (size_t i = 0; expose_hidden_ && i < recur_output_blobs_.size(); ++i) {
    top[output_blobs_.size() + i]->CopyFrom(*recur_output_blobs_[i]);
  }
}

template <typename Dtype>
void RecurrentLayer<Dtype>::Backward_any(const Blobs&, const vector<bool>& propagate_down,
                                         const Blobs& bottom) {
  CAFFE_CHECK(!propagate_down[1], this->name() << "bottom 1, which tells where a sequence "
                                               << "continues, has no gradient");
  for (size_t i = static_input_ ? 3 : 2; i < bottom.size(); ++i) {
    LOG_IF(WARNING, propagate_down[i] && !told_)
        << this->name() << "the states before the first step get no gradient (bottom " << i
        << " and those after it): what they are made by learns nothing from them";
    told_ = told_ || propagate_down[i];
  }
  unrolled_net_->BackwardFrom(last_layer_index_);
}

INSTANTIATE_CLASS(RecurrentLayer);

}  // namespace caffe
