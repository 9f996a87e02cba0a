#include "caffe/caffe.hpp"
#include "caffe/util/detection_scores.hpp"
#include "tools/caffe_command.hpp"

namespace caffe_command {

namespace {

/// The first GPU of -gpu; -1 if none is named.
int first_gpu() {
  const std::vector<int> gpus = chosen_gpus();
  return gpus.empty() ? -1 : gpus[0];
}

/// Rows of a DetectionEvaluate layer become a mean average precision, as a solver's default has it.
void log_detections(const caffe::DetectionScores& scores, const std::string& name) {
  const caffe::SolverParameter solver;
  for (const auto& one : scores.average_precisions(caffe::ap_version_of(solver.ap_version()))) {
    LOG(INFO) << "class" << one.first << ": " << one.second;
  }
  LOG(INFO) << name << " = " << scores.mean(caffe::ap_version_of(solver.ap_version())) << " ("
            << solver.ap_version() << ")";
}

}  // namespace

int test() {
  CAFFE_CHECK(!FLAGS_model.empty(), "test needs a model: -model train_val.prototxt");
  CAFFE_CHECK(!FLAGS_weights.empty(), "test needs weights: -weights FILE.caffemodel");
  CAFFE_CHECK(FLAGS_iterations > 0, "-iterations " << FLAGS_iterations << ": must be 1 or more");
  choose_device(first_gpu());
  const std::vector<std::string> stages = chosen_stages();
  caffe::Net<float> net(FLAGS_model, caffe::TEST, FLAGS_level, &stages);
  for (const std::string& file : split_list(FLAGS_weights)) net.CopyTrainedLayersFrom(file);
  net.KeepOnly({});  // the outputs

  LOG(INFO) << "Running for " << FLAGS_iterations << " iterations.";
  std::vector<caffe::DetectionScores> detections(net.num_outputs());
  std::vector<std::vector<double>> sums(net.num_outputs());
  double loss_sum = 0;
  for (int batch = 0; batch < FLAGS_iterations; ++batch) {
    float loss = 0;
    const std::vector<caffe::Blob<float>*>& outputs = net.Forward(&loss);
    loss_sum += loss;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (caffe::is_evaluation(net, static_cast<int>(i))) {
        detections[i].add(*outputs[i]);
        continue;
      }
      const std::string& name = net.blob_names()[net.output_blob_indices()[i]];
      sums[i].resize(std::max<size_t>(sums[i].size(), outputs[i]->count()));
      for (int k = 0; k < outputs[i]->count(); ++k) {
        const float value = outputs[i]->cpu_data()[k];
        sums[i][k] += value;
        LOG(INFO) << "Batch " << batch << ", " << name << " = " << value;
      }
    }
  }
  LOG(INFO) << "Loss: " << static_cast<float>(loss_sum / FLAGS_iterations);
  for (size_t i = 0; i < sums.size(); ++i) {
    const int blob = net.output_blob_indices()[i];
    if (caffe::is_evaluation(net, static_cast<int>(i))) {
      log_detections(detections[i], net.blob_names()[blob]);
    }
    const float weight = net.blob_loss_weights()[blob];
    for (const double sum : sums[i]) {
      const float mean = static_cast<float>(sum / FLAGS_iterations);
      std::ostringstream loss;
      if (weight != 0) loss << " (* " << weight << " = " << weight * mean << " loss)";
      LOG(INFO) << net.blob_names()[blob] << " = " << mean << loss.str();
    }
  }
  return 0;
}

}  // namespace caffe_command
