#ifndef MAAP_LAYERS_LAYER_SUPPORT_HPP_
#define MAAP_LAYERS_LAYER_SUPPORT_HPP_

// What both layers need to connect Caffe's blobs to functions on raw pointers.

#include <functional>
#include <string>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/syncedmem.hpp"
#include "kernels/device.hpp"
#include "kernels/error.hpp"

namespace maap {

template <typename T>
const T* data(const caffe::Blob<T>& blob, Device device) {
  return device == Device::kCPU ? blob.cpu_data() : blob.gpu_data();
}

template <typename T>
T* mutable_data(caffe::Blob<T>* blob, Device device) {
  return device == Device::kCPU ? blob->mutable_cpu_data() : blob->mutable_gpu_data();
}

template <typename T>
const T* diff(const caffe::Blob<T>& blob, Device device) {
  return device == Device::kCPU ? blob.cpu_diff() : blob.gpu_diff();
}

template <typename T>
T* mutable_diff(caffe::Blob<T>* blob, Device device) {
  return device == Device::kCPU ? blob->mutable_cpu_diff() : blob->mutable_gpu_diff();
}

inline void* mutable_data(caffe::SyncedMemory* memory, Device device) {
  return device == Device::kCPU ? memory->mutable_cpu_data() : memory->mutable_gpu_data();
}

/// Calls check(values on the CPU) for the n flags, of which those that are not 0 are errors and
/// prevent the update of the weights. On a GPU the engine calls it late, together with the loss,
/// and other Caffes now.
void check_flags(caffe::SyncedMemory* flags, int n, Device device,
                 const std::function<void(const int*)>& check);

/// "layer 'att1' (Enhancement): ", the beginning of every message.
inline std::string name_of(const caffe::LayerParameter& param) {
  return "layer '" + param.name() + "' (" + param.type() + "): ";
}

/// Throws unless the bottom is N x C x H x W, each at least 1.
template <typename T>
void require_image_blob(const caffe::LayerParameter& param, const caffe::Blob<T>& blob, int bottom,
                        const std::string& meaning) {
  if (blob.num_axes() == 4 && blob.count() > 0) return;
  const std::string blob_name = bottom < param.bottom_size() ? param.bottom(bottom) : "";
  throw Error(name_of(param) + "bottom[" + std::to_string(bottom) + "] '" + blob_name +
              "' must be " + meaning + " of shape N x C x H x W and not empty; its shape is " +
              blob.shape_string());
}

}  // namespace maap

#endif  // MAAP_LAYERS_LAYER_SUPPORT_HPP_
