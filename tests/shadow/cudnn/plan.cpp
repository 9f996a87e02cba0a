// A stand-in for cuDNN on the shadow device: the same interface, computed by products of matrices
// over strided tensors, which checks what it is given. It throws a Fault where cuDNN would compute
// nonsense.

#include "caffe/layers/cudnn/plan.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <utility>

#include "kernels/stream.hpp"
#include "tests/shadow/control.hpp"
#include "tests/shadow/cudnn/products.hpp"
#include "tests/shadow/cudnn/record.hpp"
#include "tests/shadow/library_call.hpp"

namespace shadow_cudnn {

namespace {

struct Record {
  std::mutex mutex;
  std::vector<Convolution> runs;
  size_t workspace = kWorkspace;
  bool watches = false;
  std::function<bool(const Convolution&)> refused;
};

Record& record() {
  static Record only;
  return only;
}

}  // namespace

std::vector<Convolution> runs() {
  const std::lock_guard<std::mutex> lock(record().mutex);
  return record().runs;
}

void clear() {
  const std::lock_guard<std::mutex> lock(record().mutex);
  record().runs.clear();
  record().workspace = kWorkspace;
  record().watches = false;
  record().refused = nullptr;
}

void need_workspace(size_t bytes) {
  const std::lock_guard<std::mutex> lock(record().mutex);
  record().workspace = bytes;
}

void watch_workspaces() {
  const std::lock_guard<std::mutex> lock(record().mutex);
  record().watches = true;
}

void refuse(std::function<bool(const Convolution&)> refused) {
  const std::lock_guard<std::mutex> lock(record().mutex);
  record().refused = std::move(refused);
}

}  // namespace shadow_cudnn

namespace caffe {
namespace cudnn {

namespace {

using shadow_cudnn::record;

constexpr uintptr_t kAlignment = 16;

[[noreturn]] void fail(const Convolution& c, const std::string& fault) {
  throw shadow::Fault("cuDNN, " + c.describe() + ": " + fault);
}

/// Memory that an operand covers.
struct Range {
  const char* what;
  const char* first;
  size_t bytes;

  bool overlaps(const Range& other) const {
    return first < other.first + other.bytes && other.first < first + bytes;
  }
};

class ProductPlan : public Plan {
 public:
  ProductPlan(const Convolution& convolution, size_t workspace)
      : convolution_(convolution), workspace_(workspace) {}
  size_t workspace_bytes() const override { return workspace_; }

  void run(const Operands& operands, void* workspace, size_t bytes) const override {
    if (bytes < workspace_) {
      fail(convolution_, "a workspace of " + std::to_string(bytes) + " bytes instead of " +
                             std::to_string(workspace_));
    }
    const std::vector<const void*> pointers = check(operands, workspace);
    bool watches;
    {
      const std::lock_guard<std::mutex> lock(record().mutex);
      record().runs.push_back(convolution_);
      watches = record().watches;
    }
    static std::atomic<unsigned> count{0};
    const int pattern = static_cast<int>(++count % 256);
    const Convolution c = convolution_;
    const size_t size = workspace_;
    add(pointers, [c, operands, workspace, size, pattern] {
      if (size > 0) std::memset(workspace, pattern, size);
      shadow_cudnn::compute(c, operands);
    });
    if (!watches || size == 0) return;
    add({workspace}, [c, workspace, size, pattern] {
      const auto* const memory = static_cast<const unsigned char*>(workspace);
      const auto is_own = [pattern](unsigned char value) { return value == pattern; };
      if (!std::all_of(memory, memory + size, is_own)) {
        fail(c, "something else used the workspace at the same time");
      }
    });
  }

 private:
  void add(const std::vector<const void*>& pointers, std::function<void()> run) const {
    if (!shadow::add_library_call("cuDNN", maap::current_stream(), pointers, std::move(run))) {
      fail(convolution_, "the stream is not one of the current GPU's");
    }
  }

  /// All pointers, after the checks.
  std::vector<const void*> check(const Operands& operands, const void* workspace) const {
    const Convolution& c = convolution_;
    std::vector<Range> ranges;
    const auto range = [&ranges](const char* what, const void* memory, size_t bytes) {
      ranges.push_back(Range{what, static_cast<const char*>(memory), bytes});
    };
    range("the result", operands.result, c.bytes_of(c.result()));
    if (workspace_ > 0) range("the workspace", workspace, workspace_);
    const size_t written = ranges.size();
    if (c.pass != Pass::kData) range("x", operands.x, c.bytes_of(c.x));
    if (c.pass != Pass::kWeights) range("w", operands.w, c.bytes_of(c.w));
    if (c.pass != Pass::kForward) range("y", operands.y, c.bytes_of(c.y));
    if (c.bias) range("the bias", operands.bias, c.bytes_of(Tensor::plain({c.y.lengths[1]})));
    std::vector<const void*> pointers;
    for (size_t i = 0; i < ranges.size(); ++i) {
      const Range& own = ranges[i];
      if (own.first == nullptr) fail(c, std::string(own.what) + " is missing");
      if (reinterpret_cast<uintptr_t>(own.first) % kAlignment != 0) {
        fail(c, std::string(own.what) + " is not at a multiple of 16 bytes");
      }
      shadow::check_memory(("cuDNN, " + c.describe() + ": " + own.what).c_str(), own.first,
                           own.bytes);
      for (size_t j = 0; j < std::min(i, written); ++j) {
        if (own.overlaps(ranges[j])) {
          fail(c, std::string(ranges[j].what) + " overlaps " + own.what);
        }
      }
      pointers.push_back(own.first);
    }
    return pointers;
  }

  Convolution convolution_;
  size_t workspace_;
};

/// Whether each value of a tensor has a place of its own.
bool is_sound(const Tensor& tensor) {
  if (tensor.strides.size() != tensor.lengths.size()) return false;
  std::vector<std::pair<int64_t, int64_t>> axes;  // stride, length
  for (size_t i = 0; i < tensor.lengths.size(); ++i) {
    if (tensor.lengths[i] < 1 || tensor.strides[i] < 1) return false;
    if (tensor.lengths[i] > 1) axes.emplace_back(tensor.strides[i], tensor.lengths[i]);
  }
  std::sort(axes.begin(), axes.end());
  int64_t end = 1;  // of the values of the axes before
  for (const auto& axis : axes) {
    if (axis.first < end) return false;
    end = axis.first * (axis.second - 1) + end;
  }
  return true;
}

/// What is wrong with a description; empty: nothing.
std::string fault_of(const Convolution& c) {
  const size_t axes = c.stride.size();
  if (axes < 2 || axes > 3 || c.pad.size() != axes || c.dilation.size() != axes) {
    return "not 2 or 3 spatial axes";
  }
  for (const Tensor* const tensor : {&c.x, &c.w, &c.y}) {
    if (tensor->lengths.size() != axes + 2) return "a tensor with another number of axes";
    if (!is_sound(*tensor)) return "strides that put two values at one place";
  }
  const int64_t inputs = c.w.lengths[1], channels = c.x.lengths[1];
  if (c.x.lengths[0] != c.y.lengths[0] || c.w.lengths[0] != c.y.lengths[1] ||
      channels % inputs != 0 || c.w.lengths[0] % (channels / inputs) != 0) {
    return "images, channels or groups that do not fit";
  }
  for (size_t a = 0; a < axes; ++a) {
    const int64_t room =
        c.x.lengths[2 + a] + 2 * c.pad[a] - (c.dilation[a] * (c.w.lengths[2 + a] - 1) + 1);
    if (room < 0 || room / c.stride[a] + 1 != c.y.lengths[2 + a]) return "a wrong length of y";
  }
  if (c.bias && c.pass != Pass::kForward) return "a bias of a gradient";
  if (c.tf32 && c.type != ValueType::kFloat) return "TF32 without floats";
  if (c.relu && !c.bias) return "a ReLU without a bias";  // for which cuDNN has no kernel either
  return "";
}

}  // namespace

std::shared_ptr<Plan> build(const Convolution& convolution, size_t most_workspace,
                            std::string* reason) {
  const std::string fault = fault_of(convolution);
  if (!fault.empty()) fail(convolution, fault);
  const std::lock_guard<std::mutex> lock(record().mutex);
  if (record().refused && record().refused(convolution)) {
    *reason = "a test refuses it";
    return nullptr;
  }
  if (record().workspace > most_workspace) {
    *reason = "it needs " + std::to_string(record().workspace) + " bytes of workspace";
    return nullptr;
  }
  return std::make_shared<ProductPlan>(convolution, record().workspace);
}

}  // namespace cudnn
}  // namespace caffe
