#include "caffe/layer_factory.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <iterator>

#include "caffe/layer.hpp"
#include "caffe/util/dialects.hpp"

namespace caffe {

namespace {

template <typename Dtype>
struct CreatorTable {
  typename LayerRegistry<Dtype>::CreatorRegistry creators;
  set<string> twice;  // types that were registered a second time, by a different function
};

/// Created at the first use, since libraries register in any order, and never destroyed.
template <typename Dtype>
CreatorTable<Dtype>& creator_table() {
  static CreatorTable<Dtype>* const all = new CreatorTable<Dtype>();
  return *all;
}

/// Only pycaffe registers this type, since the layer's code runs in Python.
constexpr const char* kPythonHint =
    "; layers in Python need pycaffe: run this net from Python, or give `caffe` a Python with it "
    "(the python3 on PATH, or CAFFE_PYTHON=/path/to/python3)";

string report_twice(const string& type) {
  return "layer type '" + type + "' is registered twice, by two libraries or two files: rename one";
}

string unknown_type(const string& type, const vector<string>& known) {
  const vector<string> dialects = dialects_of_type(type);
  if (!dialects.empty()) {
    return "unknown layer type '" + type + "': it is a layer of " + dialects_text(dialects) +
           ", not built yet; a library with it can be loaded (-layers, caffe.load_layers)";
  }
  const string nearest = nearest_name(type, known);
  return "unknown layer type '" + type + "'" +
         (nearest.empty() ? "" : "; did you mean '" + nearest + "'?") +
         (type == "Python" ? kPythonHint : "") + " (known types: " + join(known) + ")";
}

}  // namespace

template <typename Dtype>
typename LayerRegistry<Dtype>::CreatorRegistry& LayerRegistry<Dtype>::Registry() {
  return creator_table<Dtype>().creators;
}

template <typename Dtype>
void LayerRegistry<Dtype>::AddCreator(const string& type, Creator creator) {
  const auto added = creator_table<Dtype>().creators.insert(std::make_pair(type, creator));
  if (!added.second && added.first->second != creator) creator_table<Dtype>().twice.insert(type);
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> LayerRegistry<Dtype>::CreateLayer(const LayerParameter& param) {
  if (Caffe::root_solver()) LOG(INFO) << "Creating layer " << param.name();
  const CreatorTable<Dtype>& all = creator_table<Dtype>();
  const auto found = all.creators.find(param.type());
  if (found == all.creators.end()) {
    CAFFE_FAIL("layer '" << param.name() << "': " << unknown_type(param.type(), LayerTypeList()));
  }
  CAFFE_CHECK(all.twice.count(param.type()) == 0, report_twice(param.type()));
  return found->second(param);
}

template <typename Dtype>
vector<string> LayerRegistry<Dtype>::LayerTypeList() {
  vector<string> types;
  for (const auto& entry : creator_table<Dtype>().creators) types.push_back(entry.first);
  return types;
}

template <typename Dtype>
string LayerRegistry<Dtype>::LayerTypeListString() {
  return join(LayerTypeList());
}

template class LayerRegistry<float>;
template class LayerRegistry<double>;

vector<string> load_layers(const string& path) {
  const vector<string> before = LayerRegistry<float>::LayerTypeList();
  const set<string> known_twice = creator_table<float>().twice;
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    const char* reason = dlerror();
    CAFFE_FAIL("cannot load the layers in " << path << ": " << (reason ? reason : "unknown error"));
  }
  const vector<string> after = LayerRegistry<float>::LayerTypeList();
  vector<string> added;
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::back_inserter(added));
  for (const string& type : creator_table<float>().twice) {
    CAFFE_CHECK(known_twice.count(type) > 0, path << ": " << report_twice(type));
  }
  CAFFE_CHECK(!added.empty(), path << " adds no layer type: was it loaded before, or does it not "
                                      "use REGISTER_LAYER_CLASS of this Caffe?");
  return added;
}

}  // namespace caffe
