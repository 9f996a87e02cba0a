#include "caffe/layers/scale_layer.hpp"

#include "caffe/layers/broadcast.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/gradient_order.hpp"
#include "caffe/layers/learnt.hpp"
#include "caffe/util/channel_sums.hpp"
#include "caffe/util/parallel.hpp"
#include "kernels/half.hpp"

namespace caffe {

namespace {

/// With kResets, a scale of 0 gives 0 also for values that are not finite.
template <typename T, bool kResets>
struct ScaleForward {
  using C = maap::Computed<T>;
  Divisor channels;
  const C* s;  // [channels]
  const C* b;  // [channels] or null
  const T* x;  // [outer, channels, inner]
  T* y;        // as x
  CAFFE_HD void operator()(int row, int i) const {
    const int c = row % channels;
    const C product = x[i] * s[c], scaled = kResets && s[c] == C(0) ? C(0) : product;
    y[i] = b == nullptr ? scaled : scaled + b[c];
  }
};

template <typename T, bool kResets>
struct ScaleBackward {
  using C = maap::Computed<T>;
  Divisor channels;
  const C* s;   // [channels]
  const T* dy;  // [outer, channels, inner]
  T* dx;        // as dy
  CAFFE_HD void operator()(int row, int i) const {
    const C factor = s[row % channels], product = dy[i] * factor;
    dx[i] = kResets && factor == C(0) ? C(0) : product;
  }
};

/// What each value contributes to the gradients of s and b.
template <typename T>
struct ParamGradients {
  using Value = maap::Computed<T>;
  const T* x;  // null if the gradient of s is not needed
  const T* dy;
  template <typename W>
  CAFFE_HD Product<W> first(int, int i) const {
    return x == nullptr ? Product<W>{W(0), W(0)} : Product<W>{W(Value(dy[i])), W(Value(x[i]))};
  }
  template <typename W>
  CAFFE_HD W second(int, int i) const {
    return W(Value(dy[i]));
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

/// A copy of x; the one of a BatchNorm that worked in place, if x is its result.
template <typename Dtype>
template <typename T>
void ScaleLayer<Dtype>::keep_input(const Values<Dtype, T>& values, const Blob<Dtype>& x) {
  input_ = x.data()->twin();
  input_shape_ = x.shape();
  if (input_ != nullptr) return;
  copy_.ReshapeLike(x);
  copy_values(values, x, &copy_);
  input_ = copy_.data();
}

template <typename Dtype>
template <typename T>
const T* ScaleLayer<Dtype>::kept_input(const Values<Dtype, T>& values,
                                       const std::vector<int>& shape) const {
  CAFFE_CHECK(input_ != nullptr && input_shape_ == shape,
              this->name() << "a backward pass needs a forward pass before it, of the same shape");
  const bool is_last = values.order == Order::kNhwc && !is_order_free(shape);
  if (is_last || Values<Dtype, T>::kHalf) {
    return static_cast<const T*>(internal::read_nhwc(input_.get(), shape, values.kType));
  }
  return static_cast<const T*>(current_device() == Device::kGPU ? input_->gpu_data()
                                                                : input_->cpu_data());
}

template <typename Dtype>
size_t ScaleLayer<Dtype>::own_bytes() const {
  return copy_.count() > 0 && input_ == copy_.data() ? input_->size() : 0;
}

template <typename Dtype>
void ScaleLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Format format = format_for(shape_, *bottom[0], data_format(*bottom[0]));
  const ChannelShape shape = in_order(format.order, shape_);
  const Dtype* const s = scale(bottom).active_data();
  const Dtype* const b = bias() == nullptr ? nullptr : bias()->active_data();
  const int channels = shape.channels;
  with_values<Dtype>(format, [&](auto values) {
    using T = typename decltype(values)::Type;
    if (keeps_input(bottom, top)) keep_input(values, *bottom[0]);
    const T* const x = values.data(*bottom[0]);
    T* const y = values.mutable_data(top[0]);
    if (resets_) {
      parallel_planes(shape.rows(), shape.inner, ScaleForward<T, true>{channels, s, b, x, y});
    } else {
      parallel_planes(shape.rows(), shape.inner, ScaleForward<T, false>{channels, s, b, x, y});
    }
  });
}

template <typename Dtype>
void ScaleLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                     const Blobs& bottom) {
  const Format format = format_for(shape_, *bottom[0], gradient_format(*bottom[0], *top[0]));
  with_values<Dtype>(format, [&](auto values) { backward(values, top, propagate_down, bottom); });
}

template <typename Dtype>
template <typename T>
void ScaleLayer<Dtype>::backward(const Values<Dtype, T>& values, const Blobs& top,
                                 const std::vector<bool>& propagate_down, const Blobs& bottom) {
  const bool learnt = bottom.size() == 1;
  const bool want_scale = learnt ? this->param_propagate_down_[0] : propagate_down[1];
  const bool want_bias = bias() != nullptr && this->param_propagate_down_.back();
  const ChannelShape shape = in_order(values.order, shape_);
  if (want_scale || want_bias) {
    const T* const x = !want_scale           ? nullptr
                       : bottom[0] == top[0] ? kept_input(values, bottom[0]->shape())
                                             : values.data(*bottom[0]);
    channel_sums(
        shape, ParamGradients<T>{x, values.diff(*top[0])}, &sums_,
        StoreGradients<Dtype>{learnt, want_scale ? scale(bottom).mutable_active_diff() : nullptr,
                              want_bias ? bias()->mutable_active_diff() : nullptr});
  }
  if (!propagate_down[0]) return;
  const Dtype* const s = scale(bottom).active_data();
  const T* const dy = values.diff(*top[0]);
  T* const dx = values.mutable_diff(bottom[0]);
  const int channels = shape.channels;
  if (resets_) {
    parallel_planes(shape.rows(), shape.inner, ScaleBackward<T, true>{channels, s, dy, dx});
  } else {
    parallel_planes(shape.rows(), shape.inner, ScaleBackward<T, false>{channels, s, dy, dx});
  }
}

INSTANTIATE_CLASS(ScaleLayer);
REGISTER_LAYER_WITH_ADAPTER(Scale);

}  // namespace caffe
