#include "caffe/layers/cudnn/plans.hpp"

#include <cstdlib>
#include <sstream>
#include <string>

#include "caffe/common.hpp"
#include "caffe/util/gpu_context.hpp"
#include "caffe/util/gpu_workspace.hpp"

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
  return entry_of(convolution)->plan.get();
}

Plans::Entry* Plans::entry_of(const Convolution& convolution) {
  auto found = plans_.find(convolution);
  if (found == plans_.end()) {
    if (plans_.size() >= kMost) forget_oldest();
    std::string reason;
    const std::shared_ptr<Plan> made = build(convolution, most_workspace(), &reason);
    if (made == nullptr) {
      LOG(WARNING) << "cuDNN has no plan for the " << convolution.describe() << " (" << reason
                   << "); Caffe's own kernels compute it, which may be much slower";
    }
    found = plans_.emplace(convolution, Entry{made}).first;
  }
  Entry& entry = found->second;
  entry.used = ++uses_;
  entry.is_recorded = entry.is_recorded || GpuContext::current().is_recording();
  return &entry;
}

void Plans::forget_oldest() {
  auto oldest = plans_.end();
  for (auto i = plans_.begin(); i != plans_.end(); ++i) {
    if (i->second.is_recorded) continue;
    if (oldest == plans_.end() || i->second.used < oldest->second.used) oldest = i;
  }
  if (oldest != plans_.end()) plans_.erase(oldest);
}

Plans::Ready Plans::prepare(const Convolution& convolution, size_t behind) {
  Entry* const entry = entry_of(convolution);
  Ready ready;
  while (entry->plan != nullptr) {
    const size_t needed = entry->plan->workspace_bytes();
    ready = {entry->plan.get(), nullptr, device::aligned(needed)};
    if (ready.bytes + behind == 0) return ready;
    try {
      ready.workspace = static_cast<char*>(device::workspace(ready.bytes + behind));
      return ready;
    } catch (const OutOfMemory&) {
      std::string reason;
      const std::shared_ptr<Plan> smaller =
          needed == 0 ? nullptr : build(convolution, needed / 2, &reason);
      if (smaller == nullptr) throw;
      LOG(WARNING) << "cuDNN, " << convolution.describe() << ": there are no " << needed
                   << " bytes of workspace; a kernel that needs " << smaller->workspace_bytes()
                   << " computes it, which may be slower";
      entry->plan = smaller;
    }
  }
  return ready;
}

bool Plans::run(const Convolution& convolution, const Operands& operands) {
  const Ready ready = prepare(convolution);
  if (ready.plan == nullptr) return false;
  ready.plan->run(operands, ready.workspace, ready.bytes);
  return true;
}

}  // namespace cudnn
}  // namespace caffe
