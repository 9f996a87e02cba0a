#include "caffe/layers/segmentation/put_back.hpp"

#include <cstdint>

#include "caffe/util/late_values.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// A place as an index: -1 for none, -2 for one outside of a plane of `size` values or a fraction.
template <typename T>
CAFFE_HD int place_of(T value, int size) {
  if (!(value >= T(-1) && value < T(size))) return -2;
  const int place = static_cast<int>(value);
  return T(place) == value ? place : -2;
}

/// Puts the values of a plane at their places. A place's owner is the last of its values: the
/// lowest of the numbers -1 - i.
template <typename T>
struct PutAtPlaces {
  int from, to;     // values of a plane
  const T* x;       // [planes, from]
  const T* places;  // as x
  T* y;             // [planes, to]
  int* owners;      // as y
  int* wrong;       // [planes], the first value with a bad place, or `from`
  int* stop;        // becomes 1 if there is one, or null
  template <typename Team>
  CAFFE_HD void operator()(int plane, const Team& team) const {
    const int64_t in = static_cast<int64_t>(plane) * from, out = static_cast<int64_t>(plane) * to;
    for (int j = team.rank(); j < to; j += team.size()) {
      y[out + j] = T(0);
      owners[out + j] = 0;
    }
    team.sync();
    int first_wrong = from;
    for (int i = team.rank(); i < from; i += team.size()) {
      const int place = place_of(places[in + i], to);
      if (place >= 0) team.lower(owners + out + place, -1 - i);
      if (place == -2 && i < first_wrong) first_wrong = i;
    }
    first_wrong = team.min(first_wrong);
    team.sync();
    for (int i = team.rank(); i < from; i += team.size()) {
      const int place = place_of(places[in + i], to);
      if (place >= 0 && owners[out + place] == -1 - i) y[out + place] = x[in + i];
    }
    if (team.rank() == 0) {
      wrong[plane] = first_wrong;
      if (first_wrong < from && stop != nullptr) *stop = 1;
    }
  }
};

template <typename T>
struct TakeFromPlaces {
  int from, to;
  const T* places;
  const int* owners;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int plane, int i) const {
    const int place = place_of(places[i], to);
    const int64_t at = static_cast<int64_t>(plane) * to + place;
    dx[i] = place >= 0 && owners[at] == -1 - (i - plane * from) ? dy[at] : T(0);
  }
};

/// Throws if one of `wrong`, the first value of each plane with a bad place, is one of its
/// `values`.
void check_places(const std::string& layer, const int* wrong, int planes, int values) {
  for (int plane = 0; plane < planes; ++plane) {
    CAFFE_CHECK(wrong[plane] == values,
                layer << "bottom 1 has a place outside of the top's plane, for value "
                      << wrong[plane] << " of plane " << plane << ": give it the second top of the "
                      << "Pooling layer whose bottom is as high and wide as this layer's top, or "
                      << "correct the size of the top");
  }
}

}  // namespace

template <typename Dtype>
void PutBack<Dtype>::forward(const std::string& layer, const Blob<Dtype>& x,
                             const Blob<Dtype>& places, Blob<Dtype>* top) {
  const int planes = x.count(0, 2), from = x.count(2), to = top->count(2);
  owners_.Reshape(top->shape());
  if (top->count() == 0) return;
  PutAtPlaces<Dtype> functor = {from,
                                to,
                                x.active_data(),
                                places.active_data(),
                                top->mutable_active_data(),
                                owners_.mutable_active_data(),
                                nullptr,
                                nullptr};
  if (current_device() == Device::kCPU) {
    wrong_.Reshape({planes});
    functor.wrong = wrong_.mutable_cpu_data();
    parallel_teams(Device::kCPU, planes, to, functor);
    check_places(layer, wrong_.cpu_data(), planes, from);
    return;
  }
  with_late_values([&](LateValues& late) {
    functor.wrong = late.place<int>(
        planes, [=](const int* wrong) { check_places(layer, wrong, planes, from); });
    functor.stop = late.stop();
    parallel_teams(Device::kGPU, planes, to, functor);
  });
}

template <typename Dtype>
void PutBack<Dtype>::backward(const Blob<Dtype>& places, const Blob<Dtype>& top,
                              Blob<Dtype>* x) const {
  parallel_planes(
      x->count(0, 2), x->count(2),
      TakeFromPlaces<Dtype>{x->count(2), top.count(2), places.active_data(), owners_.active_data(),
                            top.active_diff(), x->mutable_active_diff()});
}

INSTANTIATE_CLASS(PutBack);

}  // namespace caffe
