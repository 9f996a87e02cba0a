#include "caffe/layers/detection/proposal_layer.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/layers/in_place.hpp"

namespace caffe {

namespace {

/// x in [0, end], 0 if `end` is below that; NaN becomes 0.
template <typename Dtype>
Dtype cut(Dtype x, Dtype end) {
  return x > Dtype(0) ? std::max(std::min(x, end), Dtype(0)) : Dtype(0);
}

/// The box that `delta`, four values `step` apart, makes of an anchor.
template <typename Dtype>
PixelBox<Dtype> moved(const PixelBox<Dtype>& anchor, const Dtype* delta, int64_t step) {
  const Dtype width = anchor.width(), height = anchor.height();
  const Dtype x = delta[0] * width + (anchor.x1 + Dtype(0.5) * width);
  const Dtype y = delta[step] * height + (anchor.y1 + Dtype(0.5) * height);
  const Dtype half_width = Dtype(0.5) * (std::exp(delta[2 * step]) * width);
  const Dtype half_height = Dtype(0.5) * (std::exp(delta[3 * step]) * height);
  return {x - half_width, y - half_height, x + half_width, y + half_height};
}

template <typename Dtype>
std::vector<Dtype> values_of(const google::protobuf::RepeatedField<float>& field) {
  return std::vector<Dtype>(field.begin(), field.end());
}

bool all_positive(const google::protobuf::RepeatedField<float>& field) {
  return !field.empty() &&
         std::all_of(field.begin(), field.end(), [](float v) { return v > 0 && std::isfinite(v); });
}

}  // namespace

template <typename Dtype>
void ProposalLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const ProposalParameter& param = this->layer_param_.proposal_param();
  CAFFE_CHECK(all_positive(param.ratio()) && all_positive(param.scale()),
              this->name() << "proposal_param needs ratio and scale, each with at least one value, "
                           << "all above 0; those of Faster R-CNN are ratio: 0.5 ratio: 1 ratio: 2 "
                           << "scale: 8 scale: 16 scale: 32");
  constexpr unsigned kMost = 1 << 20;
  for (const unsigned v :
       {param.feat_stride(), param.base_size(), param.pre_nms_topn(), param.post_nms_topn()}) {
    CAFFE_CHECK(v > 0 && v <= kMost, this->name() << "feat_stride, base_size, pre_nms_topn and "
                                                  << "post_nms_topn must be from 1 to " << kMost
                                                  << "; one is " << v);
  }
  anchors_ = make_anchors(static_cast<int>(param.base_size()), values_of<Dtype>(param.ratio()),
                          values_of<Dtype>(param.scale()));
}

template <typename Dtype>
void ProposalLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const int anchors = static_cast<int>(anchors_.size());
  const Blob<Dtype>&scores = *bottom[0], &deltas = *bottom[1], &info = *bottom[2];
  const bool fits = scores.num_axes() == 4 && deltas.num_axes() == 4 &&
                    scores.shape(1) == 2 * anchors && deltas.shape(1) == 4 * anchors &&
                    scores.shape(0) == deltas.shape(0) && scores.count(2) == deltas.count(2) &&
                    scores.shape(3) == deltas.shape(3);
  CAFFE_CHECK(fits, this->name() << "has " << anchors << " anchors, so bottom 0, the scores, needs "
                                 << "the shape N x " << 2 * anchors << " x H x W and bottom 1 N x "
                                 << 4 * anchors << " x H x W; they are " << scores.shape_string()
                                 << " and " << deltas.shape_string());
  const int rows = info.num_axes() >= 2 ? info.shape(0) : 1;
  const int values = rows > 0 ? info.count() / rows : 0;
  CAFFE_CHECK((rows == 1 || rows == scores.shape(0)) && (values == 3 || values == 4),
              this->name() << "bottom 2, the images' height, width and scale (or scale of y, scale "
                           << "of x), needs 3 or 4 values for each of the " << scores.shape(0)
                           << " images, or for all; it is " << info.shape_string());
  const int64_t most =
      int64_t(scores.shape(0)) * this->layer_param_.proposal_param().post_nms_topn();
  CAFFE_CHECK(most <= INT_MAX / 5,
              this->name() << "post_nms_topn is too large for a batch of " << scores.shape(0));
  top[0]->Reshape({static_cast<int>(most), 5});
  if (top.size() > 1) top[1]->Reshape(std::vector<int>{static_cast<int>(most)});
}

template <typename Dtype>
typename ProposalLayer<Dtype>::Limits ProposalLayer<Dtype>::limits(const Blob<Dtype>& info,
                                                                   int image) const {
  const int rows = info.num_axes() >= 2 ? info.shape(0) : 1, values = info.count() / rows;
  const Dtype* const of = info.cpu_data() + (rows == 1 ? 0 : image * values);
  bool empty = false;
  for (int k = 0; k < values; ++k) {
    CAFFE_CHECK(std::isfinite(of[k]) && of[k] >= Dtype(0),
                this->name() << "value " << k << " of bottom 2 is " << of[k] << " for image "
                             << image << ": height, width and scale must not be below 0");
    empty = empty || of[k] == Dtype(0);
  }
  // As when a net is timed, and its inputs are all 0.
  if (empty) {
    LOG_FIRST_N(WARNING, 1) << this->name() << "bottom 2 gives image " << image << " a height, "
                            << "width or scale of 0; set all three";
  }
  const Dtype least = this->layer_param_.proposal_param().min_size();
  return {of[0], of[1], least * of[2], least * of[values - 1]};
}

template <typename Dtype>
std::vector<typename ProposalLayer<Dtype>::Candidate> ProposalLayer<Dtype>::candidates(
    const Blobs& bottom, int image) const {
  const Limits limit = limits(*bottom[2], image);
  const int anchors = static_cast<int>(anchors_.size());
  const int height = bottom[0]->shape(2), width = bottom[0]->shape(3);
  const int64_t size = bottom[0]->count(2);
  const Dtype* const scores = bottom[0]->cpu_data() + (2 * int64_t(image) + 1) * anchors * size;
  const Dtype* const deltas = bottom[1]->cpu_data() + 4 * int64_t(image) * anchors * size;
  const Dtype stride = this->layer_param_.proposal_param().feat_stride();
  std::vector<Candidate> all;
  all.reserve(anchors * size);
  for (int h = 0; h < height; ++h) {
    for (int w = 0; w < width; ++w) {
      const int64_t place = int64_t(h) * width + w;
      const Dtype x = stride * Dtype(w), y = stride * Dtype(h);
      for (int a = 0; a < anchors; ++a) {
        const PixelBox<Dtype>& at = anchors_[a];
        PixelBox<Dtype> box = moved<Dtype>({at.x1 + x, at.y1 + y, at.x2 + x, at.y2 + y},
                                           deltas + 4 * a * size + place, size);
        box = {cut(box.x1, limit.width - 1), cut(box.y1, limit.height - 1),
               cut(box.x2, limit.width - 1), cut(box.y2, limit.height - 1)};
        const Dtype score = scores[a * size + place];
        const bool counts = box.width() >= limit.least_width &&
                            box.height() >= limit.least_height && score == score;
        all.push_back({counts ? score : Dtype(0), static_cast<int>(all.size()), box});
      }
    }
  }
  return all;
}

template <typename Dtype>
std::vector<typename ProposalLayer<Dtype>::Candidate> ProposalLayer<Dtype>::proposals(
    const Blobs& bottom, int image) const {
  const ProposalParameter& param = this->layer_param_.proposal_param();
  std::vector<Candidate> best = candidates(bottom, image);
  const size_t most = std::min<size_t>(best.size(), param.pre_nms_topn());
  std::partial_sort(best.begin(), best.begin() + most, best.end(),
                    [](const Candidate& a, const Candidate& b) {
                      return a.score != b.score ? a.score > b.score : a.order < b.order;
                    });
  std::vector<PixelBox<Dtype>> boxes(most);
  std::transform(best.begin(), best.begin() + most, boxes.begin(),
                 [](const Candidate& c) { return c.box; });
  std::vector<Candidate> kept;
  for (const int i : suppress_overlaps(boxes, Dtype(param.nms_thresh()),
                                       static_cast<int>(param.post_nms_topn()))) {
    kept.push_back(best[i]);
  }
  return kept;
}

template <typename Dtype>
void ProposalLayer<Dtype>::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  std::vector<Dtype> regions, scores;
  for (int image = 0; image < bottom[0]->shape(0); ++image) {
    for (const Candidate& c : proposals(bottom, image)) {
      regions.insert(regions.end(), {Dtype(image), c.box.x1, c.box.y1, c.box.x2, c.box.y2});
      scores.push_back(c.score);
    }
  }
  const int count = static_cast<int>(scores.size());
  top[0]->Reshape({count, 5});
  std::copy(regions.begin(), regions.end(), top[0]->mutable_cpu_data());
  if (top.size() < 2) return;
  top[1]->Reshape(std::vector<int>{count});
  std::copy(scores.begin(), scores.end(), top[1]->mutable_cpu_data());
}

template <typename Dtype>
void ProposalLayer<Dtype>::Backward_cpu(const Blobs&, const std::vector<bool>& propagate_down,
                                        const Blobs& bottom) {
  for (size_t b = 0; b < bottom.size(); ++b) {
    if (propagate_down[b]) {
      std::fill_n(bottom[b]->mutable_cpu_diff(), bottom[b]->count(), Dtype(0));
    }
  }
}

INSTANTIATE_CLASS(ProposalLayer);
REGISTER_LAYER_CLASS(Proposal);

}  // namespace caffe
