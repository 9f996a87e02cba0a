#ifndef CAFFE_PARALLEL_GRADIENT_BUCKETS_HPP_
#define CAFFE_PARALLEL_GRADIENT_BUCKETS_HPP_

// Which gradients of a net are added up over the ranks together, and when they are complete.
//
// A backward pass runs from the last layer to the first. A parameter's gradient is complete when
// the first layer that uses it has run, which for a parameter shared by name is not its owner's
// layer only. Parameters whose gradients are complete one after the other make a bucket; its sum
// can begin while the layers before it still compute. Small sums cost as much as larger ones, so a
// bucket has several small parameters, or one large one.

#include <cstddef>
#include <vector>

#include "caffe/net.hpp"

namespace caffe {

struct GradientBucket {
  int layer;                // all its gradients are complete when this layer has run backward
  std::vector<int> params;  // indices in learnable_params(), ascending
};

constexpr size_t kBucketBytes = 4 << 20;

/// All gradients that a backward pass computes, in the order in which they are complete. A bucket
/// has no more than `bytes`, or one parameter. Parameters without a gradient, such as those with
/// lr_mult 0, are in none. The result depends on the net alone, so it is the same on all ranks.
template <typename Dtype>
std::vector<GradientBucket> gradient_buckets(const Net<Dtype>& net, size_t bytes = kBucketBytes);

}  // namespace caffe

#endif  // CAFFE_PARALLEL_GRADIENT_BUCKETS_HPP_
