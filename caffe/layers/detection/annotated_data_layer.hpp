#ifndef CAFFE_LAYERS_DETECTION_ANNOTATED_DATA_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_ANNOTATED_DATA_LAYER_HPP_

#include <opencv2/core/mat.hpp>
#include <set>
#include <string>
#include <vector>

#include "caffe/layers/data_layer.hpp"
#include "caffe/layers/detection/annotations.hpp"
#include "caffe/util/image_changes.hpp"

namespace caffe {

/// Images with the boxes of their objects, from a database of AnnotatedDatums: SSD's data layer.
///
///   top[0]  data    (batch, channels, height, width)
///   top[1]  labels  (1, 1, G, 8), G the boxes of all images of the batch; a row is
///           (image in the batch, class, instance, xmin, ymin, xmax, ymax, difficult), the corners
///           in shares of the image. Without any box: one row of -1. Records whose type is not set,
///           if anno_type is not either, give the Datum's label as Data does: (batch).
///
/// An image is changed in this order, and the boxes follow the pixels:
///
///   distort_param, expand_param         caffe/util/image_changes.hpp
///   annotated_data_param.batch_sampler  one of the crops drawn (annotations.hpp), if there is any
///   resize_param, noise_param           image_changes.hpp
///   crop_size (or crop_h, crop_w), mirror, mean, scale   as in Data
///
/// Where an image is cut, emit_constraint says which boxes stay; without it, all that have an area
/// inside do. What is drawn for an image depends on the seed and on the number of images before it
/// alone. Read as data_param says: order, solvers and rand_skip as in Data.
template <typename Dtype>
class AnnotatedDataLayer : public DataLayer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using DataLayer<Dtype>::DataLayer;
  ~AnnotatedDataLayer() override { this->StopInternalThread(); }
  void DataLayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "AnnotatedData"; }

 protected:
  void load_batch(Batch<Dtype>* batch) override;

 private:
  /// A record, read and changed.
  struct Item {
    cv::Mat image;
    typename DataTransformer<Dtype>::Crop crop;
    std::vector<Annotated> objects;
    int label;
  };
  typedef typename DataLayer<Dtype>::Record Record;

  void check_settings() const;
  void read_label_map();
  Item load(const Record& record, ItemRandom* random) const;
  void cut_at_random(Item* item, ItemRandom* random) const;
  void cut(const cv::Rect& part, Item* item) const;
  void crop(Item* item, ItemRandom* random) const;
  void follow(const Window& shown, Item* item) const;
  void write_labels(Batch<Dtype>* batch) const;
  void write_images(Batch<Dtype>* batch);

  bool has_boxes_ = false;
  std::vector<const BatchSampler*> samplers_;
  std::vector<float> means_;  // the canvas's colour
  std::set<int> labels_;      // of the label map; empty: any
  unsigned int seed_ = 0;
  uint64_t images_ = 0;      // loaded so far
  std::vector<Item> items_;  // of the current batch
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_ANNOTATED_DATA_LAYER_HPP_
