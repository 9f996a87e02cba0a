#ifndef CAFFE_UTIL_IMAGE_CHANGES_HPP_
#define CAFFE_UTIL_IMAGE_CHANGES_HPP_

// What SSD's transform_param does to an image of 8 bits per channel before it becomes values:
// resize_param and noise_param in each data layer, distort_param and expand_param in AnnotatedData.
// Random numbers come from the image's own generator, so that threads and their order do not
// matter. Images have any number of channels; what needs colours (hue, saturation, ...) leaves an
// image that does not have 3 channels (blue, green, red) unchanged. Errors are caffe::Error and
// name the field.

#include <opencv2/core/mat.hpp>
#include <vector>

#include "caffe/proto/caffe.pb.h"
#include "caffe/util/item_random.hpp"

namespace caffe {

struct Pixels;

/// The part of an image that another image shows, as shares of the first one's width and height:
/// pixel columns x W of the first, xmin <= x < xmax, fill the second. It may reach out of the image
/// (a border around it).
struct Window {
  double xmin = 0, ymin = 0, xmax = 1, ymax = 1;
};

/// Uniform in [low, high).
double uniform(ItemRandom* random, double low, double high);
/// True with that probability.
bool happens(ItemRandom* random, double probability);

/// A copy with the pixels interleaved. Throws for an image of floats.
cv::Mat image_of(const Pixels& pixels);

/// Throw if the fields ask for what is not there, or not possible.
void check_resize(const ResizeParameter& param);
void check_noise(const NoiseParameter& param);
void check_distortion(const DistortionParameter& param);
void check_expansion(const ExpansionParameter& param);

/// With probability prob, an image of another size; one of interp_mode is drawn (none: LINEAR).
///   WARP                     height x width
///   FIT_LARGE_SIZE_AND_PAD   as large as fits into height x width with the same proportions, sizes
///                            rounded down; the rest is filled on both sides, as pad_mode says
///   FIT_SMALL_SIZE           as small as covers height x width with the same proportions
cv::Mat resized(const cv::Mat& image, const ResizeParameter& param, ItemRandom* random,
                Window* shown);

/// The part of an image of rows x columns pixels that the resized one shows.
Window resize_window(const ResizeParameter& param, int rows, int columns);

/// With probability prob, all of the changes that are set, in the order of the fields:
///   decolorize      gray in all channels            hist_eq    luma's histogram equalised
///   inverse         255 - x                         gauss_blur 7 x 7, sigma 1.5
///   jpeg            coded at that quality           posterize  the upper two bits of each value
///   erode           3 x 3 cross                     clahe      luma; limit 4, 8 x 8 tiles
///   saltpepper      `fraction` of the pixels get `value` (one for all channels or one for each;
///                   none: 0 or 255)
///   convert_to_hsv, convert_to_lab                  OpenCV's 8-bit HSV and L*a*b*
void add_noise(const NoiseParameter& param, ItemRandom* random, cv::Mat* image);

/// Brightness x + U(-delta, delta), contrast x U(lower, upper), saturation S U(lower, upper) and
/// hue H + U(-delta, delta) in OpenCV's 8-bit HSV (H in half degrees, turning at 180), a random
/// order of the channels; each with its own probability. Contrast is changed second or, in half of
/// the cases, behind the hue.
void distort(const DistortionParameter& param, ItemRandom* random, cv::Mat* image);

/// With probability prob, the image at a random place of a canvas of U(1, max_expand_ratio) times
/// its width and height. `means`: the canvas's colour; none: 0; one; or one per channel.
cv::Mat expanded(const cv::Mat& image, const ExpansionParameter& param,
                 const std::vector<float>& means, ItemRandom* random, Window* shown);

}  // namespace caffe

#endif  // CAFFE_UTIL_IMAGE_CHANGES_HPP_
