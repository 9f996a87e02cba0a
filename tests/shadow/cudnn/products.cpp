#include "tests/shadow/cudnn/products.hpp"

#include <cblas.h>

#include <algorithm>
#include <vector>

#include "kernels/half.hpp"
#include "tests/shadow/tf32.hpp"

namespace shadow_cudnn {

namespace {

using caffe::ValueType;
using caffe::cudnn::Convolution;
using caffe::cudnn::Operands;
using caffe::cudnn::Pass;
using caffe::cudnn::Tensor;

constexpr int kAxes = 3;  // spatial; those that a tensor lacks have length 1

void product(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const float* a, int lda,
             const float* b, int ldb, float beta, float* c) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, n);
}
void product(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const double* a, int lda,
             const double* b, int ldb, double beta, double* c) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, n);
}

/// Calls f(place, number) for each place of a box, row by row.
template <typename F>
void each_place(const int64_t* length, const F& f) {
  int64_t place[kAxes], number = 0;
  for (place[0] = 0; place[0] < length[0]; ++place[0]) {
    for (place[1] = 0; place[1] < length[1]; ++place[1]) {
      for (place[2] = 0; place[2] < length[2]; ++place[2]) f(place, number++);
    }
  }
}

template <typename T>
struct Strided {
  T* values;
  int64_t length[2 + kAxes], stride[2 + kAxes];

  Strided(const void* memory, const Tensor& tensor)
      : values(static_cast<T*>(const_cast<void*>(memory))) {
    const int missing = 2 + kAxes - static_cast<int>(tensor.lengths.size());
    for (int a = 0; a < 2 + kAxes; ++a) {
      const bool is_missing = a >= 2 && a - 2 < missing;
      const int from = a < 2 ? a : a - missing;
      length[a] = is_missing ? 1 : tensor.lengths[from];
      stride[a] = is_missing ? 0 : tensor.strides[from];
    }
  }
  int places() const { return static_cast<int>(length[2] * length[3] * length[4]); }
  T& at(int64_t n, int64_t c, const int64_t* place) const {
    int64_t offset = n * stride[0] + c * stride[1];
    for (int a = 0; a < kAxes; ++a) offset += place[a] * stride[2 + a];
    return values[offset];
  }
  /// Calls f(value, its number) for `channels` channels of one image.
  template <typename F>
  void each(int64_t n, int64_t first_channel, int64_t channels, const F& f) const {
    for (int64_t c = 0; c < channels; ++c) {
      each_place(length + 2, [&](const int64_t* place, int64_t number) {
        f(at(n, first_channel + c, place), c * places() + number);
      });
    }
  }
};

float to_tf32(float value) {
  return shadow::to_tf32(value);
}
double to_tf32(double value) {
  return value;
}

/// The products of one image and one group, computed in T. All operands are stored as S.
template <typename T, typename S>
class Products {
 public:
  Products(const Convolution& c, const Operands& o)
      : convolution_(c),
        bias_(static_cast<const S*>(o.bias)),
        x_(c.pass == Pass::kData ? o.result : o.x, c.x),
        w_(c.pass == Pass::kWeights ? o.result : o.w, c.w),
        y_(c.pass == Pass::kForward ? o.result : o.y, c.y),
        inputs_(static_cast<int>(w_.length[1])),
        groups_(static_cast<int>(x_.length[1] / w_.length[1])),
        outputs_(static_cast<int>(w_.length[0] / groups_)),
        rows_(inputs_ * w_.places()),
        places_(y_.places()),
        weights_(static_cast<size_t>(w_.length[0]) * rows_),
        columns_(static_cast<size_t>(rows_) * places_),
        output_(static_cast<size_t>(outputs_) * places_),
        image_(static_cast<size_t>(inputs_) * x_.places()) {
    const int missing = kAxes - static_cast<int>(c.stride.size());
    for (int a = 0; a < kAxes; ++a) {
      pad_[a] = a < missing ? 0 : c.pad[a - missing];
      stride_[a] = a < missing ? 1 : c.stride[a - missing];
      dilation_[a] = a < missing ? 1 : c.dilation[a - missing];
    }
  }

  void run() {
    const bool to_weights = convolution_.pass == Pass::kWeights;
    if (!to_weights) each_weight([this](S& from, T* to) { *to = rounded(from); });
    for (int64_t n = 0; n < x_.length[0]; ++n) {
      for (int g = 0; g < groups_; ++g) run(n, g);
    }
    if (to_weights) each_weight([](S& to, T* from) { to = S(*from); });
  }

 private:
  template <typename F>
  void each_weight(const F& f) {
    for (int64_t k = 0; k < w_.length[0]; ++k) {
      w_.each(k, 0, inputs_, [&](S& value, int64_t i) { f(value, &weights_[k * rows_ + i]); });
    }
  }

  void run(int64_t n, int g) {
    T* const weights = &weights_[static_cast<size_t>(g) * outputs_ * rows_];
    if (convolution_.pass == Pass::kForward) {
      take_columns(n, g);
      product(CblasNoTrans, CblasNoTrans, outputs_, places_, rows_, weights, rows_, &columns_[0],
              places_, 0, &output_[0]);
      y_.each(n, g * outputs_, outputs_,
              [&](S& to, int64_t i) { to = S(finished(output_[i], g * outputs_ + i / places_)); });
      return;
    }
    y_.each(n, g * outputs_, outputs_, [&](S& from, int64_t i) { output_[i] = rounded(from); });
    if (convolution_.pass == Pass::kWeights) {
      take_columns(n, g);
      product(CblasNoTrans, CblasTrans, outputs_, rows_, places_, &output_[0], places_,
              &columns_[0], places_, 1, weights);
    } else {
      product(CblasTrans, CblasNoTrans, rows_, places_, outputs_, weights, rows_, &output_[0],
              places_, 0, &columns_[0]);
      give_columns(n, g);
    }
  }

  /// As the products read it.
  T rounded(T value) const { return convolution_.tf32 ? to_tf32(value) : value; }
  T finished(T value, int64_t channel) const {
    if (convolution_.bias) value += T(bias_[channel]);
    return convolution_.relu && !(value > 0) ? T(0) : value;
  }

  /// Calls f(channel, place of x or null, index in columns_) for each value under the kernel.
  template <typename F>
  void each_column(int g, const F& f) const {
    for (int c = 0; c < inputs_; ++c) {
      each_place(w_.length + 2, [&](const int64_t* tap, int64_t t) {
        const int64_t row = (c * w_.places() + t) * places_;
        each_place(y_.length + 2, [&](const int64_t* out, int64_t o) {
          int64_t in[kAxes];
          bool inside = true;
          for (int a = 0; a < kAxes; ++a) {
            in[a] = out[a] * stride_[a] - pad_[a] + tap[a] * dilation_[a];
            inside = inside && in[a] >= 0 && in[a] < x_.length[2 + a];
          }
          f(g * inputs_ + c, inside ? in : nullptr, row + o);
        });
      });
    }
  }
  void take_columns(int64_t n, int g) {
    each_column(g, [&](int c, const int64_t* in, int64_t i) {
      columns_[i] = in != nullptr ? rounded(x_.at(n, c, in)) : T(0);
    });
  }
  void give_columns(int64_t n, int g) {
    std::fill(image_.begin(), image_.end(), T(0));
    each_column(g, [&](int c, const int64_t* in, int64_t i) {
      if (in == nullptr) return;
      const int64_t place = (in[0] * x_.length[3] + in[1]) * x_.length[4] + in[2];
      image_[(c - g * inputs_) * x_.places() + place] += columns_[i];
    });
    x_.each(n, g * inputs_, inputs_, [this](S& to, int64_t i) { to = S(image_[i]); });
  }

  const Convolution& convolution_;
  const S* bias_;
  Strided<S> x_, w_, y_;
  int inputs_, groups_, outputs_;  // channels of a group, groups
  int rows_, places_;              // of the columns
  std::vector<T> weights_, columns_, output_, image_;
  int64_t pad_[kAxes], stride_[kAxes], dilation_[kAxes];
};

}  // namespace

void compute(const Convolution& c, const Operands& o) {
  switch (c.type) {
    case ValueType::kFloat:
      return Products<float, float>(c, o).run();
    case ValueType::kDouble:
      return Products<double, double>(c, o).run();
    case ValueType::kFloat16:
      return Products<float, caffe::Float16>(c, o).run();
    case ValueType::kBfloat16:
      return Products<float, caffe::Bfloat16>(c, o).run();
  }
}

}  // namespace shadow_cudnn
