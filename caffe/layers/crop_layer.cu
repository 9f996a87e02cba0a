#include "caffe/layers/crop_layer.hpp"

#include <algorithm>
#include <cstring>

#include "caffe/layers/axis.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/util/active.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// The offsets of a crop's rows (the last axis) in the whole blob.
struct CropWindow {
  int axes;
  int whole[kMaxBlobAxes], part[kMaxBlobAxes], offset[kMaxBlobAxes];
  CAFFE_HD int place(int row) const {
    int place = offset[axes - 1], stride = whole[axes - 1];
    for (int axis = axes - 2; axis >= 0; --axis) {
      place += (row % part[axis] + offset[axis]) * stride;
      row /= part[axis];
      stride *= whole[axis];
    }
    return place;
  }
};

/// Copies the crop from the whole blob, or back into it.
template <typename T>
struct CropRow {
  CropWindow window;
  int length;
  bool back;
  const T* from;
  T* to;
  CAFFE_HD void operator()(int row) const {
    const int whole = window.place(row), part = row * length;
    std::memcpy(to + (back ? whole : part), from + (back ? part : whole), sizeof(T) * length);
  }
};

template <typename T>
struct CropValue {
  CropWindow window;
  int length;
  bool back;
  const T* from;
  T* to;
  CAFFE_HD void operator()(int i) const {
    const int whole = window.place(i / length) + i % length;
    to[back ? whole : i] = from[back ? i : whole];
  }
};

template <typename T>
void copy_window(const std::vector<int>& whole, const std::vector<int>& part,
                 const std::vector<int>& offset, bool back, const T* from, T* to) {
  CropWindow window = {};  // no byte of a kernel's argument is left undefined
  window.axes = static_cast<int>(whole.size());
  std::copy(whole.begin(), whole.end(), window.whole);
  std::copy(part.begin(), part.end(), window.part);
  std::copy(offset.begin(), offset.end(), window.offset);
  const int length = part.back();
  int rows = 1;
  for (size_t axis = 0; axis + 1 < part.size(); ++axis) rows *= part[axis];
  parallel_for(current_device(), rows, length, CropRow<T>{window, length, back, from, to},
               static_cast<int64_t>(rows) * length, CropValue<T>{window, length, back, from, to});
}

}  // namespace

template <typename Dtype>
void CropLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
}

template <typename Dtype>
void CropLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const CropParameter& param = this->layer_param_.crop_param();
  const Blob<Dtype>&whole = *bottom[0], &size = *bottom[1];
  const int begin = axis_of(*this, whole, param.axis());
  const int axes = whole.num_axes(), cropped = axes - begin, given = param.offset_size();
  CAFFE_CHECK(size.num_axes() >= axes, this->name()
                                           << "bottom 0 has " << axes << " axes and bottom "
                                           << "1, which gives the size, only " << size.num_axes());
  CAFFE_CHECK(given <= 1 || given == cropped,
              this->name() << "has " << given << " offsets and crops " << cropped
                           << " axes: give one for all, one for each, or none");
  offsets_.assign(axes, 0);
  std::vector<int> shape = whole.shape();
  for (int axis = begin; axis < axes; ++axis) {
    const int64_t offset = given == 0 ? 0 : param.offset(given == 1 ? 0 : axis - begin);
    CAFFE_CHECK(offset + size.shape(axis) <= whole.shape(axis),
                this->name() << "axis " << axis << " of length " << whole.shape(axis) << " has no "
                             << size.shape(axis) << " values from " << offset << " on");
    offsets_[axis] = static_cast<int>(offset);
    shape[axis] = size.shape(axis);
  }
  top[0]->Reshape(shape);
}

template <typename Dtype>
void CropLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  copy_window(bottom[0]->shape(), top[0]->shape(), offsets_, false, bottom[0]->active_data(),
              top[0]->mutable_active_data());
}

template <typename Dtype>
void CropLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  if (!propagate_down[0]) return;
  Dtype* const dx = bottom[0]->mutable_active_diff();
  active_set(bottom[0]->count(), Dtype(0), dx);
  copy_window(bottom[0]->shape(), top[0]->shape(), offsets_, true, top[0]->active_diff(), dx);
}

INSTANTIATE_CLASS(CropLayer);
REGISTER_LAYER_CLASS(Crop);

}  // namespace caffe
