#ifndef TESTS_CPP_ENGINE_LAYERS_SEQUENCE_CTC_REFERENCE_HPP_
#define TESTS_CPP_ENGINE_LAYERS_SEQUENCE_CTC_REFERENCE_HPP_

// CTC from its definition: a sum over all alignments, one by one.

#include <cmath>
#include <vector>

namespace caffe {

struct CtcReference {
  int steps, classes, blank;
  bool merge;
  double probability = 0;        // of the labels
  std::vector<double> gradient;  // steps x classes, of -log(probability)

  /// What an alignment says.
  std::vector<int> read(const std::vector<int>& alignment) const {
    std::vector<int> labels;
    for (size_t t = 0; t < alignment.size(); ++t) {
      const bool repeat = merge && t > 0 && alignment[t] == alignment[t - 1];
      if (alignment[t] != blank && !repeat) labels.push_back(alignment[t]);
    }
    return labels;
  }

  /// `scores` is steps x classes, before the softmax.
  void compute(const std::vector<double>& scores, const std::vector<int>& labels) {
    std::vector<double> p(scores.size());
    for (int t = 0; t < steps; ++t) {
      double sum = 0;
      for (int c = 0; c < classes; ++c) sum += std::exp(scores[t * classes + c]);
      for (int c = 0; c < classes; ++c) {
        p[t * classes + c] = std::exp(scores[t * classes + c]) / sum;
      }
    }
    std::vector<double> share(scores.size(), 0);
    std::vector<int> alignment(steps, 0);
    int t = 0;
    do {
      if (read(alignment) == labels) {
        double product = 1;
        for (t = 0; t < steps; ++t) product *= p[t * classes + alignment[t]];
        probability += product;
        for (t = 0; t < steps; ++t) share[t * classes + alignment[t]] += product;
      }
      for (t = steps - 1; t >= 0 && ++alignment[t] == classes; --t) alignment[t] = 0;
    } while (t >= 0);
    gradient.assign(scores.size(), 0);
    if (probability == 0) return;
    for (size_t i = 0; i < p.size(); ++i) gradient[i] = p[i] - share[i] / probability;
  }
};

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_LAYERS_SEQUENCE_CTC_REFERENCE_HPP_
