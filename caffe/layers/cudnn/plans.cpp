#include "caffe/layers/cudnn/plans.hpp"

#include <cstdlib>
#include <sstream>
#include <string>

#include "caffe/common.hpp"
#include "caffe/util/gpu_context.hpp"

namespace caffe {
namespace cudnn {

namespace {

const char* name_of(Feature feature) {
  switch (feature) {
    case Feature::kConvolution:
      return "Convolution";
    case Feature::kDeconvolution:
      return "Deconvolution";
    case Feature::kFusion:
      return "Fusion";
  }
  return "";
}

constexpr Feature kFeatures[] = {Feature::kConvolution, Feature::kDeconvolution, Feature::kFusion};

bool is_known(const std::string& name) {
  if (name == "all" || name == "none") return true;
  for (const Feature feature : kFeatures) {
    if (name == name_of(feature)) return true;
  }
  return false;
}

}  // namespace

bool computes(Feature feature) {
  const char* const asked = std::getenv("CAFFE_CUDNN_LAYERS");
  if (asked == nullptr) return feature != Feature::kFusion;
  std::istringstream list(asked);
  bool found = false;
  for (std::string name; std::getline(list, name, ',');) {
    CAFFE_CHECK(is_known(name), "CAFFE_CUDNN_LAYERS: '" << name << "' is none of Convolution, "
                                                        << "Deconvolution, Fusion, all, none");
    found = found || name == name_of(feature) || name == "all";
  }
  return found;
}

size_t most_workspace() {
  const char* const asked = std::getenv("CAFFE_CUDNN_WORKSPACE_MB");
  if (asked == nullptr) return size_t(1024) << 20;
  char* end = nullptr;
  const long megabytes = std::strtol(asked, &end, 10);
  CAFFE_CHECK(end != asked && *end == '\0' && megabytes >= 0,
              "CAFFE_CUDNN_WORKSPACE_MB is '" << asked << "', not a number of megabytes");
  return static_cast<size_t>(megabytes) << 20;
}

Plans& Plans::current() {
  std::shared_ptr<void>& mine = GpuContext::current().cudnn();
  if (mine == nullptr) mine = std::make_shared<Plans>();
  return *static_cast<Plans*>(mine.get());
}

const Plan* Plans::find(const Convolution& convolution) {
  const auto found = plans_.find(convolution);
  if (found != plans_.end()) return found->second.get();
  std::string reason;
  const std::shared_ptr<Plan> made = build(convolution, most_workspace(), &reason);
  if (made == nullptr) {
    LOG(INFO) << "cuDNN has no plan for the " << convolution.describe() << " (" << reason
              << "); Caffe's own kernels compute it";
  }
  return (plans_[convolution] = made).get();
}

void* Plans::workspace(size_t bytes) {
  return bytes == 0 ? nullptr : GpuContext::current().workspace(bytes);
}

void Plans::run(const Plan& plan, const Operands& operands) {
  const size_t bytes = plan.workspace_bytes();
  plan.run(operands, workspace(bytes), bytes);
}

}  // namespace cudnn
}  // namespace caffe
