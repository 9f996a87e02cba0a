#include "caffe/layers/concat_layer.hpp"

#include "caffe/layers/axis.hpp"
#include "caffe/layers/engine_choice.hpp"
#include "caffe/layers/gradient_order.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/layers/joined_rows.hpp"
#include "caffe/util/copy_rows.hpp"
#include "kernels/half.hpp"

namespace caffe {

namespace {

/// Whether shapes are equal except for one axis.
bool alike(std::vector<int> a, std::vector<int> b, int axis) {
  if (a.size() != b.size()) return false;
  a[axis] = b[axis] = 0;
  return a == b;
}

}  // namespace

template <typename Dtype>
void ConcatLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  const ConcatParameter& param = this->layer_param_.concat_param();
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(!param.has_axis() || !param.has_concat_dim(),
              this->name() << "has both axis and concat_dim, its old name: keep axis");
}

template <typename Dtype>
void ConcatLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const ConcatParameter& param = this->layer_param_.concat_param();
  axis_ = axis_of(*this, *bottom[0],
                  param.has_concat_dim() ? static_cast<int>(param.concat_dim()) : param.axis());
  std::vector<int> shape = bottom[0]->shape();
  int64_t length = shape[axis_];
  for (size_t i = 1; i < bottom.size(); ++i) {
    CAFFE_CHECK(alike(bottom[i]->shape(), shape, axis_),
                this->name() << "its bottoms must have the same shape except for axis " << axis_
                             << "; bottom 0 is " << bottom[0]->shape_string() << " and bottom " << i
                             << " " << bottom[i]->shape_string());
    length += bottom[i]->shape(axis_);
  }
  CAFFE_CHECK(length <= INT_MAX, this->name()
                                     << "axis " << axis_ << " would be " << length << " long");
  shape[axis_] = static_cast<int>(length);
  top[0]->Reshape(shape);
  if (bottom.size() == 1) {
    top[0]->ShareData(*bottom[0]);
    top[0]->ShareDiff(*bottom[0]);
  }
}

template <typename Dtype>
void ConcatLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  if (bottom.size() == 1) return;
  with_values<Dtype>(joined_format(axis_, bottom), [&](auto values) {
    auto* y = values.mutable_data(top[0]);
    const int row = joined_rows(values.order, axis_, top[0]->shape()).length;
    for (const Blob<Dtype>* x : bottom) {
      const JoinedRows rows = joined_rows(values.order, axis_, x->shape());
      copy_rows(rows.count, rows.length, values.data(*x), rows.length, y, row);
      y += rows.length;
    }
  });
}

template <typename Dtype>
void ConcatLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                      const Blobs& bottom) {
  if (bottom.size() == 1) return;
  const Format plain = {Order::kNchw, type_of<Dtype>()};
  with_values<Dtype>(axis_ <= 1 ? gradient_format(bottom, top) : plain, [&](auto values) {
    const auto* dy = values.diff(*top[0]);
    const int row = joined_rows(values.order, axis_, top[0]->shape()).length;
    for (size_t i = 0; i < bottom.size(); ++i) {
      const JoinedRows rows = joined_rows(values.order, axis_, bottom[i]->shape());
      if (propagate_down[i]) {
        copy_rows(rows.count, rows.length, dy, row, values.mutable_diff(bottom[i]), rows.length);
      }
      dy += rows.length;
    }
  });
}

INSTANTIATE_CLASS(ConcatLayer);
REGISTER_LAYER_WITH_ADAPTER(Concat);

}  // namespace caffe
