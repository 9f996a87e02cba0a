#ifndef MAAP_LAYERS_C_API_HPP_
#define MAAP_LAYERS_C_API_HPP_

// The layers' functions for callers without C++ or Caffe (Python's ctypes). All memory belongs to
// the caller, is on the CPU, and is contiguous. A function returns 0, or 1 with the reason in
// maap_last_error().

extern "C" {

/// Thresholds, regions and upsampled maps, as region.hpp defines them, by the paper's rule.
///   map [n, h, w], regions [n, 4], stats [n, 5], upsampled [n, H, W] or null;
///   threshold_at: 0 for INPUT, 1 for MAP; any other number is an error
int maap_regions_f32(const float* map, int n, int h, int w, int H, int W, int threshold_at,
                     float* regions, float* stats, float* upsampled);

/// maap::RegionRule (region.hpp) with its enums as numbers.
typedef struct {
  int threshold_at;  // 0 INPUT, 1 MAP
  int threshold;     // 0 OTSU, 1 MEAN, 2 FRACTION
  float fraction;
  int component;  // 0 LARGEST, 1 STRONGEST
  int connectivity;
  float padding;
  int border;
} maap_region_rule;

/// The same by another rule; a value that it cannot have is an error.
int maap_regions_by_rule_f32(const float* map, int n, int h, int w, int H, int W,
                             const maap_region_rule* rule, float* regions, float* stats,
                             float* upsampled);

/// F' and A from F, as attention.hpp defines them.
///   f and enhanced [n, c, h, w] (may be the same memory), attention [n, 1, h, w] or null
int maap_enhance_f32(const float* f, int n, int c, int h, int w, float* enhanced, float* attention);

/// The backward pass: `gradient` [n, c, h, w] is that of F', and f is as for maap_enhance_f32;
/// f_gradient may be `gradient` itself.
int maap_enhance_backward_f32(const float* gradient, const float* f, const float* attention, int n,
                              int c, int h, int w, float* f_gradient);

/// Why this thread's last call failed.
const char* maap_last_error();

/// Sets the number of threads of all later calls and layers.
void maap_set_threads(int n);

/// Returns 1 if the layers were built with their GPU methods, otherwise 0.
int maap_has_gpu();
}

#endif  // MAAP_LAYERS_C_API_HPP_
