#ifndef CAFFE_LAYERS_LEARNT_HPP_
#define CAFFE_LAYERS_LEARNT_HPP_

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "caffe/filler.hpp"
#include "caffe/layer.hpp"

namespace caffe {

/// A blob that a layer learns.
struct LearntBlob {
  string what;  // "weights"
  vector<int> shape;
  FillerParameter filler;
};

/// Whether both shapes are equal except for leading axes of length 1: files from before 2015 store
/// a vector as 1 x 1 x 1 x N.
inline bool same_but_for_leading_ones(const vector<int>& a, const vector<int>& b) {
  const vector<int>& longer = a.size() > b.size() ? a : b;
  const vector<int>& shorter = a.size() > b.size() ? b : a;
  const size_t extra = longer.size() - shorter.size();
  return std::all_of(longer.begin(), longer.begin() + extra, [](int n) { return n == 1; }) &&
         std::equal(shorter.begin(), shorter.end(), longer.begin() + extra);
}

/// Creates a layer's blobs and fills them. Values that came with the layer's parameters are kept;
/// they must have these shapes.
template <typename Dtype>
void make_learnt(const Layer<Dtype>& layer, const vector<LearntBlob>& wanted,
                 vector<shared_ptr<Blob<Dtype>>>* blobs) {
  if (!blobs->empty()) {
    CAFFE_CHECK(blobs->size() == wanted.size(),
                layer.name() << "its parameters hold " << blobs->size()
                             << " blobs of learnt values, and it has " << wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      Blob<Dtype>* const blob = (*blobs)[i].get();
      CAFFE_CHECK(same_but_for_leading_ones(blob->shape(), wanted[i].shape),
                  layer.name() << "the stored " << wanted[i].what << " are "
                               << shape_text(blob->shape()) << " and should be "
                               << shape_text(wanted[i].shape));
      blob->Reshape(wanted[i].shape);
    }
    return;
  }
  for (const LearntBlob& one : wanted) {
    blobs->push_back(std::make_shared<Blob<Dtype>>(one.shape));
    const std::unique_ptr<Filler<Dtype>> filler(GetFiller<Dtype>(one.filler));
    filler->Fill(blobs->back().get());
  }
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_LEARNT_HPP_
