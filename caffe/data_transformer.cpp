#include "caffe/data_transformer.hpp"

#include <cstring>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "caffe/util/image_changes.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

namespace {

/// Where the used part of an image begins, and the distances to the next row and plane.
template <typename T>
struct Part {
  const T* start;
  size_t row, plane;
};

/// y[i] = (x[i] - mean[i]) scale for i in [0, n). `means` null: one mean for all. The loops contain
/// no conditions, so the compiler vectorises them.
template <typename T, typename Dtype>
void transform_row(const T* __restrict x, int n, const Dtype* __restrict means, Dtype mean,
                   Dtype scale, Dtype* __restrict y) {
  if (means != nullptr) {
    for (int i = 0; i < n; ++i) y[i] = (static_cast<Dtype>(x[i]) - means[i]) * scale;
  } else {
    for (int i = 0; i < n; ++i) y[i] = (static_cast<Dtype>(x[i]) - mean) * scale;
  }
}

/// A separate pass: inside the loops above it keeps the compiler from vectorising them, and they
/// take 5 times as long.
template <typename Dtype>
void reverse_row(const Dtype* __restrict x, int n, Dtype* __restrict y) {
  for (int i = 0; i < n; ++i) y[i] = x[n - 1 - i];
}

/// How one image becomes values of shape channels x height x width.
template <typename Dtype>
struct Recipe {
  int channels, height, width;    // of the values
  int image_height, image_width;  // of the image
  int top, left;                  // where the part begins in the image
  bool mirror;
  Dtype scale;
  const Dtype* mean_image;   // of the image's size; null: none
  const Dtype* mean_values;  // one per channel
};

template <typename T, typename Dtype>
void transform_part(const Part<T>& in, const Recipe<Dtype>& recipe, Dtype* y) {
  vector<Dtype> forwards(recipe.mirror ? recipe.width : 0);
  for (int c = 0; c < recipe.channels; ++c) {
    for (int h = 0; h < recipe.height; ++h, y += recipe.width) {
      const size_t row = static_cast<size_t>(c) * recipe.image_height + recipe.top + h;
      const Dtype* const means = recipe.mean_image == nullptr
                                     ? nullptr
                                     : recipe.mean_image + row * recipe.image_width + recipe.left;
      transform_row(in.start + c * in.plane + h * in.row, recipe.width, means,
                    recipe.mean_values[c], recipe.scale, recipe.mirror ? forwards.data() : y);
      if (recipe.mirror) reverse_row(forwards.data(), recipe.width, y);
    }
  }
}

/// The part of an image stored plane by plane.
template <typename T, typename Dtype>
Part<T> part_of(const T* values, const Recipe<Dtype>& recipe) {
  const size_t row = recipe.image_width, plane = row * recipe.image_height;
  return {values + recipe.top * row + recipe.left, row, plane};
}

/// The same for an interleaved image, which is split into planes in memory that each thread keeps.
template <typename Dtype>
Part<unsigned char> split_part(const Pixels& pixels, const Recipe<Dtype>& recipe) {
  const int channels = recipe.channels, height = recipe.height, width = recipe.width;
  unsigned char* const start = const_cast<unsigned char*>(pixels.bytes) +
                               recipe.top * pixels.row_bytes +
                               static_cast<size_t>(recipe.left) * channels;
  if (channels == 1) return {start, pixels.row_bytes, 0};
  static thread_local cv::Mat memory;
  memory.create(channels * height, width, CV_8UC1);
  vector<cv::Mat> planes;
  for (int c = 0; c < channels; ++c) {
    planes.push_back(memory.rowRange(c * height, (c + 1) * height));
  }
  cv::split(cv::Mat(height, width, CV_8UC(channels), start, pixels.row_bytes), planes);
  return {memory.data, static_cast<size_t>(width), static_cast<size_t>(height) * width};
}

/// Copies a part of an image's bytes, in the order in which they are stored.
void copy_part(const Pixels& pixels, int top, int left, int height, int width,
               unsigned char* packed) {
  const int planes = pixels.interleaved ? 1 : pixels.channels;
  const size_t pixel = pixels.interleaved ? pixels.channels : 1;
  const size_t row = pixels.interleaved ? pixels.row_bytes : pixels.width;
  for (int plane = 0; plane < planes; ++plane) {
    const unsigned char* from = pixels.bytes + (plane * pixels.height + top) * row + left * pixel;
    for (int h = 0; h < height; ++h, from += row, packed += width * pixel) {
      std::memcpy(packed, from, width * pixel);
    }
  }
}

string image_text(int channels, int height, int width) {
  return "an image of shape " + shape_text(vector<int>{channels, height, width});
}

}  // namespace

template <typename Dtype>
DataTransformer<Dtype>::DataTransformer(const TransformationParameter& param, Phase phase)
    : param_(param), phase_(phase) {
  CAFFE_CHECK(!param_.has_mean_file() || param_.mean_value_size() == 0,
              "transform_param has mean_file and mean_value: remove one of them");
  CAFFE_CHECK(!param_.force_color() || !param_.force_gray(),
              "transform_param has force_color and force_gray: remove one of them");
  const bool rectangle = param_.crop_h() > 0 || param_.crop_w() > 0;
  CAFFE_CHECK(!rectangle || param_.crop_size() == 0,
              "transform_param has crop_size and crop_h or crop_w: remove one of them");
  CAFFE_CHECK(!rectangle || (param_.crop_h() > 0 && param_.crop_w() > 0),
              "transform_param has one of crop_h and crop_w: give both");
  crop_height_ = rectangle ? param_.crop_h() : param_.crop_size();
  crop_width_ = rectangle ? param_.crop_w() : param_.crop_size();
  CAFFE_CHECK(crop_height_ >= 0 && crop_width_ >= 0,
              "transform_param's crop is longer than any image can be");
  if (param_.has_resize_param()) check_resize(param_.resize_param());
  if (param_.has_noise_param()) check_noise(param_.noise_param());
  if (param_.has_mean_file()) {
    LOG_IF(INFO, Caffe::root_solver()) << "Loading mean file from: " << param_.mean_file();
    BlobProto proto;
    ReadProtoFromBinaryFileOrDie(param_.mean_file(), &proto);
    data_mean_.FromProto(proto);
    vector<int> shape = data_mean_.shape();
    if (shape.size() == 3) shape.insert(shape.begin(), 1);
    CAFFE_CHECK(shape.size() == 4 && shape[0] == 1 && data_mean_.count() > 0,
                "mean_file '" << param_.mean_file()
                              << "' does not contain an image, but values of shape "
                              << data_mean_.shape_string());
    data_mean_.Reshape(shape);
  }
  mean_values_.assign(param_.mean_value().begin(), param_.mean_value().end());
}

template <typename Dtype>
void DataTransformer<Dtype>::InitRand() {
  const bool random = param_.mirror() || (phase_ == TRAIN && crop_height_ > 0) || changes_images();
  rng_.reset(random ? new Caffe::RNG(caffe_rng_rand() + Caffe::solver_rank()) : nullptr);
}

template <typename Dtype>
int DataTransformer<Dtype>::Rand(int n) {
  CAFFE_CHECK(rng_ != nullptr, "InitRand() must be called before images are transformed at random");
  return static_cast<int>(random_below(n, static_cast<rng_t*>(rng_->generator())));
}

// ---- shapes

template <typename Dtype>
Pixels DataTransformer<Dtype>::pixels_of(const cv::Mat& cv_img) {
  CAFFE_CHECK(!cv_img.empty(), "an image is empty");
  CAFFE_CHECK(cv_img.depth() == CV_8U,
              "an image does not have 8 bits per channel: convert it, or set force_color");
  Pixels pixels;
  pixels.channels = cv_img.channels();
  pixels.height = cv_img.rows;
  pixels.width = cv_img.cols;
  pixels.bytes = cv_img.data;
  pixels.interleaved = true;
  pixels.row_bytes = cv_img.step[0];
  return pixels;
}

template <typename Dtype>
Pixels DataTransformer<Dtype>::pixels_of(const Datum& datum, cv::Mat* decoded) const {
  const bool forced = param_.force_color() || param_.force_gray();
  if (datum.encoded()) {
    const int flags = !forced                ? cv::IMREAD_UNCHANGED
                      : param_.force_color() ? cv::IMREAD_COLOR
                                             : cv::IMREAD_GRAYSCALE;
    string why;
    CAFFE_CHECK(decode_image(datum.data(), flags, decoded, &why), "an encoded image " << why);
    return pixels_of(*decoded);
  }
  if (forced) {
    const maap::NoFork while_logging;
    LOG_FIRST_N(WARNING, 1) << "force_color and force_gray change encoded images only";
  }
  Pixels pixels;
  pixels.channels = datum.channels();
  pixels.height = datum.height();
  pixels.width = datum.width();
  const bool bytes = !datum.data().empty();
  const double values = bytes ? datum.data().size() : datum.float_data_size();
  CAFFE_CHECK(
      pixels.channels > 0 && pixels.height > 0 && pixels.width > 0 &&
          double(pixels.channels) * pixels.height * pixels.width == values,
      "a Datum of shape " << shape_text(vector<int>{pixels.channels, pixels.height, pixels.width})
                          << " holds " << values << (bytes ? " bytes" : " numbers"));
  if (bytes) {
    pixels.bytes = reinterpret_cast<const unsigned char*>(datum.data().data());
  } else {
    pixels.floats = datum.float_data().data();
  }
  return pixels;
}

template <typename Dtype>
Pixels DataTransformer<Dtype>::prepare(const Pixels& pixels, ItemRandom* random, cv::Mat* memory,
                                       Window* shown) const {
  if (!changes_images()) return pixels;
  *memory = image_of(pixels);
  if (param_.has_resize_param()) {
    Window whole;
    *memory = resized(*memory, param_.resize_param(), random, shown != nullptr ? shown : &whole);
  }
  if (param_.has_noise_param()) add_noise(param_.noise_param(), random, memory);
  return pixels_of(*memory);
}

template <typename Dtype>
Pixels DataTransformer<Dtype>::prepare_one(const Pixels& pixels, cv::Mat* memory) {
  if (!changes_images()) return pixels;
  ItemRandom random(Rand(1 << 30), 0);
  return prepare(pixels, &random, memory);
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::prepared_shape(const Pixels& pixels) const {
  ItemRandom random(0, 0);
  cv::Mat memory;
  return shape_of(prepare(pixels, &random, &memory));
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::shape_of(const Pixels& pixels) const {
  check_crop(pixels.height, pixels.width);
  return {1, pixels.channels, out_height(pixels.height), out_width(pixels.width)};
}

template <typename Dtype>
void DataTransformer<Dtype>::check_crop(int height, int width) const {
  if (crop_height_ <= height && crop_width_ <= width) return;
  ostringstream crop;
  if (param_.crop_size() > 0) {
    crop << "crop_size " << crop_height_;
  } else {
    crop << "a crop of crop_h x crop_w = " << crop_height_ << " x " << crop_width_;
  }
  CAFFE_FAIL(crop.str() << " is larger than an image of " << height << " x " << width
                        << " pixels: resize the images or crop less");
}

template <typename Dtype>
void DataTransformer<Dtype>::check(int channels, int height, int width,
                                   const vector<int>& shape) const {
  check_crop(height, width);
  CAFFE_CHECK(
      shape.size() == 4 && shape[1] == channels && shape[2] == out_height(height) &&
          shape[3] == out_width(width),
      image_text(channels, height, width)
          << " does not fit into a batch of shape " << shape_text(shape)
          << ": the images of a batch need the same size, or crop_size or resize_param, and the "
          << "same number of channels (set force_color or force_gray)");
  CAFFE_CHECK(
      data_mean_.count() == 0 || (data_mean_.channels() == channels &&
                                  data_mean_.height() == height && data_mean_.width() == width),
      image_text(channels, height, width)
          << " differs from mean_file '" << param_.mean_file() << "' of shape "
          << data_mean_.shape_string() << ": compute the mean of these images, or use mean_value");
  CAFFE_CHECK(mean_values_.size() <= 1 || static_cast<int>(mean_values_.size()) == channels,
              "there are " << mean_values_.size() << " mean_value for " << channels
                           << " channels: give one, or one per channel");
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::InferBlobShape(const Datum& datum) {
  cv::Mat decoded;
  return prepared_shape(pixels_of(datum, &decoded));
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::InferBlobShape(const cv::Mat& cv_img) {
  return prepared_shape(pixels_of(cv_img));
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::InferBlobShape(const vector<Datum>& datum_vector) {
  CAFFE_CHECK(!datum_vector.empty(), "there is no Datum to transform");
  vector<int> shape = InferBlobShape(datum_vector[0]);
  shape[0] = static_cast<int>(datum_vector.size());
  return shape;
}

template <typename Dtype>
vector<int> DataTransformer<Dtype>::InferBlobShape(const vector<cv::Mat>& mat_vector) {
  CAFFE_CHECK(!mat_vector.empty(), "there is no image to transform");
  vector<int> shape = InferBlobShape(mat_vector[0]);
  shape[0] = static_cast<int>(mat_vector.size());
  return shape;
}

// ---- the transformation

template <typename Dtype>
template <typename Draw>
typename DataTransformer<Dtype>::Crop DataTransformer<Dtype>::choose(int height, int width,
                                                                     const Draw& draw) const {
  Crop crop{param_.mirror() && draw(2) != 0, 0, 0};
  if (crop_height_ == 0) return crop;
  const int free_rows = height - crop_height_, free_columns = width - crop_width_;
  crop.top = phase_ == TRAIN ? draw(free_rows + 1) : free_rows / 2;
  crop.left = phase_ == TRAIN ? draw(free_columns + 1) : free_columns / 2;
  return crop;
}

template <typename Dtype>
typename DataTransformer<Dtype>::Crop DataTransformer<Dtype>::choose_crop(
    const Pixels& pixels, ItemRandom* random) const {
  check_crop(pixels.height, pixels.width);
  return choose(pixels.height, pixels.width, [random](int n) { return random->below(n); });
}

/// Calls `transform_it(recipe)`.
template <typename Dtype>
template <typename F>
void DataTransformer<Dtype>::with_recipe(int channels, int height, int width, const Crop& crop,
                                         const F& transform_it) const {
  const Dtype mean = mean_values_.empty() ? Dtype(0) : mean_values_[0];
  const vector<Dtype> means =
      mean_values_.size() > 1 ? mean_values_ : vector<Dtype>(channels, mean);
  Recipe<Dtype> recipe;
  recipe.channels = channels;
  recipe.height = out_height(height);
  recipe.width = out_width(width);
  recipe.image_height = height;
  recipe.image_width = width;
  recipe.top = crop.top;
  recipe.left = crop.left;
  recipe.mirror = crop.mirror;
  recipe.scale = static_cast<Dtype>(param_.scale());
  recipe.mean_image = data_mean_.count() > 0 ? data_mean_.cpu_data() : nullptr;
  recipe.mean_values = means.data();
  transform_it(recipe);
}

template <typename Dtype>
void DataTransformer<Dtype>::apply(const Pixels& pixels, const Crop& crop,
                                   Dtype* transformed) const {
  with_recipe(pixels.channels, pixels.height, pixels.width, crop, [&](const Recipe<Dtype>& recipe) {
    if (pixels.interleaved) {
      transform_part(split_part(pixels, recipe), recipe, transformed);
    } else if (pixels.bytes != nullptr) {
      transform_part(part_of(pixels.bytes, recipe), recipe, transformed);
    } else {
      transform_part(part_of(pixels.floats, recipe), recipe, transformed);
    }
  });
}

template <typename Dtype>
void DataTransformer<Dtype>::transform(const Pixels& pixels, const Crop& crop,
                                       const vector<int>& shape, Dtype* transformed) const {
  check(pixels.channels, pixels.height, pixels.width, shape);
  apply(pixels, crop, transformed);
}

template <typename Dtype>
PackedImage DataTransformer<Dtype>::pack(const Pixels& pixels, const Crop& crop,
                                         const vector<int>& shape, unsigned char* packed) const {
  CAFFE_CHECK(pixels.bytes != nullptr, "an image of floats cannot be packed as bytes");
  check(pixels.channels, pixels.height, pixels.width, shape);
  copy_part(pixels, crop.top, crop.left, shape[2], shape[3], packed);
  return {pixels.interleaved, crop.mirror, crop.top, crop.left, 0, 0, shape[2], shape[3]};
}

template <typename Dtype>
PixelTransform<Dtype> DataTransformer<Dtype>::pixel_transform() const {
  const Dtype scale = static_cast<Dtype>(param_.scale());
  return data_mean_.count() > 0 ? PixelTransform<Dtype>(data_mean_, scale)
                                : PixelTransform<Dtype>(mean_values_, scale);
}

template <typename Dtype>
void DataTransformer<Dtype>::transform_one(const Pixels& image, Blob<Dtype>* blob, int place) {
  CAFFE_CHECK(place < blob->num(), "there are more images than the batch's " << blob->num());
  cv::Mat memory;
  const Pixels pixels = prepare_one(image, &memory);
  check(pixels.channels, pixels.height, pixels.width, blob->shape());
  const Crop crop = choose(pixels.height, pixels.width, [this](int n) { return Rand(n); });
  apply(pixels, crop, blob->mutable_cpu_data() + blob->offset(place));
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(const Datum& datum, Blob<Dtype>* transformed_blob) {
  cv::Mat decoded;
  transform_one(pixels_of(datum, &decoded), transformed_blob, 0);
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(const cv::Mat& cv_img, Blob<Dtype>* transformed_blob) {
  transform_one(pixels_of(cv_img), transformed_blob, 0);
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(const vector<Datum>& datum_vector,
                                       Blob<Dtype>* transformed_blob) {
  CAFFE_CHECK(!datum_vector.empty(), "there is no Datum to transform");
  cv::Mat decoded;
  for (size_t i = 0; i < datum_vector.size(); ++i) {
    transform_one(pixels_of(datum_vector[i], &decoded), transformed_blob, static_cast<int>(i));
  }
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(const vector<cv::Mat>& mat_vector,
                                       Blob<Dtype>* transformed_blob) {
  CAFFE_CHECK(!mat_vector.empty(), "there is no image to transform");
  for (size_t i = 0; i < mat_vector.size(); ++i) {
    transform_one(pixels_of(mat_vector[i]), transformed_blob, static_cast<int>(i));
  }
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(const Datum& datum, Dtype* transformed_data) {
  cv::Mat decoded, memory;
  const Pixels pixels = prepare_one(pixels_of(datum, &decoded), &memory);
  check(pixels.channels, pixels.height, pixels.width, shape_of(pixels));
  apply(pixels, choose(pixels.height, pixels.width, [this](int n) { return Rand(n); }),
        transformed_data);
}

template <typename Dtype>
void DataTransformer<Dtype>::Transform(Blob<Dtype>* input_blob, Blob<Dtype>* transformed_blob) {
  const int num = input_blob->num(), channels = input_blob->channels();
  const int height = input_blob->height(), width = input_blob->width();
  check_crop(height, width);
  if (transformed_blob->count() == 0) {
    transformed_blob->Reshape(num, channels, out_height(height), out_width(width));
  }
  CAFFE_CHECK(num <= transformed_blob->num(),
              "there are more images, " << num << ", than the batch's " << transformed_blob->num());
  check(channels, height, width, transformed_blob->shape());
  const Crop crop = choose(height, width, [this](int n) { return Rand(n); });
  with_recipe(channels, height, width, crop, [&](const Recipe<Dtype>& recipe) {
    for (int n = 0; n < num; ++n) {
      transform_part(part_of(input_blob->cpu_data() + input_blob->offset(n), recipe), recipe,
                     transformed_blob->mutable_cpu_data() + transformed_blob->offset(n));
    }
  });
}

INSTANTIATE_CLASS(DataTransformer);

}  // namespace caffe
