#include "caffe/layers/cudnn/spread.hpp"

#include "caffe/util/divisor.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {
namespace cudnn {

namespace {

constexpr int kAxes = 3;

template <typename T>
struct Spread {
  Divisor length[kAxes], stride[kAxes];
  int from_length[kAxes];
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
  Spread<Dtype> f = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, from, to};
  const int axes = static_cast<int>(stride.size());
  for (int a = 0; a < axes; ++a) {
    const int last = a + kAxes - axes;  // two axes are the last two
    f.length[last] = static_cast<int>(to_lengths[2 + a]);
    f.stride[last] = static_cast<int>(stride[a]);
    f.from_length[last] = static_cast<int>(from_lengths[2 + a]);
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
