#include <algorithm>
#include <iomanip>

#include "caffe/caffe.hpp"
#include "caffe/net_memory.hpp"
#include "caffe/util/math_mode.hpp"
#include "caffe/util/reorder_count.hpp"
#include "tools/caffe_command.hpp"

namespace caffe_command {

namespace {

typedef caffe::Net<float> Net;

/// Microseconds, summed over the iterations.
struct Times {
  std::vector<double> forward, backward;  // per layer
  double all_forward = 0, all_backward = 0;
};

void forward(Net* net, Times* times) {
  caffe::Timer whole, one;
  whole.Start();
  for (size_t i = 0; i < net->layers().size(); ++i) {
    one.Start();
    net->ForwardFromTo(static_cast<int>(i), static_cast<int>(i));
    times->forward[i] += one.MicroSeconds();
  }
  times->all_forward += whole.MicroSeconds();
}

void backward(Net* net, Times* times) {
  caffe::Timer whole, one;
  whole.Start();
  for (size_t i = net->layers().size(); i-- > 0;) {
    one.Start();
    if (net->keeps_all()) {
      net->layers()[i]->Backward(net->top_vecs()[i], net->bottom_need_backward()[i],
                                 net->bottom_vecs()[i]);
    } else {
      net->BackwardFromTo(static_cast<int>(i), static_cast<int>(i));
    }
    times->backward[i] += one.MicroSeconds();
  }
  times->all_backward += whole.MicroSeconds();
}

void report_layers(const Net& net, const Times& times) {
  LOG(INFO) << "Average time per layer: ";
  for (size_t i = 0; i < net.layers().size(); ++i) {
    const std::string& name = net.layer_names()[i];
    LOG(INFO) << std::setfill(' ') << std::setw(10) << name
              << "\tforward: " << times.forward[i] / 1000 / FLAGS_iterations << " ms.";
    if (FLAGS_forward_only) continue;
    LOG(INFO) << std::setfill(' ') << std::setw(10) << name
              << "\tbackward: " << times.backward[i] / 1000 / FLAGS_iterations << " ms.";
  }
}

/// Gives up the blobs' values where training, or forward passes alone, would do so: not where the
/// layers of a net without a loss, or of one for tests, run backward to be timed.
void share_memory(Net* net) {
  const std::vector<bool>& needs = net->layer_need_backward();
  const bool learns = std::find(needs.begin(), needs.end(), true) != needs.end();
  if (FLAGS_forward_only || (net->phase() == caffe::TRAIN && learns)) net->KeepOnly({});
}

void run_once(Net* net) {
  LOG(INFO) << "Performing Forward";
  float loss = 0;
  net->Forward(&loss);
  LOG(INFO) << "Initial loss: " << loss;
  if (FLAGS_forward_only) return;
  LOG(INFO) << "Performing Backward";
  net->Backward();
}

void report_passes(const Times& times, float total_ms, double reorders) {
  LOG(INFO) << "Average Forward pass: " << times.all_forward / 1000 / FLAGS_iterations << " ms.";
  if (!FLAGS_forward_only) {
    LOG(INFO) << "Average Backward pass: " << times.all_backward / 1000 / FLAGS_iterations
              << " ms.";
    LOG(INFO) << "Average Forward-Backward: " << total_ms / FLAGS_iterations << " ms.";
  }
  LOG(INFO) << "Math mode: " << caffe::math_mode_name(caffe::math_mode());
  LOG(INFO) << "Average layout reorders: " << reorders / FLAGS_iterations << " per pass.";
  LOG(INFO) << "Total Time: " << total_ms << " ms.";
}

}  // namespace

int time() {
  CAFFE_CHECK(!FLAGS_model.empty(), "time needs a model: -model train_val.prototxt");
  CAFFE_CHECK(FLAGS_iterations > 0, "-iterations " << FLAGS_iterations << ": must be 1 or more");
  const caffe::Phase phase = chosen_phase(caffe::TRAIN);
  const std::vector<int> gpus = chosen_gpus();
  choose_device(gpus.empty() ? -1 : gpus[0]);
  const std::vector<std::string> stages = chosen_stages();
  Net net(FLAGS_model, phase, FLAGS_level, &stages);

  share_memory(&net);
  run_once(&net);

  LOG(INFO) << "*** Benchmark begins ***";
  LOG(INFO) << "Testing for " << FLAGS_iterations << " iterations.";
  Times times;
  times.forward.resize(net.layers().size());
  times.backward.resize(net.layers().size());
  const int64_t reorders_before = caffe::reorder_count();
  caffe::Timer total;
  total.Start();
  for (int iteration = 0; iteration < FLAGS_iterations; ++iteration) {
    caffe::Timer timer;
    timer.Start();
    forward(&net, &times);
    if (!FLAGS_forward_only) backward(&net, &times);
    LOG(INFO) << "Iteration: " << iteration + 1
              << (FLAGS_forward_only ? " forward time: " : " forward-backward time: ")
              << timer.MilliSeconds() << " ms.";
  }
  const float total_ms = total.MilliSeconds();
  const double reorders = static_cast<double>(caffe::reorder_count() - reorders_before);
  report_layers(net, times);
  report_passes(times, total_ms, reorders);
  LOG(INFO) << caffe::memory_line(net);
  if (caffe::Caffe::mode() == caffe::Caffe::GPU) LOG(INFO) << caffe::gpu_memory_table(net);
  LOG(INFO) << "*** Benchmark ends ***";
  return 0;
}

}  // namespace caffe_command
