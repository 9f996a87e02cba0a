#ifndef CAFFE_DATA_TRANSFORMER_HPP
#define CAFFE_DATA_TRANSFORMER_HPP

#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/item_random.hpp"

namespace caffe {

/// An image in somebody else's memory.
struct Pixels {
  int channels = 0, height = 0, width = 0;
  const unsigned char* bytes = nullptr;  // its values are these
  const float* floats = nullptr;         // or these
  bool interleaved = false;              // pixel by pixel; else plane by plane, without gaps
  size_t row_bytes = 0;                  // from row to row, where interleaved
};

/// Makes what a net takes from images, by transform_param:
///
///   y[c][h][w] = (x[c][top + h][left + w] - mean) scale, or mirrored left to right.
///
/// With crop_size the part is in the middle, while training anywhere; the mean is that of mean_file
/// (an image as large as those it is subtracted from), one mean_value, or one a channel. An encoded
/// Datum is decoded, to 3 channels with force_color, to 1 with force_gray. Errors are caffe::Error.
template <typename Dtype>
class DataTransformer {
 public:
  /// Reads mean_file.
  explicit DataTransformer(const TransformationParameter& param, Phase phase);
  virtual ~DataTransformer() = default;

  /// Seeds the generator from the thread's; needed once before Transform where something is random.
  void InitRand();

  // `transformed_blob` has the shape of InferBlobShape but for its first axis, which may be longer
  // than there are images.
  void Transform(const Datum& datum, Blob<Dtype>* transformed_blob);
  void Transform(const vector<Datum>& datum_vector, Blob<Dtype>* transformed_blob);
  void Transform(const vector<cv::Mat>& mat_vector, Blob<Dtype>* transformed_blob);
  void Transform(const cv::Mat& cv_img, Blob<Dtype>* transformed_blob);
  /// Every image of a blob, all in the same way. Gives an empty blob its shape.
  void Transform(Blob<Dtype>* input_blob, Blob<Dtype>* transformed_blob);

  /// Images x channels x height x width of what Transform makes.
  vector<int> InferBlobShape(const Datum& datum);
  vector<int> InferBlobShape(const vector<Datum>& datum_vector);
  vector<int> InferBlobShape(const vector<cv::Mat>& mat_vector);
  vector<int> InferBlobShape(const cv::Mat& cv_img);

  // For several threads at once: what is random comes from the item's own generator.
  /// The image of a Datum; *decoded holds it where the Datum is encoded.
  Pixels pixels_of(const Datum& datum, cv::Mat* decoded) const;
  static Pixels pixels_of(const cv::Mat& cv_img);
  vector<int> shape_of(const Pixels& pixels) const;
  /// Writes one image of that shape.
  void transform(const Pixels& pixels, ItemRandom* random, const vector<int>& shape,
                 Dtype* transformed) const;

 protected:
  /// A number in [0, n).
  virtual int Rand(int n);
  void Transform(const Datum& datum, Dtype* transformed_data);

  TransformationParameter param_;
  shared_ptr<Caffe::RNG> rng_;
  Phase phase_;
  Blob<Dtype> data_mean_;
  vector<Dtype> mean_values_;

 private:
  /// What part of an image, and whether mirrored.
  struct Choice {
    bool mirror;
    int top, left;
  };

  template <typename Draw>
  Choice choose(int height, int width, const Draw& draw) const;
  int out_length(int length) const { return param_.crop_size() > 0 ? param_.crop_size() : length; }
  void check_crop(int height, int width) const;
  /// Throws unless an image can be made into one of that shape (whose first axis does not count).
  void check(int channels, int height, int width, const vector<int>& shape) const;
  template <typename F>
  void with_recipe(int channels, int height, int width, const Choice& choice,
                   const F& transform_it) const;
  void apply(const Pixels& pixels, const Choice& choice, Dtype* transformed) const;
  void transform_one(const Pixels& pixels, Blob<Dtype>* blob, int place);
};

}  // namespace caffe

#endif  // CAFFE_DATA_TRANSFORMER_HPP
