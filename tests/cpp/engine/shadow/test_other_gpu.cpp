// A thread that goes on with another GPU, in the middle of what it does.

#include "caffe/layers/memory_data_layer.hpp"
#include "caffe/util/upload.hpp"
#include "tests/cpp/engine/datums.hpp"
#include "tests/cpp/engine/fixtures.hpp"
#include "tests/cpp/engine/images.hpp"
#include "tests/cpp/engine/temp_dir.hpp"
#include "tests/cpp/shadow/training_on_gpu.hpp"
#include "tests/shadow/control.hpp"

namespace caffe {
namespace {

/// Two GPUs, of which the thread uses the first.
class OtherGpu : public GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    shadow::set_devices(2);
    Caffe::SetDevice(0);
  }
  void TearDown() override {
    Caffe::SetDevice(0);
    shadow::set_devices(1);
    GpuTest::TearDown();
  }
};

/// Iterations on those GPUs.
std::vector<float> train_on(const std::vector<int>& gpus, const SolverParameter& param) {
  Caffe::SetDevice(gpus[0]);
  const auto solver = make_solver<float>(param);
  const QuietLog quiet;
  for (size_t i = 0; i < gpus.size(); ++i) {
    Caffe::SetDevice(gpus[i]);
    fill_images(solver->net().get(), static_cast<int>(i));
    solver->Step(1);
  }
  return weights(solver.get());
}

TEST_F(OtherGpu, ASolverTrainsOn) {
  const std::string one_param = std::string(kTrainingData) +
                                "layer { name: 'ip' type: 'InnerProduct' bottom: 'data' "
                                "top: 'scores' inner_product_param { num_output: 3 "
                                "bias_term: false weight_filler { type: 'xavier' } } } " +
                                softmax_loss();
  for (const std::string& net : {lenet(), one_param}) {
    for (const char* type : kSolverTypes) {
      SCOPED_TRACE(type);
      for (const char* more : {"", " iter_size: 2", " clip_gradients: 0.5"}) {
        const SolverParameter param = solver_param(net, type + std::string(more));
        const auto expected = train_on({0, 0, 0, 0, 0, 0, 0, 0}, param);
        EXPECT_EQ(train_on({0, 0, 1, 1, 0, 0, 1, 0}, param), expected);
      }
    }
  }
}

/// Nothing has used the gradients when it changes.
TEST_F(OtherGpu, AFailedIterationLeavesNothingBehind) {
  const SolverParameter param = solver_param(lenet(), "momentum: 0.9");
  const auto expected = train_on({0, 0}, param);
  const auto solver = make_solver<float>(param);
  const QuietLog quiet;
  solver->net()->blob_by_name("label")->mutable_cpu_data()[0] = 99;
  EXPECT_ERROR(solver->Step(1), "label");
  Caffe::SetDevice(1);
  for (int i = 0; i < 2; ++i) {
    fill_images(solver->net().get(), i);
    solver->Step(1);
  }
  EXPECT_EQ(weights(solver.get()), expected);
}

/// What a data layer's tops are in 24 forward passes; on which GPUs, if there are any.
std::vector<std::vector<float>> read_on(const std::vector<int>& gpus, const std::string& text) {
  Caffe::set_mode(gpus.empty() ? Caffe::CPU : Caffe::GPU);
  if (!gpus.empty()) Caffe::SetDevice(gpus[0]);
  Caffe::set_random_seed(1701);
  LayerParameter param;
  ReadProtoFromText("name: 'under_test' phase: TRAIN " + text, "test", &param);
  Blob<float> data, label, sum;
  const std::vector<Blob<float>*> top{&data, &label};
  const auto layer = LayerRegistry<float>::CreateLayer(param);
  layer->SetUp({}, top);
  std::vector<float> values(8 * 3 * 6 * 6), labels(8);
  std::iota(values.begin(), values.end(), 1.f);
  std::iota(labels.begin(), labels.end(), 1.f);
  if (param.type() == "MemoryData") {
    std::dynamic_pointer_cast<MemoryDataLayer<float>>(layer)->Reset(values.data(), labels.data(),
                                                                    8);
  }
  std::vector<std::vector<float>> batches;
  for (size_t i = 0; i < 24; ++i) {
    if (!gpus.empty()) Caffe::SetDevice(gpus[i % gpus.size()]);
    layer->Forward({}, top);
    for (Blob<float>* blob : top) {
      if (!gpus.empty() && i % 3 > 0) {  // as a net does, which then goes on
        sum.ReshapeLike(*blob);
        caffe_gpu_add(blob->count(), blob->gpu_data(), blob->gpu_data(), sum.mutable_gpu_data());
      }
      if (i % 3 > 1) continue;
      batches.emplace_back(blob->cpu_data(), blob->cpu_data() + blob->count());
    }
  }
  Caffe::set_mode(Caffe::GPU);
  return batches;
}

TEST_F(OtherGpu, ADataLayerGoesOnWithTheNextBatch) {
  const TempDir dir;
  std::vector<Datum> bytes, values;
  for (int i = 0; i < 7; ++i) {
    bytes.push_back(raw(picture(3, 6, 6, i + 1), i));
    values.push_back(floats(picture(3, 6, 6, i + 1), i));
  }
  write_database(dir / "bytes", bytes);
  write_database(dir / "values", values);
  std::vector<std::string> texts{
      "type: 'MemoryData' top: 'data' top: 'label' "
      "memory_data_param { batch_size: 2 channels: 3 height: 6 width: 6 }"};
  for (const std::string source : {"bytes", "values"}) {
    for (const std::string prefetch : {"1", "4"}) {
      texts.push_back("type: 'Data' top: 'data' top: 'label' data_param { source: '" +
                      dir / source + "' backend: LMDB batch_size: 2 prefetch: " + prefetch +
                      " } transform_param { mirror: true scale: 0.017 mean_value: 7.7 }");
    }
  }
  for (const std::string& text : texts) {
    SCOPED_TRACE(text);
    const auto expected = read_on({}, text);
    for (int seed = 1; seed <= 3; ++seed) {
      shadow::set_seed(seed);
      EXPECT_EQ(read_on({0, 0, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1}, text), expected);
      EXPECT_EQ(read_on({0, 1}, text), expected);
    }
  }
}

/// On the GPU that the thread has left, and on the other one.
TEST_F(OtherGpu, BytesAreNotReplacedBeforeTheyAreRead) {
  constexpr int kCount = 1000;
  for (int seed = 1; seed <= 20; ++seed) {
    shadow::set_seed(seed);
    Upload upload;
    Blob<int> here({kCount}), there({kCount});
    const auto send = [&](int value) {
      upload.clear();
      std::fill_n(reinterpret_cast<int*>(upload.host(kCount * sizeof(int))), kCount, value);
      upload.send();
    };
    const auto copy_to = [&](Blob<int>* blob) {
      device::copy_async(blob->mutable_gpu_data(), upload.lend_gpu(0).get(), kCount * sizeof(int));
    };
    send(5);
    upload.receive();
    copy_to(&here);
    Caffe::SetDevice(1);
    EXPECT_FALSE(upload.is_here());
    upload.receive();
    copy_to(&there);
    upload.give_back();
    Caffe::SetDevice(0);
    EXPECT_TRUE(upload.is_here());
    send(6);
    Caffe::SetDevice(1);
    EXPECT_EQ(there.cpu_data()[kCount - 1], 5) << seed;
    Caffe::SetDevice(0);
    EXPECT_EQ(here.cpu_data()[kCount - 1], 5) << seed;
    upload.receive();
    upload.give_back();
  }
}

/// What a net has computed in two rounds, each forward on one GPU and backward on another.
std::vector<std::vector<float>> compute_on(int forward, int backward, const std::string& text) {
  Caffe::SetDevice(0);
  Caffe::set_random_seed(1701);
  NetParameter param;
  ReadProtoFromText("name: 'small' state { phase: TRAIN } " + text, "test", &param);
  const QuietLog quiet;
  Net<float> net(param);
  std::vector<std::vector<float>> found;
  const auto add = [&found](const std::string& name, int count, const float* values) {
    found.emplace_back(name.begin(), name.end());
    found.emplace_back(values, values + count);
  };
  for (int pass = 0; pass < 2; ++pass) {
    Caffe::SetDevice(forward);
    fill_images(&net, pass);
    net.Forward();
    Caffe::SetDevice(backward);
    net.ClearParamDiffs();
    net.Backward();
    for (size_t i = 0; i < net.blobs().size(); ++i) {
      const Blob<float>& blob = *net.blobs()[i];
      add(net.blob_names()[i], blob.count(), blob.cpu_data());
    }
    for (const Blob<float>* blob : net.learnable_params()) {
      add("parameter", blob->count(), blob->cpu_diff());
    }
  }
  return found;
}

TEST_F(OtherGpu, ALayerFindsInBackwardWhatForwardHasKept) {
  const auto loss = [](const std::string& type, const std::string& more = "") {
    return "layer { name: '" + type + "' type: '" + type +
           "' bottom: 'scores' bottom: 'label' top: '" + type + "' loss_weight: 0.1 " + more +
           " } ";
  };
  const std::string net =
      all_losses() + loss("FocalLoss", "loss_param { ignore_label: 2 }") +
      "layer { name: 'gains' type: 'DummyData' top: 'gains' dummy_data_param { "
      "shape { dim: 3 dim: 3 } data_filler { type: 'constant' value: 0.3 } } } "
      "layer { name: 'infogain' type: 'InfogainLoss' bottom: 'scores' bottom: 'label' "
      "bottom: 'gains' "
      "top: 'infogain' loss_param { ignore_label: 2 } } ";
  const auto expected = compute_on(0, 0, net);
  EXPECT_EQ(compute_on(1, 0, net), expected);
  EXPECT_EQ(compute_on(0, 1, net), expected);
}

}  // namespace
}  // namespace caffe
