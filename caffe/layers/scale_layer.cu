#include "caffe/layers/scale_layer.hpp"

#include "caffe/layers/broadcast.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/learnt.hpp"
#include "caffe/util/channel_sums.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct ScaleForward {
  int channels;
  const T* s;  // [channels]
  const T* b;  // [channels] or null
  const T* x;  // [outer, channels, inner]
  T* y;        // as x
  CAFFE_HD void operator()(int row, int i) const {
    const int c = row % channels;
    y[i] = b == nullptr ? x[i] * s[c] : x[i] * s[c] + b[c];
  }
};

template <typename T>
struct ScaleBackward {
  int channels;
  const T* s;   // [channels]
  const T* dy;  // [outer, channels, inner]
  T* dx;        // as dy
  CAFFE_HD void operator()(int row, int i) const { dx[i] = dy[i] * s[row % channels]; }
};

/// What each value contributes to the gradients of s and b.
template <typename T>
struct ParamGradients {
  using Value = T;
  const T* x;  // null if the gradient of s is not needed
  const T* dy;
  template <typename W>
  CAFFE_HD Product<W> first(int, int i) const {
    return x == nullptr ? Product<W>{W(0), W(0)} : Product<W>{W(dy[i]), W(x[i])};
  }
  template <typename W>
  CAFFE_HD W second(int, int i) const {
    return W(dy[i]);
  }
};

template <typename T>
struct StoreGradients {
  bool add;  // to the values in ds
  T* ds;     // [channels] or null
  T* db;     // [channels] or null
  CAFFE_HD void operator()(int c, double scale, double bias) const {
    if (ds != nullptr) ds[c] = (add ? ds[c] : T(0)) + static_cast<T>(scale);
    if (db != nullptr) db[c] += static_cast<T>(bias);
  }
};

}  // namespace

template <typename Dtype>
void ScaleLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs&) {
  const ScaleParameter& param = this->layer_param_.scale_param();
  std::vector<LearntBlob> wanted;
  std::vector<int> shape;
  if (bottom.size() > 1) {
    shape = bottom[1]->shape();
  } else {
    shape = covered_shape(*this, *bottom[0], param.axis(), param.num_axes());
    wanted.push_back({"scales", shape, param.filler()});
    if (!param.has_filler()) {
      wanted[0].filler.set_type("constant");
      wanted[0].filler.set_value(1);
    }
  }
  if (param.bias_term()) wanted.push_back({"biases", shape, param.bias_filler()});
  make_learnt(*this, wanted, &this->blobs_);
  this->param_propagate_down_.resize(this->blobs_.size(), true);
}

template <typename Dtype>
Blob<Dtype>& ScaleLayer<Dtype>::scale(const Blobs& bottom) const {
  return bottom.size() > 1 ? *bottom[1] : *this->blobs_[0];
}

/// null if there is none.
template <typename Dtype>
Blob<Dtype>* ScaleLayer<Dtype>::bias() const {
  return this->layer_param_.scale_param().bias_term() ? this->blobs_.back().get() : nullptr;
}

template <typename Dtype>
bool ScaleLayer<Dtype>::keeps_input(const Blobs& bottom, const Blobs& top) const {
  return bottom[0] == top[0] && (bottom.size() > 1 || this->param_propagate_down_[0]);
}

template <typename Dtype>
void ScaleLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const Blob<Dtype>& s = scale(bottom);
  shape_ = broadcast(*this, *bottom[0], s, this->layer_param_.scale_param().axis());
  CAFFE_CHECK(bias() == nullptr || bias()->shape() == s.shape(),
              this->name() << "the scales are now " << s.shape_string() << " and the biases "
                           << bias()->shape_string());
  if (bottom[0] != top[0]) top[0]->ReshapeLike(*bottom[0]);
}

template <typename Dtype>
void ScaleLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  if (keeps_input(bottom, top)) input_.CopyFrom(*bottom[0], false, true);
  parallel_planes(shape_.rows(), shape_.inner,
                  ScaleForward<Dtype>{shape_.channels, scale(bottom).active_data(),
                                      bias() == nullptr ? nullptr : bias()->active_data(),
                                      bottom[0]->active_data(), top[0]->mutable_active_data()});
}

template <typename Dtype>
void ScaleLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                     const Blobs& bottom) {
  const bool learnt = bottom.size() == 1;
  const bool want_scale = learnt ? this->param_propagate_down_[0] : propagate_down[1];
  const bool want_bias = bias() != nullptr && this->param_propagate_down_.back();
  if (want_scale || want_bias) {
    const Blob<Dtype>& x = bottom[0] == top[0] ? input_ : *bottom[0];
    channel_sums(
        shape_,
        ParamGradients<Dtype>{want_scale ? x.active_data() : nullptr, top[0]->active_diff()},
        &sums_,
        StoreGradients<Dtype>{learnt, want_scale ? scale(bottom).mutable_active_diff() : nullptr,
                              want_bias ? bias()->mutable_active_diff() : nullptr});
  }
  if (propagate_down[0]) {
    parallel_planes(shape_.rows(), shape_.inner,
                    ScaleBackward<Dtype>{shape_.channels, scale(bottom).active_data(),
                                         top[0]->active_diff(), bottom[0]->mutable_active_diff()});
  }
}

INSTANTIATE_CLASS(ScaleLayer);
REGISTER_LAYER_WITH_ADAPTER(Scale);

}  // namespace caffe
