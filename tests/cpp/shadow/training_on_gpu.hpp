#ifndef TESTS_CPP_SHADOW_TRAINING_ON_GPU_HPP_
#define TESTS_CPP_SHADOW_TRAINING_ON_GPU_HPP_

#include <string>

#include "tests/cpp/engine/training_nets.hpp"

namespace caffe {

/// GPU mode, and no log.
class TrainingOnGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    Caffe::set_mode(Caffe::GPU);
    FLAGS_minloglevel = google::GLOG_ERROR + 1;
  }
  void TearDown() override {
    FLAGS_minloglevel = google::GLOG_INFO;
    Caffe::set_mode(Caffe::CPU);
  }
};

/// All losses and what else could read from the GPU.
inline std::string all_losses() {
  const auto layer = [](const std::string& type, const std::string& bottoms,
                        const std::string& more = "") {
    return "layer { name: '" + type + "' type: '" + type + "' " + bottoms + " top: '" + type +
           "' loss_weight: 0.1 " + more + " } ";
  };
  const std::string scores = "bottom: 'scores' bottom: 'label' ";
  return std::string(kTrainingData) +
         "layer { name: 'part' type: 'Elimination' bottom: 'data' bottom: 'data' top: 'part' "
         "top: 'region' top: 'map' top: 'stats' } "
         "layer { name: 'quiet' type: 'Silence' bottom: 'map' } " +
         trained_layers("part",
                        "layer { name: 'enhance' type: 'Enhancement' bottom: 'pool' top: 'pool' } "
                        "layer { name: 'norm' type: 'BatchNorm' bottom: 'pool' top: 'norm' } "
                        "layer { name: 'lrn' type: 'LRN' bottom: 'norm' top: 'lrn' } "
                        "layer { name: 'drop' type: 'Dropout' bottom: 'lrn' top: 'lrn' } "
                        "layer { name: 'add' type: 'Eltwise' bottom: 'lrn' bottom: 'pool' "
                        "top: 'add' } ") +
         softmax_loss("loss_param { ignore_label: 1 } ") +
         "layer { name: 'accuracy' type: 'Accuracy' bottom: 'scores' bottom: 'label' "
         "top: 'accuracy' top: 'by_class' } "
         "layer { name: 'softmax' type: 'Softmax' bottom: 'scores' top: 'p' } " +
         layer("MultinomialLogisticLoss", "bottom: 'p' bottom: 'label'") +
         layer("HingeLoss", scores) +
         layer("ContrastiveLoss", "bottom: 'scores' bottom: 'p' bottom: 'label'") +
         layer("EuclideanLoss", "bottom: 'scores' bottom: 'p'") +
         layer("SigmoidCrossEntropyLoss", "bottom: 'scores' bottom: 'p'",
               "propagate_down: true propagate_down: false loss_param { ignore_label: 1 }") +
         "layer { name: 'sum' type: 'Reduction' bottom: 'add' top: 'sum' "
         "reduction_param { operation: ASUM } loss_weight: 0.001 } ";
}

}  // namespace caffe

#endif  // TESTS_CPP_SHADOW_TRAINING_ON_GPU_HPP_
