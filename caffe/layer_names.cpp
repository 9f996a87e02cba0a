#include "caffe/layer_names.hpp"

#include <algorithm>

#include "caffe/util/error.hpp"

namespace caffe {

namespace {

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

/// A part of a layer's name between slashes, as HDF5 keeps it.
std::string kept_part(const std::string& part, bool first) {
  if (part.empty()) return "%";
  if (part == ".") return "%2E";
  return is_number(part) && !first ? "%" + part : part;
}

std::string kept_name(const std::string& name) {
  std::string path;
  size_t begin = 0;
  for (bool last = false; !last;) {
    const size_t slash = name.find('/', begin);
    last = slash == std::string::npos;
    const std::string part = name.substr(begin, last ? slash : slash - begin);
    path += (begin == 0 ? "" : "/") + kept_part(part, begin == 0);
    begin = slash + 1;
  }
  return path;
}

}  // namespace

LayerFinder::LayerFinder(const std::vector<std::string>& layer_names) {
  for (size_t i = 0; i < layer_names.size(); ++i) {
    places_[layer_names[i]].push_back(static_cast<int>(i));
  }
}

int LayerFinder::find(const std::string& name) {
  const auto places = places_.find(name);
  if (places == places_.end()) return -1;
  const size_t order = found_[name]++;
  return places->second[order < places->second.size() ? order : 0];
}

std::vector<std::string> hdf5_paths(const std::vector<std::string>& layer_names) {
  std::vector<std::string> paths;
  std::map<std::string, int> seen;
  std::map<std::string, std::string> owners;
  for (const std::string& name : layer_names) {
    const int order = ++seen[name];
    paths.push_back(kept_name(name) + (order > 1 ? "%" + std::to_string(order) : ""));
    const auto owner = owners.emplace(paths.back(), name);
    CAFFE_CHECK(owner.second, "layers '" << owner.first->second << "' and '" << name
                                         << "' would be one group, '" << paths.back()
                                         << "', in an HDF5 file of weights: rename one of them");
  }
  return paths;
}

}  // namespace caffe
