#ifndef CAFFE_NET_ERROR_HPP_
#define CAFFE_NET_ERROR_HPP_

#include <string>
#include <typeinfo>

#include "caffe/layer.hpp"

namespace caffe {

/// Returns call(). If it throws an Error or OutOfMemory that does not name the layer, puts the
/// layer's name before the message. Exceptions of other types pass through.
template <typename Dtype, typename Call>
auto in_layer(const Layer<Dtype>& layer, const Call& call) -> decltype(call()) {
  try {
    return call();
  } catch (const Error& error) {
    const string message = error.what();
    const string name = layer.name();
    if (message.compare(0, name.size(), name) == 0) throw;
    if (typeid(error) == typeid(OutOfMemory)) throw OutOfMemory(name + message);
    if (typeid(error) != typeid(Error)) throw;
    throw Error(name + message);
  }
}

/// Returns call(). If it throws an Error that does not name the file, puts the file's name before
/// the message.
template <typename Call>
auto in_file(const string& filename, const Call& call) -> decltype(call()) {
  try {
    return call();
  } catch (const Error& error) {
    const string message = error.what();
    if (typeid(error) != typeid(Error) || message.compare(0, filename.size(), filename) == 0) {
      throw;
    }
    throw Error(filename + ": " + message);
  }
}

}  // namespace caffe

#endif  // CAFFE_NET_ERROR_HPP_
