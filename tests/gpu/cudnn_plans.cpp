// Asks cuDNN, without a GPU, whether it takes the graphs of the networks' convolutions:
//
//   build/cuda/tests/cpp/cudnn_plans NET.prototxt ...    (deploy nets; tools/nvcc_check runs it)
//
// cudnn-frontend validates each graph: every pass and type, row by row and channels last,
// with the bias and the ReLU in the same kernel and without. Then cuDNN names plans for an H200,
// which it knows from a description of that GPU, for the graphs that the layers use: row by row,
// float without TF32 and double; with the channels last, TF32 and 16 bits. A net's line says how
// many graphs there were and what the largest workspace is. Exit status: 0 if all graphs are valid
// and have a plan, 1 if not.

#include <algorithm>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "caffe/layers/conv_axes.hpp"
#include "caffe/layers/cudnn/frontend/graph.hpp"
#include "caffe/net.hpp"
#include "caffe/util/upgrade_proto.hpp"

namespace {

namespace fe = cudnn_frontend;
using caffe::ValueType;
using caffe::cudnn::Convolution;
using caffe::cudnn::Pass;
using caffe::cudnn::Tensor;

constexpr int kBatch = 64;
constexpr int kCapability = 90;                       // Hopper
constexpr int64_t kMostWorkspace = int64_t(1) << 30;  // the default of the layers

/// What cuDNN asks of a GPU, in the form that its attribute JSON_REPRESENTATION takes.
const char kH200[] = R"({"deviceName": "NVIDIA H200", "cudaDeviceId": 0, "deviceVer": 900,
  "driverVer": 13000, "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64],
  "regsPerBlock": 65536, "multiProcessorCount": 132, "smClockRateKHz": 1980000,
  "memClockRateKHz": 3201000, "l2CacheSize": 62914560, "warpSize": 32,
  "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448,
  "reservedSharedMemoryPerBlock": 1024, "maxRegistersPerSM": 65536, "pciDeviceId": 0,
  "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "isTccDriver": 0,
  "supportCoopLaunch": 1, "totalGlobalMem": 150000000000})";

std::shared_ptr<const fe::DeviceProperties> h200() {
  auto gpu = std::make_shared<fe::DeviceProperties>();
  const std::string text = kH200;
  auto status = gpu->deserialize(std::vector<uint8_t>(text.begin(), text.end()));
  if (status.is_bad()) {
    std::printf("cuDNN does not take the GPU's description: %s\n", status.get_message().c_str());
    return nullptr;
  }
  return gpu;
}

std::vector<int64_t> lengths(const std::vector<int>& shape) {
  return std::vector<int64_t>(shape.begin(), shape.end());
}

/// The convolutions of a net with kBatch images, each once, without a pass.
std::set<Convolution> convolutions(const std::string& file) {
  caffe::NetParameter param;
  caffe::ReadNetParamsFromTextFileOrDie(file, &param);
  param.mutable_state()->set_phase(caffe::TEST);
  for (caffe::LayerParameter& layer : *param.mutable_layer()) {
    for (caffe::BlobShape& shape : *layer.mutable_input_param()->mutable_shape()) {
      shape.set_dim(0, kBatch);
    }
    // Only convolutions count: the others need not take memory for weights.
    if (layer.type() == "InnerProduct") layer.mutable_inner_product_param()->set_num_output(1);
  }
  const caffe::Net<float> net(param);
  std::set<Convolution> found;
  for (size_t i = 0; i < net.layers().size(); ++i) {
    caffe::Layer<float>& layer = *net.layers()[i];
    if (std::string(layer.type()) != "Convolution") continue;
    const caffe::ConvAxes axes =
        caffe::read_conv_axes(layer.name(), layer.layer_param().convolution_param(), 2);
    Convolution c;
    c.x = Tensor::plain(lengths(net.bottom_vecs()[i][0]->shape()));
    c.w = Tensor::plain(lengths(layer.blobs()[0]->shape()));
    c.y = Tensor::plain(lengths(net.top_vecs()[i][0]->shape()));
    c.pad = lengths(axes.pad);
    c.stride = lengths(axes.stride);
    c.dilation = lengths(axes.dilation);
    found.insert(c);
  }
  return found;
}

/// The passes of a convolution, and those with more in one kernel.
std::vector<Convolution> passes(const Convolution& convolution) {
  std::vector<Convolution> all(5, convolution);
  all[1].bias = all[2].bias = all[2].relu = true;
  all[3].pass = Pass::kData;
  all[4].pass = Pass::kWeights;
  return all;
}

/// Whether cudnn-frontend takes every form of the convolution; prints the first that it does not.
bool validates(const Convolution& convolution, int* graphs) {
  for (const ValueType type :
       {ValueType::kFloat, ValueType::kDouble, ValueType::kFloat16, ValueType::kBfloat16}) {
    for (const bool last : {false, true}) {
      for (Convolution c : passes(convolution)) {
        c.type = type;
        for (Tensor* const tensor : {&c.x, &c.w, &c.y}) {
          if (last) *tensor = Tensor::channels_last(tensor->lengths);
        }
        auto status = describe(c)->validate();
        if (status.is_bad()) {
          std::printf("%s: %s\n", c.describe().c_str(), status.get_message().c_str());
          return false;
        }
        ++*graphs;
      }
    }
  }
  return true;
}

/// What cuDNN plans for a convolution: the kernel's name; the reason if there is none.
struct Found {
  std::string name, reason;
  int64_t workspace = 0;
};

/// Its plan as the layers want it, on that GPU; `on_tensor_cores`: of the tensor cores' alone.
Found find_plan(const Convolution& c, const std::shared_ptr<const fe::DeviceProperties>& gpu,
                bool on_tensor_cores = false) {
  Found found;
  const auto graph = describe(c);
  graph->set_device_properties(gpu);
  graph->set_sm_version(10 * kCapability);
  const auto succeeds = [&found](fe::error_t status) {
    if (status.is_bad()) found.reason = status.get_message();
    return status.is_good();
  };
  if (!succeeds(graph->validate()) || !succeeds(graph->build_operation_graph()) ||
      !succeeds(caffe::cudnn::list_kernels(graph.get()))) {
    return found;
  }
  if (on_tensor_cores) graph->select_numeric_notes({fe::NumericalNote_t::TENSOR_CORE});
  if (succeeds(caffe::cudnn::select_kernels(graph.get(), caffe::cudnn::unwanted(c, kCapability)[0],
                                            kMostWorkspace)) &&
      succeeds(graph->build_plans(fe::BuildPlanPolicy_t::HEURISTICS_CHOICE)) &&
      succeeds(graph->get_plan_name(found.name))) {
    found.workspace = graph->get_workspace_size();
  }
  return found;
}

/// The convolution whose data gradient the layers use for one with a 1x1 kernel and a stride.
Convolution dense(Convolution c) {
  const int64_t channels = c.x.lengths[1];
  c.x = c.y;
  c.x.lengths[1] = channels;
  c.x = Tensor::plain(c.x.lengths);
  c.stride.assign(c.stride.size(), 1);
  c.pass = Pass::kData;
  return c;
}

bool check_net(const std::string& file, const std::shared_ptr<const fe::DeviceProperties>& gpu) {
  int graphs = 0, plans = 0;
  int64_t workspace = 0;
  bool good = true;
  const std::set<Convolution> found = convolutions(file);
  for (const Convolution& convolution : found) {
    good = validates(convolution, &graphs) && good;
    std::vector<Convolution> wanted = passes(convolution);
    if (convolution.w.lengths[2] == 1 && convolution.stride[0] > 1) {
      wanted.push_back(dense(convolution));
    }
    const std::vector<Convolution> in_float = wanted;
    for (Convolution c : in_float) {
      c.type = ValueType::kDouble;
      wanted.push_back(c);
    }
    for (const ValueType type : {ValueType::kFloat, ValueType::kFloat16, ValueType::kBfloat16}) {
      for (Convolution c : passes(convolution)) {  // of math modes, with the channels last
        for (Tensor* const tensor : {&c.x, &c.w, &c.y}) {
          *tensor = Tensor::channels_last(tensor->lengths);
        }
        c.type = type;
        c.tf32 = type == ValueType::kFloat;
        if (!c.bias) wanted.push_back(c);
      }
    }
    for (const Convolution& c : wanted) {
      const Found plan = find_plan(c, gpu);
      workspace = std::max(workspace, plan.workspace);
      if (!plan.name.empty()) {
        ++plans;
      } else {
        std::printf("%s: %s\n", c.describe().c_str(), plan.reason.c_str());
        good = false;
      }
    }
  }
  std::printf("%s: %zu convolutions, %d valid graphs, %d plans, at most %.0f MiB of workspace\n",
              file.c_str(), found.size(), graphs, plans, workspace / 1048576.0);
  return good && !found.empty();
}

/// Whether cuDNN refuses a convolution whose output has a wrong length, so that agreement says
/// something.
bool refuses_wrong_lengths(const std::shared_ptr<const fe::DeviceProperties>& gpu) {
  Convolution c;
  c.x = Tensor::plain({2, 3, 8, 8});
  c.w = Tensor::plain({4, 3, 3, 3});
  c.y = Tensor::plain({2, 4, 7, 6});  // should be 6 x 6
  c.pad = {0, 0};
  c.stride = c.dilation = {1, 1};
  const bool refused = find_plan(c, gpu).name.empty();
  if (!refused) std::printf("cuDNN takes a convolution whose output has a wrong length\n");
  return refused;
}

/// Whether the tensor cores compute what cuDNN's fast heuristics name no kernel for: the filters of
/// 7x7 that VGG's first inner product is in a net without inner products (FCN), in 16 bits.
bool large_filters_use_tensor_cores(const std::shared_ptr<const fe::DeviceProperties>& gpu) {
  bool good = true;
  for (const ValueType type : {ValueType::kFloat16, ValueType::kBfloat16}) {
    for (const Pass pass : {Pass::kForward, Pass::kData, Pass::kWeights}) {
      Convolution c;
      c.pass = pass;
      c.type = type;
      c.x = Tensor::channels_last({8, 512, 16, 16});
      c.w = Tensor::channels_last({4096, 512, 7, 7});
      c.y = Tensor::channels_last({8, 4096, 10, 10});
      c.pad = {0, 0};
      c.stride = c.dilation = {1, 1};
      const std::string name = find_plan(c, gpu).name;
      if (!name.empty() && name == find_plan(c, gpu, true).name) continue;
      std::printf("%s: %s, not on the tensor cores\n", c.describe().c_str(), name.c_str());
      good = false;
    }
  }
  return good;
}

}  // namespace

int main(int count, char** arguments) {
  FLAGS_minloglevel = 2;
  const auto gpu = h200();
  if (gpu == nullptr) return 1;
  bool good = refuses_wrong_lengths(gpu);
  good = large_filters_use_tensor_cores(gpu) && good;
  for (int i = 1; i < count; ++i) good = check_net(arguments[i], gpu) && good;
  return good && count > 1 ? 0 : 1;
}
