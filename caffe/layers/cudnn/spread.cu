#include "caffe/layers/cudnn/spread.hpp"

#include "caffe/util/parallel.hpp"

namespace caffe {
namespace cudnn {

namespace {

constexpr int kAxes = 3;

template <typename T>
struct Spread {
  int length[kAxes], stride[kAxes], from_length[kAxes];
  const T* from;  // [planes x from_length]
  T* to;          // [planes x length]
  CAFFE_HD void operator()(int i) const {
    int rest = i, at = 0, step = 1;
    bool taken = true;
    for (int a = kAxes - 1; a >= 0; --a) {
      const int position = rest % length[a];
      rest /= length[a];
      taken = taken && position % stride[a] == 0;
      at += position / stride[a] * step;
      step *= from_length[a];
    }
    to[i] = taken ? from[static_cast<int64_t>(rest) * step + at] : T(0);
  }
};

}  // namespace

template <typename Dtype>
void spread(const std::vector<int64_t>& to_lengths, const std::vector<int64_t>& stride,
            const std::vector<int64_t>& from_lengths, const Dtype* from, Dtype* to) {
  Spread<Dtype> f;
  f.from = from;
  f.to = to;
  const int axes = static_cast<int>(stride.size());
  for (int a = 0; a < kAxes; ++a) {
    const int given = a - (kAxes - axes);  // two axes are the last two
    f.length[a] = given < 0 ? 1 : static_cast<int>(to_lengths[2 + given]);
    f.stride[a] = given < 0 ? 1 : static_cast<int>(stride[given]);
    f.from_length[a] = given < 0 ? 1 : static_cast<int>(from_lengths[2 + given]);
  }
  int64_t count = 1;
  for (const int64_t length : to_lengths) count *= length;
  parallel_for(count, f);
}

template void spread<float>(const std::vector<int64_t>&, const std::vector<int64_t>&,
                            const std::vector<int64_t>&, const float*, float*);
template void spread<double>(const std::vector<int64_t>&, const std::vector<int64_t>&,
                             const std::vector<int64_t>&, const double*, double*);

}  // namespace cudnn
}  // namespace caffe
