// classification: prints the likeliest classes of an image.

#include <algorithm>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <opencv2/imgproc.hpp>

#include "caffe/caffe.hpp"
#include "caffe/util/file_kind.hpp"
#include "caffe/util/io.hpp"
#include "tools/tool.hpp"

DEFINE_int32(gpu, -1, "The GPU to use; -1 is the CPU");

namespace {

using caffe::Blob;
using caffe::string;

constexpr int kLines = 5;

/// The lines of a file, without those at its end that are empty. Windows's marks are left out: a
/// byte-order mark, and the carriage return of each line.
std::vector<string> read_labels(const string& filename) {
  std::ifstream file(filename);
  CAFFE_CHECK(file, "the file of labels '" << filename << "' cannot be opened: correct the path");
  const string kind = caffe::kind_of_file(filename);
  CAFFE_CHECK(kind.empty() || kind == "text",
              "the file of labels '" << filename << "' is " << kind << ": it must be text");
  std::vector<string> labels;
  for (string line; std::getline(file, line);) {
    if (labels.empty()) caffe::remove_byte_order_mark(&line);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    labels.push_back(line);
  }
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  return labels;
}

/// The mean of each channel of a mean image.
std::vector<float> read_means(const string& filename, int channels) {
  caffe::BlobProto proto;
  caffe::ReadProtoFromBinaryFile(filename, &proto);
  Blob<float> image;
  image.FromProto(proto);
  CAFFE_CHECK(image.num_axes() >= 3 && image.count() > 0 && image.shape(-3) == channels &&
                  image.count(0, image.num_axes() - 3) == 1,
              "the mean image '" << filename << "' has shape " << image.shape_string()
                                 << ", but the net's input has " << channels << " channels");
  const int values = image.count() / channels;
  std::vector<float> means;
  for (int c = 0; c < channels; ++c) {
    const float* const plane = image.cpu_data() + static_cast<size_t>(c) * values;
    means.push_back(static_cast<float>(std::accumulate(plane, plane + values, 0.0) / values));
  }
  return means;
}

/// A net for classification. Its one input is an image of 3 channels (blue, green, red) or 1
/// (gray), less the means of a mean image; its one output has a score per class.
class Classifier {
 public:
  Classifier(const string& model, const string& weights, const string& mean_file,
             const string& label_file)
      : net_(model, caffe::TEST), labels_(read_labels(label_file)) {
    net_.CopyTrainedLayersFrom(weights);
    net_.KeepOnly({});  // the scores, which are the output
    CAFFE_CHECK(net_.num_inputs() == 1 && net_.num_outputs() == 1,
                "'" << model << "' has " << net_.num_inputs() << " inputs and "
                    << net_.num_outputs()
                    << " outputs: it must have one of each, as a deploy.prototxt has");
    Blob<float>* const input = net_.input_blobs()[0];
    CAFFE_CHECK(input->num_axes() == 4 && (input->shape(1) == 3 || input->shape(1) == 1),
                "the input of '" << model << "' has shape " << input->shape_string()
                                 << ": it must be images of 3 channels or 1");
    means_ = read_means(mean_file, input->shape(1));
    input->Reshape(1, input->shape(1), input->shape(2), input->shape(3));
    net_.Reshape();
    const Blob<float>* const output = net_.output_blobs()[0];
    CAFFE_CHECK(output->num_axes() >= 2 && output->count() == output->shape(1),
                "the output of '" << model << "' has shape " << output->shape_string()
                                  << ": it must be one score per class");
    CAFFE_CHECK(static_cast<int>(labels_.size()) == output->count(),
                "'" << label_file << "' has " << labels_.size() << " labels, but the net has "
                    << output->count() << " classes");
  }

  /// Prints the classes of the highest scores; of equal scores the first class is first.
  void print(const string& filename) {
    feed(filename);
    const float* const scores = net_.Forward()[0]->cpu_data();
    const int classes = static_cast<int>(labels_.size());
    CAFFE_CHECK(
        std::none_of(scores, scores + classes, [](float s) { return std::isnan(s); }),
        "the net's scores for '" << filename << "' are not numbers: its weights are broken");
    std::vector<int> order(classes);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return scores[a] > scores[b]; });
    order.resize(std::min(kLines, classes));
    std::cout << "---------- Prediction for " << filename << " ----------\n";
    for (const int i : order) {
      std::cout << std::fixed << std::setprecision(4) << scores[i] << " - \"" << labels_[i]
                << "\"\n";
    }
  }

 private:
  /// Puts an image into the net's input. A gray one is made of the colors, so that it is the same
  /// whatever the file's format.
  void feed(const string& filename) {
    Blob<float>* const input = net_.input_blobs()[0];
    const int channels = input->shape(1), height = input->shape(2), width = input->shape(3);
    cv::Mat image;
    caffe::read_image(filename, 0, 0, true, &image);
    if (channels == 1) cv::cvtColor(image, image, cv::COLOR_BGR2GRAY);
    if (image.rows != height || image.cols != width) {
      cv::Mat resized;
      cv::resize(image, resized, cv::Size(width, height));
      image = resized;
    }
    float* to = input->mutable_cpu_data();
    for (int c = 0; c < channels; ++c) {
      for (int h = 0; h < height; ++h) {
        const unsigned char* const row = image.ptr(h);
        for (int w = 0; w < width; ++w) *to++ = row[w * channels + c] - means_[c];
      }
    }
  }

  caffe::Net<float> net_;
  std::vector<string> labels_;
  std::vector<float> means_;  // one per channel
};

int run(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "Usage: " << argv[0] << " deploy.prototxt network.caffemodel mean.binaryproto "
              << "labels.txt img.jpg\n";
    return 1;
  }
  if (FLAGS_gpu >= 0) {
    caffe::Caffe::SetDevice(FLAGS_gpu);
    caffe::Caffe::set_mode(caffe::Caffe::GPU);
  }
  Classifier(argv[1], argv[2], argv[3], argv[4]).print(argv[5]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const usage =
      "Prints the likeliest classes of an image, at most five, each with the score that the net\n"
      "gives it.\n"
      "Usage:\n"
      "    classification [-gpu N] deploy.prototxt network.caffemodel mean.binaryproto labels.txt "
      "img.jpg\n"
      "mean.binaryproto is the file of compute_image_mean, of which the mean of each channel is\n"
      "subtracted. labels.txt has a line per class.\n";
  return caffe_tool::run(argc, argv, usage, 0, -1, run, caffe_tool::kLogErrors);
}
