#ifndef CAFFE_LAYER_NAMES_HPP_
#define CAFFE_LAYER_NAMES_HPP_

// Weights find their layers by name. A net should give each layer a name of its own; where it does
// not, layers of one name are told apart by their order.

#include <map>
#include <string>
#include <vector>

namespace caffe {

/// Finds a net's layers for the layers of a file or of another net, in the order they are there:
/// the second one of a name is the net's second one of that name, or its first if it has only one.
class LayerFinder {
 public:
  explicit LayerFinder(const std::vector<std::string>& layer_names);
  /// The next layer's place in the net; -1 if the net has no layer of that name.
  int find(const std::string& name);

 private:
  std::map<std::string, std::vector<int>> places_;
  std::map<std::string, size_t> found_;
};

/// The paths of the layers' groups in an HDF5 file of weights: their names, except that HDF5
/// changes or cannot hold some. A part of a name between slashes that is empty or "." becomes "%"
/// or "%2E", a number behind the first slash "%N" (numbers are the blobs of the layer before the
/// slash), and the second layer of a name, NAME, becomes "NAME%2". Throws an Error that names both
/// layers if two paths are the same.
std::vector<std::string> hdf5_paths(const std::vector<std::string>& layer_names);

}  // namespace caffe

#endif  // CAFFE_LAYER_NAMES_HPP_
