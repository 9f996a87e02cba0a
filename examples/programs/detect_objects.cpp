// Finds objects with a trained SSD, or any net that ends in DetectionOutput.
//
//   detect_objects deploy.prototxt net.caffemodel list.txt [-mean 104,117,123] [-scale 1]
//   [-threshold 0.3] [-labels labelmap.prototxt]
//
// -mean and -scale are those of the transform_param that the net was trained with.
// list.txt names an image on each line. Each object found is one line of output:
//   IMAGE LABEL SCORE XMIN YMIN XMAX YMAX        in pixels of the image

#include <caffe/caffe.hpp>
#include <caffe/util/io.hpp>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <opencv2/core/core.hpp>
#include <opencv2/imgcodecs/imgcodecs.hpp>
#include <opencv2/imgproc/imgproc.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using caffe::Blob;
using caffe::Net;

DEFINE_string(mean, "104,117,123", "B,G,R that is subtracted");
DEFINE_double(scale, 1, "the factor for the values after that");
DEFINE_double(threshold, 0.3, "the least score of an object");
DEFINE_string(labels, "", "a label map; without it, labels are numbers");

namespace {

void demand(bool holds, const std::string& otherwise) {
  if (!holds) throw std::runtime_error(otherwise);
}

struct Detection {
  int label;
  float score;
  cv::Rect2f box;  // in pixels
};

/// A net with the preparation of its images.
class Detector {
 public:
  Detector(const std::string& definition, const std::string& weights, const cv::Scalar& mean,
           double scale)
      : net_(definition, caffe::TEST), mean_(mean), scale_(scale) {
    net_.CopyTrainedLayersFrom(weights);
    demand(net_.num_inputs() == 1, "the net needs one input, the images");
    demand(net_.input_blobs()[0]->num_axes() == 4 && net_.input_blobs()[0]->channels() == 3,
           "the net needs colour images, 1 x 3 x height x width");
  }

  std::vector<Detection> find(const cv::Mat& image, float threshold) {
    Blob<float>* input = net_.input_blobs()[0];
    fill(image, input);
    const Blob<float>* found = net_.Forward()[0];
    demand(found->num_axes() == 4 && found->shape(-1) == 7,
           "the net does not end in DetectionOutput; give the deploy net");
    std::vector<Detection> detections;
    const float* row = found->cpu_data();
    for (int i = 0; i < found->count() / 7; ++i, row += 7) {
      if (row[0] < 0 || row[2] < threshold) continue;  // -1: nothing was found
      detections.push_back({static_cast<int>(row[1]), row[2],
                            cv::Rect2f(cv::Point2f(row[3] * image.cols, row[4] * image.rows),
                                       cv::Point2f(row[5] * image.cols, row[6] * image.rows))});
    }
    return detections;
  }

 private:
  /// The image's planes at the net's size, less the mean, times the scale; they are the blob's
  /// memory.
  void fill(const cv::Mat& image, Blob<float>* input) const {
    const cv::Size size(input->width(), input->height());
    cv::Mat resized, values;
    cv::resize(image, resized, size);
    resized.convertTo(values, CV_32FC3);
    values = (values - mean_) * scale_;
    float* data = input->mutable_cpu_data();
    std::vector<cv::Mat> planes;
    for (int c = 0; c < 3; ++c, data += size.area()) planes.emplace_back(size, CV_32FC1, data);
    cv::split(values, planes);
  }

  Net<float> net_;
  const cv::Scalar mean_;
  const double scale_;
};

std::map<int, std::string> read_labels(const std::string& file) {
  std::map<int, std::string> names;
  if (file.empty()) return names;
  caffe::LabelMap labels;
  caffe::ReadProtoFromTextFileOrDie(file, &labels);
  for (const caffe::LabelMapItem& item : labels.item()) {
    names[item.label()] = item.has_display_name() ? item.display_name() : item.name();
  }
  return names;
}

cv::Scalar read_mean(const std::string& text) {
  cv::Scalar mean;
  std::istringstream stream(text);
  std::string value;
  for (int c = 0; c < 3 && std::getline(stream, value, ','); ++c) mean[c] = std::stod(value);
  return mean;
}

/// Prints what is in the images of the list; false if one of them cannot be read.
bool detect_all(const std::string& definition, const std::string& weights,
                const std::string& file_list) {
  Detector detector(definition, weights, read_mean(FLAGS_mean), FLAGS_scale);
  const std::map<int, std::string> labels = read_labels(FLAGS_labels);
  std::ifstream list(file_list);
  demand(list.good(), "cannot read " + file_list);
  int missing = 0;
  for (std::string file; std::getline(list, file);) {
    if (file.empty()) continue;
    const cv::Mat image = cv::imread(file, cv::IMREAD_COLOR);
    if (image.empty()) {
      LOG(ERROR) << "cannot read the image " << file;
      ++missing;
      continue;
    }
    for (const Detection& d : detector.find(image, static_cast<float>(FLAGS_threshold))) {
      const auto name = labels.find(d.label);
      std::cout << file << ' ' << (name == labels.end() ? std::to_string(d.label) : name->second)
                << ' ' << std::fixed << std::setprecision(3) << d.score << std::setprecision(1)
                << ' ' << d.box.x << ' ' << d.box.y << ' ' << d.box.br().x << ' ' << d.box.br().y
                << '\n';
    }
  }
  return missing == 0;
}

}  // namespace

int main(int argc, char** argv) {
  gflags::SetUsageMessage("detect_objects DEPLOY.prototxt NET.caffemodel LIST.txt");
  caffe::GlobalInit(&argc, &argv);
  if (argc != 4) {
    gflags::ShowUsageWithFlagsRestrict(argv[0], "detect_objects");
    return 1;
  }
  try {
    return detect_all(argv[1], argv[2], argv[3]) ? 0 : 1;
  } catch (const std::exception& error) {
    LOG(ERROR) << error.what();
    return 1;
  }
}
