#include "caffe/util/packed_images.hpp"

#include <opencv2/core.hpp>

#include "caffe/data_transformer.hpp"
#include "caffe/util/io.hpp"
#include "google/protobuf/text_format.h"
#include "images.hpp"
#include "layers/layer_test.hpp"
#include "temp_dir.hpp"

namespace caffe {
namespace {

/// Images as bytes, packed and then transformed on the device, beside DataTransformer::transform.
template <typename TypeParam>
class PackedImagesTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  typedef DataTransformer<Dtype> Transformer;

  std::unique_ptr<Transformer> make(const string& text, Phase phase) {
    TransformationParameter param;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param)) << text;
    return std::unique_ptr<Transformer>(new Transformer(param, phase));
  }
  /// What transform() writes for the images.
  static std::vector<Dtype> transformed(const Transformer& transformer,
                                        const std::vector<Pixels>& images) {
    const std::vector<int> shape = transformer.shape_of(images[0]);
    const size_t values = shape[1] * shape[2] * shape[3];
    std::vector<Dtype> all(images.size() * values);
    for (size_t i = 0; i < images.size(); ++i) {
      ItemRandom random(5, i);
      transformer.transform(images[i], &random, shape, all.data() + i * values);
    }
    return all;
  }
  /// The same through bytes. Unused bytes are 99.
  static std::vector<Dtype> packed(const Transformer& transformer,
                                   const std::vector<Pixels>& images) {
    const std::vector<int> shape = transformer.shape_of(images[0]);
    const int n = static_cast<int>(images.size()), values = shape[1] * shape[2] * shape[3];
    std::vector<PackedImage> how;
    std::vector<unsigned char> bytes(size_t(n) * values, 99);
    for (int i = 0; i < n; ++i) {
      ItemRandom random(5, i);
      how.push_back(transformer.pack(images[i], &random, shape, bytes.data() + i * values));
    }
    return run(transformer.pixel_transform(), {n, shape[1], shape[2], shape[3], nullptr, nullptr},
               how, bytes);
  }
  static std::vector<Dtype> run(const PixelTransform<Dtype>& transform, PackedBatch batch,
                                const std::vector<PackedImage>& how,
                                const std::vector<unsigned char>& bytes) {
    const auto copied = [](const void* from, size_t size) {
      auto memory = std::make_shared<SyncedMemory>(size);
      std::memcpy(memory->mutable_cpu_data(), from, size);
      return memory;
    };
    const auto hows = copied(how.data(), how.size() * sizeof(how[0]));
    const auto pixels = copied(bytes.data(), bytes.size());
    const bool gpu = TypeParam::mode == Caffe::GPU;
    batch.how = static_cast<const PackedImage*>(gpu ? hows->gpu_data() : hows->cpu_data());
    batch.pixels = static_cast<const unsigned char*>(gpu ? pixels->gpu_data() : pixels->cpu_data());
    Blob<Dtype> y(batch.images, batch.channels, batch.height, batch.width);
    transform.run(gpu ? maap::Device::kGPU : maap::Device::kCPU, batch, y.mutable_active_data());
    return std::vector<Dtype>(y.cpu_data(), y.cpu_data() + y.count());
  }
  /// An image that is stored plane by plane, as in a Datum.
  Pixels planes(const cv::Mat& image) {
    datums_.emplace_back(new Datum);
    CVMatToDatum(image, datums_.back().get());
    cv::Mat unused;
    return make("", TEST)->pixels_of(*datums_.back(), &unused);
  }
  void write_mean(const string& file, int channels, int height, int width) {
    BlobProto mean;
    mean.set_num(1);
    mean.set_channels(channels);
    mean.set_height(height);
    mean.set_width(width);
    for (int i = 0; i < channels * height * width; ++i) mean.add_data(0.37f * i);
    WriteProtoToBinaryFile(mean, file);
  }

  TempDir dir_;

 private:
  std::vector<std::unique_ptr<Datum>> datums_;
};
TYPED_TEST_SUITE(PackedImagesTest, DtypesAndDevices);

TYPED_TEST(PackedImagesTest, EveryTransformationGivesTheSameBits) {
  int seed = 0;
  for (const int channels : {1, 3, 4}) {
    this->write_mean(this->dir_ / "mean", channels, 13, 17);
    string many = "mean_value: 3.3";
    for (int c = 1; c < channels; ++c) many += " mean_value: " + std::to_string(60.7 + c);
    const string file = "mean_file: '" + this->dir_ / "mean'";
    for (const string& mean : {string(), string("mean_value: 103.939"), many, file}) {
      for (const string crop : {"", " crop_size: 5", " crop_size: 13"}) {
        for (const string rest : {"", " mirror: true", " scale: 0.017", " mirror: true scale: 3"}) {
          std::vector<cv::Mat> images;
          std::vector<Pixels> pixels;
          for (int i = 0; i < 6; ++i) images.push_back(picture(channels, 13, 17, ++seed));
          for (int i = 0; i < 6; ++i) {
            const bool whole = i % 3 == 0;
            pixels.push_back(whole ? DataTransformer<float>::pixels_of(images[i])
                                   : this->planes(images[i]));
          }
          for (const Phase phase : {TRAIN, TEST}) {
            const auto transformer = this->make(mean + crop + rest, phase);
            EXPECT_EQ(this->packed(*transformer, pixels), this->transformed(*transformer, pixels))
                << mean << crop << rest << " phase " << phase;
          }
        }
      }
    }
  }
}

TYPED_TEST(PackedImagesTest, ImagesOfDifferentSizesAndRowsWithGaps) {
  const auto transformer = this->make("crop_size: 6 mirror: true mean_value: 9", TRAIN);
  const cv::Mat large = picture(3, 20, 30), small = picture(3, 6, 6, 2), wide = picture(3, 7, 31);
  const std::vector<Pixels> images{
      transformer->pixels_of(large), transformer->pixels_of(small), this->planes(wide),
      transformer->pixels_of(large(cv::Rect(3, 4, 11, 9))), this->planes(small)};
  EXPECT_EQ(this->packed(*transformer, images), this->transformed(*transformer, images));
}

TYPED_TEST(PackedImagesTest, OutsideOfTheRowsAndColumnsThatExistIsZero) {
  const std::vector<unsigned char> bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const std::vector<PackedImage> how{{1, 0, 0, 0, 1, 0, 3, 3}, {0, 1, 0, 0, 0, 2, 1, 4}};
  typedef typename TypeParam::Dtype Dtype;
  const PixelTransform<Dtype> transform(std::vector<Dtype>{1}, Dtype(2));
  EXPECT_EQ(this->run(transform, {2, 1, 3, 4, nullptr, nullptr}, how,
                      [&] {
                        std::vector<unsigned char> two = bytes;
                        two.insert(two.end(), bytes.begin(), bytes.end());
                        return two;
                      }()),
            (std::vector<Dtype>{0, 0, 0, 0, 8, 10, 12, 0, 16, 18, 20, 0,  //
                                0, 0, 2, 0, 0, 0,  0,  0, 0,  0,  0,  0}));
}

TYPED_TEST(PackedImagesTest, ErrorsAreThoseOfTransform) {
  const auto transformer = this->make("crop_size: 6 mean_value: 9 mean_value: 8", TEST);
  ItemRandom random(1, 1);
  unsigned char bytes[3 * 6 * 6];
  const cv::Mat image = picture(3, 8, 8);
  Pixels pixels = transformer->pixels_of(image);
  EXPECT_ERROR(transformer->pack(pixels, &random, {1, 3, 6, 6}, bytes), "2 mean_value for 3");
  EXPECT_ERROR(transformer->pack(pixels, &random, {1, 1, 6, 6}, bytes), "does not fit");
  const float floats[3 * 8 * 8] = {};
  pixels.bytes = nullptr;
  pixels.floats = floats;
  EXPECT_ERROR(transformer->pack(pixels, &random, {1, 3, 6, 6}, bytes), "cannot be packed");
}

}  // namespace
}  // namespace caffe
