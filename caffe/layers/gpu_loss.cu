#include "caffe/layers/gpu_loss.hpp"

#include <climits>

#include "caffe/util/late_values.hpp"
#include "kernels/tiles.hpp"

namespace caffe {

namespace {

/// The first label out of range.
template <typename T>
struct BadLabel {
  int place;  // its index + 1; 0: there is none
  T value;
};

/// Writes what was found.
template <typename T>
struct Report {
  const T* label;
  int* valid;
  BadLabel<T>* bad;
  int* stop;
  CAFFE_HD void write(int counted, int first) const {
    *valid = counted;
    bad->place = first == INT_MAX ? 0 : first + 1;
    bad->value = first == INT_MAX ? T(0) : label[first];
    if (first != INT_MAX) *stop = 1;
  }
};

constexpr int kPiece = 8192;

/// Counts a piece of the labels. If it is the only piece, this is the result.
template <typename T>
struct CountPiece {
  int count, pieces;
  LabelRange range;
  Report<T> report;
  int* found;  // [pieces, 2]: valid labels, the first bad one
  template <typename Team>
  CAFFE_HD void operator()(int piece, const Team& team) const {
    const T* const label = report.label;
    const int64_t end = int64_t(piece) * kPiece + kPiece;
    const int last = end < count ? static_cast<int>(end) : count;
    int valid = 0, first = INT_MAX;
    for (int i = piece * kPiece + team.rank(); i < last; i += Team::size()) {
      if (range.has_ignore && label[i] == T(range.ignore)) continue;
      if (label[i] >= T(0) && label[i] < T(range.classes)) {
        ++valid;
      } else if (i < first) {
        first = i;
      }
    }
    valid = team.sum(valid);
    first = team.min(first);
    if (team.rank() != 0) return;
    if (pieces == 1) {
      report.write(valid, first);
    } else {
      found[2 * piece] = valid;
      found[2 * piece + 1] = first;
    }
  }
};

template <typename T>
struct AddPieces {
  int pieces;
  Report<T> report;
  const int* found;
  template <typename Team>
  CAFFE_HD void operator()(int, const Team& team) const {
    int valid = 0, first = INT_MAX;
    for (int p = team.rank(); p < pieces; p += Team::size()) {
      valid += found[2 * p];
      if (found[2 * p + 1] < first) first = found[2 * p + 1];
    }
    valid = team.sum(valid);
    first = team.min(first);
    if (team.rank() == 0) report.write(valid, first);
  }
};

}  // namespace

template <typename Dtype>
const int* check_labels_on_gpu(const Layer<Dtype>& layer, const Blob<Dtype>& labels,
                               const LabelRange& range, Blob<int>* counts) {
  const int count = labels.count(), pieces = std::max(1, (count - 1) / kPiece + 1);
  counts->Reshape({1 + 2 * pieces});
  int* const valid = counts->mutable_gpu_data();
  const string name = layer.name();
  with_late_values([&](LateValues& late) {
    BadLabel<Dtype>* const bad = late.place<BadLabel<Dtype>>(1, [=](const BadLabel<Dtype>* found) {
      if (found->place != 0) {
        refuse_label(name, found->value, found->place - 1, count, range.classes);
      }
    });
    const Report<Dtype> report = {labels.gpu_data(), valid, bad, late.stop()};
    maap::internal::gpu_tiles(pieces, CountPiece<Dtype>{count, pieces, range, report, valid + 1});
    if (pieces > 1) {
      parallel_teams(Device::kGPU, 1, pieces, AddPieces<Dtype>{pieces, report, valid + 1});
    }
  });
  return valid;
}

template const int* check_labels_on_gpu(const Layer<float>&, const Blob<float>&, const LabelRange&,
                                        Blob<int>*);
template const int* check_labels_on_gpu(const Layer<double>&, const Blob<double>&,
                                        const LabelRange&, Blob<int>*);

}  // namespace caffe
