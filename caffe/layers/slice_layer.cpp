#include "caffe/layers/slice_layer.hpp"

#include "caffe/layers/axis.hpp"
#include "caffe/layers/gradient_order.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/layers/joined_rows.hpp"
#include "caffe/util/copy_rows.hpp"

namespace caffe {

template <typename Dtype>
void SliceLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  const SliceParameter& param = this->layer_param_.slice_param();
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(!param.has_axis() || !param.has_slice_dim(),
              this->name() << "has both axis and slice_dim, its old name: keep axis");
  const int points = param.slice_point_size(), tops = static_cast<int>(top.size());
  CAFFE_CHECK(points == 0 || points == tops - 1,
              this->name() << "has " << points << " slice_points and " << tops
                           << " tops: give one point fewer than tops, or none for equal parts");
}

/// The tops' lengths along the axis, which has length `whole` in the bottom.
template <typename Dtype>
std::vector<int> SliceLayer<Dtype>::lengths(int whole, int parts) const {
  const SliceParameter& param = this->layer_param_.slice_param();
  if (param.slice_point_size() == 0) {
    CAFFE_CHECK(whole % parts == 0, this->name()
                                        << "cannot cut axis " << axis_ << " of length " << whole
                                        << " into " << parts << " equal parts: give slice_points");
    return std::vector<int>(parts, whole / parts);
  }
  std::vector<int> result;
  int64_t before = 0;
  for (const int64_t point : param.slice_point()) {
    CAFFE_CHECK(point > before && point < whole,
                this->name() << "slice_point " << point << " is not between " << before << " and "
                             << whole << ", the point before it and the length of axis " << axis_);
    result.push_back(static_cast<int>(point - before));
    before = point;
  }
  result.push_back(static_cast<int>(whole - before));
  return result;
}

template <typename Dtype>
void SliceLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const SliceParameter& param = this->layer_param_.slice_param();
  axis_ = axis_of(*this, *bottom[0],
                  param.has_slice_dim() ? static_cast<int>(param.slice_dim()) : param.axis());
  std::vector<int> shape = bottom[0]->shape();
  const std::vector<int> parts = lengths(shape[axis_], static_cast<int>(top.size()));
  for (size_t i = 0; i < top.size(); ++i) {
    shape[axis_] = parts[i];
    top[i]->Reshape(shape);
  }
  if (top.size() == 1) {
    top[0]->ShareData(*bottom[0]);
    top[0]->ShareDiff(*bottom[0]);
  }
}

template <typename Dtype>
void SliceLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  if (top.size() == 1) return;
  const Order order = joined_order(axis_, bottom);
  const Dtype* x = data_in(order, *bottom[0]);
  const int row = joined_rows(order, axis_, bottom[0]->shape()).length;
  for (Blob<Dtype>* y : top) {
    const JoinedRows rows = joined_rows(order, axis_, y->shape());
    copy_rows(rows.count, rows.length, x, row, mutable_data_in(order, y), rows.length);
    x += rows.length;
  }
}

template <typename Dtype>
void SliceLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                     const Blobs& bottom) {
  if (!propagate_down[0] || top.size() == 1) return;
  const Order order = axis_ <= 1 ? gradient_order(bottom, top) : Order::kNchw;
  Dtype* dx = mutable_diff_in(order, bottom[0]);
  const int row = joined_rows(order, axis_, bottom[0]->shape()).length;
  for (const Blob<Dtype>* y : top) {
    const JoinedRows rows = joined_rows(order, axis_, y->shape());
    copy_rows(rows.count, rows.length, diff_in(order, *y), rows.length, dx, row);
    dx += rows.length;
  }
}

INSTANTIATE_CLASS(SliceLayer);
REGISTER_LAYER_CLASS(Slice);

}  // namespace caffe
