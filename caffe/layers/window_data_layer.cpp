#include "caffe/layers/window_data_layer.hpp"

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <typeinfo>

#include "caffe/util/file_kind.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

namespace {

constexpr int kChannels = 3;

int rounded(double value) {
  return static_cast<int>(std::floor(value + 0.5));
}

/// A window along one axis with its surroundings, clipped to an image of that length.
struct Span {
  int from, length;   // inside the image
  int to, to_length;  // in the result
};

/// `half` is half the window's length after it was extended to a square; the part within `scale`
/// times that on each side of its middle becomes `crop` pixels. Pixels missing on the side where
/// the result begins (the other side if mirrored) shift it.
Span with_context(int first, int last, double half, double scale, int length, int crop,
                  bool mirror) {
  const double middle = first + (last - first + 1) / 2.;
  const int low = rounded(middle - half * scale), high = rounded(middle + half * scale);
  const int missing_low = std::max(0, -low), missing_high = std::max(0, high - length + 1);
  const double resize = crop / static_cast<double>(high - low + 1);
  Span span;
  span.from = low + missing_low;
  span.length = high - missing_high - span.from + 1;
  span.to = rounded((mirror ? missing_high : missing_low) * resize);
  span.to_length = std::min(rounded(span.length * resize), crop - span.to);
  return span;
}

}  // namespace

template <typename Dtype>
WindowDataLayer<Dtype>::~WindowDataLayer() {
  this->StopInternalThread();
}

template <typename Dtype>
void WindowDataLayer<Dtype>::DataLayerSetUp(const Blobs& bottom, const Blobs& top) {
  (void)bottom;
  const WindowDataParameter& param = this->layer_param_.window_data_param();
  const int crop = this->transform_param_.crop_size();
  const int batch_size = param.batch_size();
  CAFFE_CHECK(batch_size > 0, "window_data_param.batch_size is 0: give 1 or more");
  CAFFE_CHECK(crop > 0, "transform_param has no crop_size, to which windows are resized");
  CAFFE_CHECK(static_cast<int>(2 * param.context_pad()) < crop,
              "context_pad " << param.context_pad() << " on both sides leaves nothing of crop_size "
                             << crop);
  CAFFE_CHECK(param.crop_mode() == "warp" || param.crop_mode() == "square",
              "crop_mode must be warp or square, not '" << param.crop_mode() << "'");
  CAFFE_CHECK(param.fg_fraction() >= 0 && param.fg_fraction() <= 1,
              "fg_fraction " << param.fg_fraction() << " is not in [0, 1]");
  LOG_IF(INFO, Caffe::root_solver())
      << "Window data layer:\n  foreground (object) overlap threshold: " << param.fg_threshold()
      << "\n  background (non-object) overlap threshold: " << param.bg_threshold()
      << "\n  foreground sampling fraction: " << param.fg_fraction()
      << "\n  cache_images: " << param.cache_images() << "\n  root_folder: " << param.root_folder();
  read_source();
  read_mean(crop);
  // Each rank draws windows of its own.
  prefetch_rng_.reset(new Caffe::RNG(caffe_rng_rand() + Caffe::solver_rank()));
  LOG_IF(INFO, Caffe::root_solver()) << "Amount of context padding: " << param.context_pad();
  LOG_IF(INFO, Caffe::root_solver()) << "Crop mode: " << param.crop_mode();
  this->reshape_all({batch_size, kChannels, crop, crop}, top);
  if (typeid(*this) != typeid(WindowDataLayer)) return;
  const Dtype scale = static_cast<Dtype>(param.scale());
  this->pack_bytes(data_mean_.count() > 0 ? PixelTransform<Dtype>(data_mean_, scale)
                                          : PixelTransform<Dtype>(mean_values_, scale));
}

template <typename Dtype>
void WindowDataLayer<Dtype>::read_source() {
  const WindowDataParameter& param = this->layer_param_.window_data_param();
  std::ifstream source(param.source());
  CAFFE_CHECK(source, "the file of windows '" << param.source() << "' (window_data_param.source) "
                                              << "cannot be opened: correct the path");
  const string kind = kind_of_file(param.source());
  CAFFE_CHECK(kind.empty() || kind == "text",
              "the file of windows '" << param.source() << "' (window_data_param.source) is "
                                      << kind << ": it must be text");
  string hash;
  for (int number = 0; source >> hash; ++number) {
    if (number == 0) remove_byte_order_mark(&hash);
    int index = 0;
    CAFFE_CHECK(hash == "#" && source >> index, "image " << number << " of '" << param.source()
                                                         << "' does not begin with # and a "
                                                         << "number, but with '" << hash << "'");
    read_image_windows(source, number);
  }
  const int foreground = static_cast<int>(param.batch_size() * param.fg_fraction());
  CAFFE_CHECK(foreground == 0 || !fg_windows_.empty(),
              "'" << param.source() << "' has no window with an overlap of fg_threshold "
                  << param.fg_threshold() << " or more");
  CAFFE_CHECK(foreground == static_cast<int>(param.batch_size()) || !bg_windows_.empty(),
              "'" << param.source() << "' has no window with an overlap below bg_threshold "
                  << param.bg_threshold());
  LOG_IF(INFO, Caffe::root_solver()) << "Number of images: " << image_database_.size()
                                     << ", foreground windows: " << fg_windows_.size()
                                     << ", background windows: " << bg_windows_.size();
}

template <typename Dtype>
void WindowDataLayer<Dtype>::read_image_windows(std::istream& source, int number) {
  const WindowDataParameter& param = this->layer_param_.window_data_param();
  Image image;
  int channels = 0, windows = 0;
  source >> std::ws;
  std::getline(source, image.file);
  image.file.erase(image.file.find_last_not_of(" \t\r") + 1);
  image.file = param.root_folder() + image.file;
  source >> channels >> image.height >> image.width >> windows;
  CAFFE_CHECK(source && channels > 0 && image.height > 0 && image.width > 0 && windows >= 0,
              "image " << number << " of '" << param.source()
                       << "' lacks its path, channels, height, width or number of windows");
  for (int i = 0; i < windows; ++i) {
    Window window;
    window.image = number;
    source >> window.label >> window.overlap >> window.x1 >> window.y1 >> window.x2 >> window.y2;
    const string where = "window " + std::to_string(i) + " of image " + std::to_string(number) +
                         " of '" + param.source() + "'";
    CAFFE_CHECK(source, where << " is not label, overlap, x1, y1, x2 and y2");
    CAFFE_CHECK(window.x1 >= 0 && window.y1 >= 0 && window.x2 >= window.x1 &&
                    window.y2 >= window.y1 && window.x2 < image.width && window.y2 < image.height,
                where << " is not inside the image of " << image.height << " x " << image.width
                      << " pixels: " << window.x1 << " " << window.y1 << " " << window.x2 << " "
                      << window.y2);
    if (window.overlap >= param.fg_threshold()) {
      CAFFE_CHECK(window.label > 0, where << " is an object with label " << window.label
                                          << ": label 0 is for the background");
      fg_windows_.push_back(window);
    } else if (window.overlap < param.bg_threshold()) {
      window.label = 0;
      bg_windows_.push_back(window);
    }
  }
  if (param.cache_images()) image.bytes = read_whole_file(image.file);
  image_database_.push_back(image);
}

template <typename Dtype>
void WindowDataLayer<Dtype>::read_mean(int crop) {
  const TransformationParameter& param = this->transform_param_;
  mean_values_.assign(param.mean_value().begin(), param.mean_value().end());
  CAFFE_CHECK(mean_values_.size() <= 1 || mean_values_.size() == kChannels,
              "there are " << mean_values_.size() << " mean_value for " << kChannels
                           << " channels: give one, or one per channel");
  mean_values_.resize(kChannels, mean_values_.empty() ? Dtype(0) : mean_values_[0]);
  if (!param.has_mean_file()) return;
  BlobProto proto;
  ReadProtoFromBinaryFileOrDie(param.mean_file(), &proto);
  data_mean_.FromProto(proto);
  CAFFE_CHECK(data_mean_.num_axes() == 4 && data_mean_.channels() == kChannels &&
                  data_mean_.height() >= crop && data_mean_.width() >= crop,
              "mean_file '" << param.mean_file() << "' of shape " << data_mean_.shape_string()
                            << " is smaller than crop_size " << crop << ", or not in color");
}

template <typename Dtype>
unsigned int WindowDataLayer<Dtype>::PrefetchRand() {
  CAFFE_CHECK(prefetch_rng_ != nullptr, "random numbers are requested before the set-up");
  return static_cast<unsigned int>((*static_cast<rng_t*>(prefetch_rng_->generator()))());
}

template <typename Dtype>
vector<typename WindowDataLayer<Dtype>::Sample> WindowDataLayer<Dtype>::draw_samples() {
  const WindowDataParameter& param = this->layer_param_.window_data_param();
  const int batch_size = param.batch_size();
  const int background = batch_size - static_cast<int>(batch_size * param.fg_fraction());
  vector<Sample> samples;
  for (int i = 0; i < batch_size; ++i) {
    const vector<Window>& windows = i < background ? bg_windows_ : fg_windows_;
    const Window& window = windows[PrefetchRand() % windows.size()];
    samples.push_back({&window, this->transform_param_.mirror() && PrefetchRand() % 2 == 1});
  }
  return samples;
}

template <typename Dtype>
typename WindowDataLayer<Dtype>::Place WindowDataLayer<Dtype>::place(const Window& window,
                                                                     bool mirror) const {
  const WindowDataParameter& param = this->layer_param_.window_data_param();
  const int crop = this->transform_param_.crop_size(), pad = param.context_pad();
  const bool square = param.crop_mode() == "square";
  const int width = window.x2 - window.x1 + 1, height = window.y2 - window.y1 + 1;
  if (pad == 0 && !square) return {window.x1, window.y1, width, height, 0, 0, crop, crop};
  const Image& image = image_database_[window.image];
  const double scale = crop / static_cast<double>(crop - 2 * pad);
  const double longer = std::max(width, height);
  const Span x = with_context(window.x1, window.x2, (square ? longer : width) / 2, scale,
                              image.width, crop, mirror);
  const Span y = with_context(window.y1, window.y2, (square ? longer : height) / 2, scale,
                              image.height, crop, false);
  return {x.from, y.from, x.length, y.length, x.to, y.to, x.to_length, y.to_length};
}

/// The window at its size in the result, and mirrored; empty if it is thinner than half a pixel.
template <typename Dtype>
cv::Mat WindowDataLayer<Dtype>::read(const Sample& sample, const Place& at) const {
  const Image& of = image_database_[sample.window->image];
  cv::Mat image;
  string why;
  if (of.bytes.empty()) {
    read_image(of.file, 0, 0, true, &image);
  } else {
    CAFFE_CHECK(decode_image(of.bytes, cv::IMREAD_COLOR, &image, &why), "it " << why);
  }
  CAFFE_CHECK(image.rows == of.height && image.cols == of.width,
              "it has " << image.rows << " x " << image.cols << " pixels; the file of windows says "
                        << of.height << " x " << of.width);
  cv::Mat part;
  if (at.to_width <= 0 || at.to_height <= 0) return part;
  cv::resize(image(cv::Rect(at.x, at.y, at.width, at.height)), part,
             cv::Size(at.to_width, at.to_height));
  if (sample.mirror) cv::flip(part, part, 1);
  return part;
}

template <typename Dtype>
void WindowDataLayer<Dtype>::write(const cv::Mat& part, const Place& at, Dtype* data) const {
  const int crop = this->transform_param_.crop_size();
  std::fill_n(data, static_cast<size_t>(kChannels) * crop * crop, Dtype(0));
  const Dtype scale = static_cast<Dtype>(this->layer_param_.window_data_param().scale());
  const bool has_mean = data_mean_.count() > 0;
  const int mean_top = has_mean ? (data_mean_.height() - crop) / 2 + at.top : 0;
  const int mean_left = has_mean ? (data_mean_.width() - crop) / 2 + at.left : 0;
  for (int c = 0; c < kChannels; ++c) {
    for (int h = 0; h < part.rows; ++h) {
      const unsigned char* const x = part.ptr(h) + c;
      const Dtype* const means =
          has_mean ? data_mean_.cpu_data() + data_mean_.offset(0, c, mean_top + h, mean_left)
                   : nullptr;
      Dtype* const y = data + (static_cast<size_t>(c) * crop + at.top + h) * crop + at.left;
      for (int w = 0; w < part.cols; ++w) {
        y[w] = (x[w * kChannels] - (has_mean ? means[w] : mean_values_[c])) * scale;
      }
    }
  }
}

/// The same as bytes. The part's bytes are where they would be in a picture of the result.
template <typename Dtype>
PackedImage WindowDataLayer<Dtype>::pack(const cv::Mat& part, const Place& at,
                                         unsigned char* bytes) const {
  const int crop = this->transform_param_.crop_size();
  for (int h = 0; h < part.rows; ++h) {
    const size_t to = (static_cast<size_t>(at.top + h) * crop + at.left) * kChannels;
    std::copy_n(part.ptr(h), part.cols * kChannels, bytes + to);
  }
  const bool has_mean = data_mean_.count() > 0;
  const int mean_top = has_mean ? (data_mean_.height() - crop) / 2 : 0;
  const int mean_left = has_mean ? (data_mean_.width() - crop) / 2 : 0;
  return {1, 0, mean_top, mean_left, at.top, at.left, at.top + part.rows, at.left + part.cols};
}

template <typename Dtype>
void WindowDataLayer<Dtype>::load_batch(Batch<Dtype>* batch) {
  const vector<Sample> samples = draw_samples();
  const bool packs = this->packs_bytes();
  if (packs) batch->pack();
  PackedImage* const how = packs ? batch->how() : nullptr;
  unsigned char* const bytes = packs ? batch->pixels() : nullptr;
  Dtype* const data = packs ? nullptr : batch->data_.mutable_cpu_data();
  Dtype* const labels = batch->label_.mutable_cpu_data();
  const size_t values = batch->data_.count(1);
  const auto work = [&](int i) {
    if (this->must_stop()) throw Interrupted();
    const maap::NoFork while_reading;
    const Sample& sample = samples[i];
    labels[i] = static_cast<Dtype>(sample.window->label);
    const Place at = place(*sample.window, sample.mirror);
    const cv::Mat part = read(sample, at);
    if (packs) {
      how[i] = pack(part, at, bytes + i * values);
    } else {
      write(part, at, data + i * values);
    }
  };
  this->share_out(static_cast<int>(samples.size()), work, [&](int i) {
    return "image '" + image_database_[samples[i].window->image].file + "'";
  });
}

INSTANTIATE_CLASS(WindowDataLayer);
REGISTER_LAYER_CLASS(WindowData);

}  // namespace caffe
