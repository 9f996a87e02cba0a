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

struct Window;  // caffe/util/image_changes.hpp

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
/// With crop_size, or crop_h and crop_w, the crop is central when testing and random when training.
/// The mean comes from mean_file (an image of the same size as the input images), one mean_value,
/// or one mean_value per channel. An encoded Datum is decoded, to 3 channels with force_color, to 1
/// with force_gray. Before all that, resize_param and noise_param change the image
/// (caffe/util/image_changes.hpp). distort_param, expand_param and emit_constraint are the
/// AnnotatedData layer's. Errors are caffe::Error.
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
  /// The image after resize_param and noise_param, in *memory if they change it. `shown`: the part
  /// of the old image that the new one shows.
  Pixels prepare(const Pixels& pixels, ItemRandom* random, cv::Mat* memory,
                 Window* shown = nullptr) const;
  /// The part of a prepared image to use, and whether to mirror it.
  struct Crop {
    bool mirror;
    int top, left;
  };
  Crop choose_crop(const Pixels& pixels, ItemRandom* random) const;
  /// Of the values of a prepared image: 1 x channels x height x width.
  vector<int> shape_of(const Pixels& pixels) const;
  /// Writes a prepared image; the first axis of `shape` is ignored.
  void transform(const Pixels& pixels, const Crop& crop, const vector<int>& shape,
                 Dtype* transformed) const;
  void transform(const Pixels& pixels, ItemRandom* random, const vector<int>& shape,
                 Dtype* transformed) const {
    transform(pixels, choose_crop(pixels, random), shape, transformed);
  }
  /// Copies the bytes that transform() would use; pixel_transform() makes the same values from
  /// them. The image must have bytes.
  PackedImage pack(const Pixels& pixels, const Crop& crop, const vector<int>& shape,
                   unsigned char* packed) const;
  PackedImage pack(const Pixels& pixels, ItemRandom* random, const vector<int>& shape,
                   unsigned char* packed) const {
    return pack(pixels, choose_crop(pixels, random), shape, packed);
  }
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
  template <typename Draw>
  Crop choose(int height, int width, const Draw& draw) const;
  int out_height(int height) const { return crop_height_ > 0 ? crop_height_ : height; }
  int out_width(int width) const { return crop_width_ > 0 ? crop_width_ : width; }
  bool changes_images() const { return param_.has_resize_param() || param_.has_noise_param(); }
  /// For Transform: as prepare(), random numbers from Rand().
  Pixels prepare_one(const Pixels& pixels, cv::Mat* memory);
  vector<int> prepared_shape(const Pixels& pixels) const;
  void check_crop(int height, int width) const;
  /// Throws unless an image can be transformed into that shape (the first axis is ignored).
  void check(int channels, int height, int width, const vector<int>& shape) const;
  template <typename F>
  void with_recipe(int channels, int height, int width, const Crop& crop,
                   const F& transform_it) const;
  void apply(const Pixels& pixels, const Crop& crop, Dtype* transformed) const;
  void transform_one(const Pixels& image, Blob<Dtype>* blob, int place);

  int crop_height_ = 0, crop_width_ = 0;  // 0: no crop
};

}  // namespace caffe

#endif  // CAFFE_DATA_TRANSFORMER_HPP_
