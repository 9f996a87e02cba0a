// caffe.hpp: blobs, fillers, layers, the registry and a net, as a program that classifies uses
// them.

#include <caffe/caffe.hpp>
#ifdef USE_OPENCV
#include <opencv2/core/core.hpp>
#include <opencv2/imgproc/imgproc.hpp>
#endif  // USE_OPENCV
#include <algorithm>
#include <iosfwd>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#ifdef USE_OPENCV
using namespace caffe;  // NOLINT(build/namespaces)
using std::string;

class Classifier {
 public:
  explicit Classifier(const string& model_file);
  std::vector<float> Predict(const cv::Mat& img);

 private:
  void WrapInputLayer(std::vector<cv::Mat>* input_channels);

  shared_ptr<Net<float>> net_;
  cv::Size input_geometry_;
};

Classifier::Classifier(const string& model_file) {
#ifdef CPU_ONLY
  Caffe::set_mode(Caffe::CPU);
#else
  Caffe::set_mode(Caffe::GPU);
#endif
  net_.reset(new Net<float>(model_file, TEST));
  CHECK_EQ(net_->num_inputs(), 1) << "Network should have exactly one input.";
  CHECK_EQ(net_->num_outputs(), 1) << "Network should have exactly one output.";
  Blob<float>* input_layer = net_->input_blobs()[0];
  input_geometry_ = cv::Size(input_layer->width(), input_layer->height());
}

void Classifier::WrapInputLayer(std::vector<cv::Mat>* input_channels) {
  Blob<float>* input_layer = net_->input_blobs()[0];
  float* input_data = input_layer->mutable_cpu_data();
  for (int i = 0; i < input_layer->channels(); ++i) {
    cv::Mat channel(input_layer->height(), input_layer->width(), CV_32FC1, input_data);
    input_channels->push_back(channel);
    input_data += input_layer->width() * input_layer->height();
  }
}

std::vector<float> Classifier::Predict(const cv::Mat& img) {
  Blob<float>* input_layer = net_->input_blobs()[0];
  input_layer->Reshape(1, 3, input_geometry_.height, input_geometry_.width);
  net_->Reshape();
  std::vector<cv::Mat> input_channels;
  WrapInputLayer(&input_channels);
  cv::Mat resized, sample;
  cv::resize(img, resized, input_geometry_);
  resized.convertTo(sample, CV_32FC3);
  cv::split(sample, input_channels);
  CHECK(reinterpret_cast<float*>(input_channels.at(0).data) == input_layer->cpu_data());
  net_->Forward();
  Blob<float>* output_layer = net_->output_blobs()[0];
  const float* begin = output_layer->cpu_data();
  return std::vector<float>(begin, begin + output_layer->channels());
}

static void check_registry() {
  LayerRegistry<float>::CreatorRegistry& registry = LayerRegistry<float>::Registry();
  CHECK_EQ(registry.count("Convolution"), 1);
  for (LayerRegistry<float>::CreatorRegistry::iterator iter = registry.begin();
       iter != registry.end(); ++iter) {
    CHECK(iter->second != NULL) << iter->first;
  }
  registry["Alias"] = registry["Power"];
  LayerParameter param;
  param.set_type("Alias");
  shared_ptr<Layer<float>> layer = LayerRegistry<float>::CreateLayer(param);
  CHECK_STREQ(layer->type(), "Power");
}

static void check_blobs() {
  FillerParameter filler_param;
  filler_param.set_value(2);
  ConstantFiller<float> filler(filler_param);
  Blob<float> blob(2, 3, 4, 5);
  filler.Fill(&blob);
  CHECK_EQ(blob.asum_data(), 240) << blob.shape_string();
  CHECK_EQ(caffe_cpu_asum(blob.count(), blob.cpu_data()), 240);
  void* memory = NULL;
  bool use_cuda = true;
  CaffeMallocHost(&memory, 100, &use_cuda);
  CHECK(memory != NULL && !use_cuda);
  CaffeFreeHost(memory, use_cuda);
}

int main(int argc, char** argv) {
  ::google::InitGoogleLogging(argv[0]);
  CHECK_EQ(argc, 2);
  check_registry();
  check_blobs();
  Classifier classifier(argv[1]);
  cv::Mat img(20, 30, CV_8UC3, cv::Scalar(1, 2, 3));
  std::vector<float> output = classifier.Predict(img);
  CHECK_EQ(output.size(), 3);
  for (int i = 0; i < 3; ++i) {
    CHECK_EQ(output[i], 2 * (i + 1));
    std::cout << std::fixed << std::setprecision(4) << output[i] << std::endl;
  }
}
#else
int main(int argc, char** argv) {
  LOG(FATAL) << "This example requires OpenCV; compile with USE_OPENCV.";
}
#endif  // USE_OPENCV
