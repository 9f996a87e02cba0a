#ifndef CAFFE_DATA_TRANSFORMER_HPP_
#define CAFFE_DATA_TRANSFORMER_HPP_

#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/item_random.hpp"
#include "caffe/util/packed_images.hpp"

namespace caffe {

/// An image in memory that the caller owns.
struct Pixels {
  int channels = 0, height = 0, width = 0;
  const unsigned char* bytes = nullptr;  // the values, either here
  const float* floats = nullptr;         // or here
  bool interleaved = false;              // pixel by pixel; otherwise plane by plane, without gaps
  size_t row_bytes = 0;                  // distance between rows, if interleaved
};

/// Turns images into a net's input, according to transform_param:
///
///   y[c][h][w] = (x[c][top + h][left + w] - mean) scale, or mirrored left to right.
///
/// With crop_size, the crop is central when testing and random when training. The mean comes from
/// mean_file (an image of the same size as the input images), one mean_value, or one mean_value per
/// channel. An encoded Datum is decoded, to 3 channels with force_color, to 1 with force_gray.
/// Errors are caffe::Error.
template <typename Dtype>
class DataTransformer {
 public:
  /// Reads mean_file.
  explicit DataTransformer(const TransformationParameter& param, Phase phase);
  virtual ~DataTransformer() = default;

  /// Seeds the generator from the thread's generator; must be called once before Transform if
  /// anything is random.
  void InitRand();

  // `transformed_blob` has the shape that InferBlobShape gives, except that its first axis may be
  // longer than the number of images.
  void Transform(const Datum& datum, Blob<Dtype>* transformed_blob);
  void Transform(const vector<Datum>& datum_vector, Blob<Dtype>* transformed_blob);
  void Transform(const vector<cv::Mat>& mat_vector, Blob<Dtype>* transformed_blob);
  void Transform(const cv::Mat& cv_img, Blob<Dtype>* transformed_blob);
  /// Transforms every image of a blob in the same way. Gives an empty blob its shape.
  void Transform(Blob<Dtype>* input_blob, Blob<Dtype>* transformed_blob);

  /// The shape of Transform's result: images x channels x height x width.
  vector<int> InferBlobShape(const Datum& datum);
  vector<int> InferBlobShape(const vector<Datum>& datum_vector);
  vector<int> InferBlobShape(const vector<cv::Mat>& mat_vector);
  vector<int> InferBlobShape(const cv::Mat& cv_img);

  // Safe to call from several threads: random numbers come from the item's own generator.
  /// The image of a Datum; if the Datum is encoded, *decoded holds the image.
  Pixels pixels_of(const Datum& datum, cv::Mat* decoded) const;
  static Pixels pixels_of(const cv::Mat& cv_img);
  vector<int> shape_of(const Pixels& pixels) const;
  /// Writes one image of that shape.
  void transform(const Pixels& pixels, ItemRandom* random, const vector<int>& shape,
                 Dtype* transformed) const;
  /// Copies the bytes that transform() would use, with the same random choices; pixel_transform()
  /// makes the same values from them. The image must have bytes.
  PackedImage pack(const Pixels& pixels, ItemRandom* random, const vector<int>& shape,
                   unsigned char* packed) const;
  PixelTransform<Dtype> pixel_transform() const;

 protected:
  /// A random number in [0, n).
  virtual int Rand(int n);
  void Transform(const Datum& datum, Dtype* transformed_data);

  TransformationParameter param_;
  shared_ptr<Caffe::RNG> rng_;
  Phase phase_;
  Blob<Dtype> data_mean_;
  vector<Dtype> mean_values_;

 private:
  /// The part of an image to use, and whether to mirror it.
  struct Choice {
    bool mirror;
    int top, left;
  };

  template <typename Draw>
  Choice choose(int height, int width, const Draw& draw) const;
  int out_length(int length) const { return param_.crop_size() > 0 ? param_.crop_size() : length; }
  void check_crop(int height, int width) const;
  /// Throws unless an image can be transformed into that shape (the first axis is ignored).
  void check(int channels, int height, int width, const vector<int>& shape) const;
  template <typename F>
  void with_recipe(int channels, int height, int width, const Choice& choice,
                   const F& transform_it) const;
  void apply(const Pixels& pixels, const Choice& choice, Dtype* transformed) const;
  void transform_one(const Pixels& pixels, Blob<Dtype>* blob, int place);
};

}  // namespace caffe

#endif  // CAFFE_DATA_TRANSFORMER_HPP_
