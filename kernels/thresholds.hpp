#ifndef KERNELS_THRESHOLDS_HPP_
#define KERNELS_THRESHOLDS_HPP_

// Thresholds of a map, the same to the last bit on every device and for every size of a team: what
// is added up is added up in one order.

#include <cmath>

#include "kernels/parallel.hpp"
#include "kernels/plane.hpp"

namespace maap {

constexpr int kBins = 256;

constexpr double kTwoTo400 = 2.58224987808690858965591917200e120;
constexpr double kTwoTo600 = 4.14951556888099295851240786369e180;

/// The bins of a histogram between low < high, as in numpy.histogram: bin i holds edge(i) <= value
/// < edge(i + 1), the last bin also its upper edge.
///
/// Where doubles are too coarse for that, the values are first scaled by a power of two, so that
/// squares of differences neither overflow nor underflow, and, if two edges would be equal, the
/// least value is subtracted. Both are exact, except for values that vanish beside the range. No
/// range of floats needs it.
class Bins {
 public:
  MAAP_HD Bins(double least, double greatest) : least_(least), shift_(0.), scale_(1.) {
    const double range = greatest - least;
    if (!(range <= kTwoTo400)) scale_ = 1. / kTwoTo600;
    if (range < 1. / kTwoTo400) scale_ = kTwoTo600;
    divide(least * scale_, greatest * scale_);
    if (edges_differ()) return;
    shift_ = least;
    divide(0., range * scale_);
  }
  /// Whether the values are used as they are.
  MAAP_HD bool plain() const { return shift_ == 0. && scale_ == 1.; }
  /// In bins, for plain values.
  MAAP_HD double place(double value) const { return (value - low_) * per_bin_; }
  /// Within this distance of a bin's middle, in bins, rounding does not matter.
  MAAP_HD double safe() const { return safe_; }
  /// Whether quick_bin() serves: plain floats whose range and bins' width are no extreme floats.
  MAAP_HD bool quick() const {
    return plain() && safe_ > 0.1 && step_ > 1e-30 && step_ < 1e30 && largest_ < 1e36;
  }
  /// A float's bin, computed in float, which GPUs do much faster than in double. False, as for one
  /// value in ten thousand, if rounding may have put it into another bin.
  MAAP_HD bool quick_bin(float value, int* bin) const {
    // Each of three operations rounds by 2^-24 of a place up to 256: 5e-5 bins.
    const float place = (value - static_cast<float>(low_)) * quick_per_bin_;
    *bin = static_cast<int>(place);
    const float off = place - static_cast<float>(*bin) - 0.5f;
    return (off < 0.f ? -off : off) < quick_safe_;
  }
  MAAP_HD int bin(double value) const {
    value = (value - shift_) * scale_;
    int i = static_cast<int>(place(value));
    if (i >= kBins) i = kBins - 1;
    if (value < edge(i)) return i - 1;
    return i < kBins - 1 && value >= edge(i + 1) ? i + 1 : i;
  }
  /// The middle of a bin, changed as the values are.
  MAAP_HD double centre(int i) const { return (edge(i) + edge(i + 1)) / 2.; }
  /// The middle of a bin: for plain values as numpy rounds it, else the greatest double not above.
  MAAP_HD double threshold(int i) const {
    const double exact = centre(i);
    if (plain()) return exact;
    const double rounded = exact / scale_ + shift_;
    return (rounded - shift_) * scale_ > exact ? nextafter(rounded, least_) : rounded;
  }

 private:
  MAAP_HD void divide(double low, double high) {
    low_ = low;
    high_ = high;
    step_ = (high - low) / kBins;
    per_bin_ = kBins / (high - low);
    const double above = low < 0 ? -low : low, below = high < 0 ? -high : high;
    largest_ = above > below ? above : below;
    safe_ = 0.5 - 1e-15 * (kBins + largest_ / step_);
    quick_per_bin_ = static_cast<float>(per_bin_);
    quick_safe_ = static_cast<float>(safe_ - 1e-4);
  }
  MAAP_HD double edge(int i) const { return i < kBins ? i * step_ + low_ : high_; }
  MAAP_HD bool edges_differ() const {
    if (step_ > 1e-15 * largest_) return true;  // more than the rounding of two edges
    for (int i = 0; i < kBins; ++i) {
      if (!(edge(i) < edge(i + 1))) return false;
    }
    return true;
  }

  double least_;
  double shift_, scale_;  // a value becomes (value - shift) * scale
  double low_, high_, step_, per_bin_, largest_, safe_;
  float quick_per_bin_, quick_safe_;  // for quick_bin()
};

/// Counts the plane's values into copies[k][bin]; with one copy, neighbouring values, which are
/// often in one bin, would wait for each other.
template <int kCopies, typename T, typename Team>
MAAP_HD void count_bins(const Team& team, const Plane<T>& plane, const Bins& bins,
                        int (*copies)[kBins]) {
  constexpr int kChunk = Team::size() == 1 ? 128 : 1;  // pixels a thread takes at once
  const int count = plane.height * plane.width;
  const bool plain = bins.plain();
  const double safe = bins.safe() > 0. ? bins.safe() * bins.safe() : -1.;
  const bool quick = kChunk == 1 && sizeof(T) == sizeof(float) && bins.quick();
  int quick_bin;
  for (int first = team.rank() * kChunk; first < count; first += team.size() * kChunk) {
    const int size = kChunk < count - first ? kChunk : count - first;
    const T* const values = plane.data + first;
    if (quick && bins.quick_bin(values[0], &quick_bin)) {
      team.add(&copies[first % kCopies][quick_bin], 1);
      continue;
    }
    int bin[kChunk];
    double near_edge = 0.;  // count of values that rounding may have put into another bin
    if (plain) {
      MAAP_SIMD_SUM(near_edge)
      for (int k = 0; k < size; ++k) {
        const double place = bins.place(values[k]);
        bin[k] = static_cast<int>(place);
        const double off = place - bin[k] - 0.5;
        near_edge += off * off > safe ? 1. : 0.;
      }
    }
    if (near_edge > 0. || !plain) {
      for (int k = 0; k < size; ++k) bin[k] = bins.bin(values[k]);
    }
    int k = 0;
    for (; k + kCopies <= size; k += kCopies) {
      for (int c = 0; c < kCopies; ++c) team.add(&copies[c][bin[k + c]], 1);
    }
    for (; k < size; ++k) team.add(&copies[(first + k) % kCopies][bin[k]], 1);
  }
}

/// The cumulative sums of `up_to` from the first bin on, of `from` from the last one on, and of
/// `histogram`, each by one thread; the threads are of different warps, so that none waits for
/// another.
template <typename Team>
MAAP_HD void add_up(const Team& team, double* up_to, double* from, const int* histogram,
                    int* counts) {
  constexpr int kWarp = 32, kLast = Team::size() - 1;
  if (team.rank() == 0) {
    double sum = 0.;
#pragma unroll 8
    for (int i = 0; i < kBins; ++i) up_to[i] = sum += up_to[i];
  }
  if (team.rank() == (kWarp < kLast ? kWarp : kLast)) {
    double sum = 0.;
#pragma unroll 8
    for (int i = kBins - 1; i >= 0; --i) from[i] = sum += from[i];
  }
  if (team.rank() == (2 * kWarp < kLast ? 2 * kWarp : kLast)) {
    int count = 0;
#pragma unroll 8
    for (int i = 0; i < kBins; ++i) counts[i] = count += histogram[i];
  }
}

// Loops that a thread of a GPU's team goes through once or seldom are not unrolled: the registers
// for it are better used elsewhere.

/// Otsu's threshold between low < high: the centre of the first bin that separates the two classes'
/// means best. Sums are computed as in numpy and scikit-image, operation by operation: each bin's
/// product, quotients and variance by a thread of its own, but the additions of the cumulative sums
/// one after the other, since rounding depends on their order, and a value that rounds to the other
/// side would give another region than the CPU finds. Two threads do these 2 x 256 additions at the
/// same time; what else the loop had, 512 divisions among it, is the team's.
template <typename T, typename Team>
MAAP_HD double otsu(const Team& team, const Plane<T>& plane, double low, double high) {
  constexpr int kCopies = 4;
  struct Scratch {
    union {
      int copies[kCopies][kBins];
      struct {
        double up_to[kBins];  // sum of the values in bins 0 to i
        double from[kBins];   // sum of the values in bins i and up
      };
    };
    int histogram[kBins];
    int counts[kBins];  // of values in bins 0 to i
  };
  static_assert(sizeof(Scratch) <= kTeamScratch, "kTeamScratch is too small for a histogram");
  Scratch* const s = static_cast<Scratch*>(team.scratch());
  const Bins bins(low, high);
  for (int i = team.rank(); i < kCopies * kBins; i += team.size())
    s->copies[i / kBins][i % kBins] = 0;
  team.sync();
  count_bins<kCopies>(team, plane, bins, s->copies);
  team.sync();
  for (int i = team.rank(); i < kBins; i += team.size()) {
    int count = 0;
    for (int k = 0; k < kCopies; ++k) count += s->copies[k][i];
    s->histogram[i] = count;
  }
  team.sync();
#pragma unroll 1
  for (int i = team.rank(); i < kBins; i += team.size())
    s->up_to[i] = s->from[i] = s->histogram[i] * bins.centre(i);
  team.sync();
  add_up(team, s->up_to, s->from, s->histogram, s->counts);
  team.sync();
  const double all = static_cast<double>(plane.height) * plane.width;
  double best = -1.;
  int best_bin = kBins;
#pragma unroll 1
  for (int i = team.rank(); i < kBins - 1; i += team.size()) {
    const double weight = s->counts[i], rest = all - weight;
    const double apart = s->up_to[i] / weight - s->from[i + 1] / rest;
    const double variance = weight * rest * (apart * apart);
    if (variance > best) {
      best = variance;
      best_bin = i;
    }
  }
  const double greatest = team.max(best);
  best_bin = team.min(best == greatest ? best_bin : kBins);
  return best_bin < kBins ? bins.threshold(best_bin) : low;
}

/// The threshold itself, or the double nearest to it that is at least low and less than high, so
/// that what is above it is neither nothing nor everything.
MAAP_HD inline double between(double threshold, double low, double high) {
  if (threshold < low) return low;
  return threshold < high ? threshold : nextafter(high, low);
}

/// The mean of a map whose values are from low < high: the sums of the rows, each from left to
/// right, are added up from the first row to the last.
template <typename T, typename Team>
MAAP_HD double mean_threshold(const Team& team, const Plane<T>& plane, double low, double high) {
  constexpr int kRows = kTeamScratch / sizeof(double);
  double* const sums = static_cast<double*>(team.scratch());
  // A sum of the largest doubles would overflow.
  const double scale = low > -kTwoTo400 && high < kTwoTo400 ? 1. : 1. / kTwoTo600;
  double total = 0.;
  for (int first = 0; first < plane.height; first += kRows) {
    const int rows = kRows < plane.height - first ? kRows : plane.height - first;
    for (int k = team.rank(); k < rows; k += team.size()) {
      const T* const row = plane.data + static_cast<int64_t>(first + k) * plane.width;
      double sum = 0.;
      for (int x = 0; x < plane.width; ++x) sum += row[x] * scale;
      sums[k] = sum;
    }
    team.sync();
    for (int k = 0; k < rows; ++k) total += sums[k];
    team.sync();
  }
  const double count = static_cast<double>(plane.height) * plane.width;
  return between(total / count / scale, low, high);
}

/// low + fraction (high - low), for low < high.
MAAP_HD inline double fraction_threshold(double fraction, double low, double high) {
  const double range = high - low;
  const double threshold = range - range == 0.
                               ? low + fraction * range
                               : 2. * (low / 2. + fraction * (high / 2. - low / 2.));
  return between(threshold, low, high);
}

}  // namespace maap

#endif  // KERNELS_THRESHOLDS_HPP_
