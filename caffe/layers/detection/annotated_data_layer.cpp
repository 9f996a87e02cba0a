#include "caffe/layers/detection/annotated_data_layer.hpp"

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <typeinfo>

#include "caffe/util/io.hpp"

namespace caffe {

namespace {

void parse(std::string_view bytes, AnnotatedDatum* datum) {
  CAFFE_CHECK(datum->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())),
              "its " << bytes.size()
                     << " bytes are not an AnnotatedDatum: the database is damaged, "
                     << "or was not made by convert_annoset or a program like it");
  CAFFE_CHECK(datum->has_datum(),
              "it has no image: AnnotatedData reads AnnotatedDatums, which convert_annoset makes; "
              "a database of Datums is for Data");
}

/// The pixels that a crop in shares of an image has: at least one.
cv::Rect pixels_of(const Box<double>& crop, const cv::Mat& image) {
  const Box<double> inside = clipped(crop);
  const auto at = [](double share, int length) {
    return std::min(length - 1, static_cast<int>(share * length));
  };
  const int left = at(inside.xmin, image.cols), top = at(inside.ymin, image.rows);
  const int width = static_cast<int>(inside.xmax * image.cols) - left;
  const int height = static_cast<int>(inside.ymax * image.rows) - top;
  return {left, top, std::max(1, width), std::max(1, height)};
}

}  // namespace

template <typename Dtype>
void AnnotatedDataLayer<Dtype>::check_settings() const {
  const TransformationParameter& param = this->transform_param_;
  if (param.has_distort_param()) check_distortion(param.distort_param());
  if (param.has_expand_param()) check_expansion(param.expand_param());
  const bool any_size =
      param.resize_param().resize_mode() == ResizeParameter_Resize_mode_FIT_SMALL_SIZE;
  const bool cropped = param.crop_size() > 0 || param.crop_h() > 0;
  CAFFE_CHECK(!any_size || cropped || this->layer_param_.data_param().batch_size() == 1,
              "resize_mode FIT_SMALL_SIZE gives images of several sizes: set batch_size: 1, or "
              "crop them");
  for (const BatchSampler* const sampler : samplers_) check_sampler(*sampler);
}

template <typename Dtype>
void AnnotatedDataLayer<Dtype>::read_label_map() {
  const string& file = this->layer_param_.annotated_data_param().label_map_file();
  if (file.empty()) return;
  LabelMap map;
  ReadProtoFromTextFileOrDie(file, &map);
  for (const LabelMapItem& item : map.item()) labels_.insert(item.label());
}

template <typename Dtype>
void AnnotatedDataLayer<Dtype>::DataLayerSetUp(const Blobs& bottom, const Blobs& top) {
  (void)bottom;
  const AnnotatedDataParameter& param = this->layer_param_.annotated_data_param();
  for (const BatchSampler& sampler : param.batch_sampler()) samplers_.push_back(&sampler);
  const auto& means = this->transform_param_.mean_value();
  means_.assign(means.begin(), means.end());
  check_settings();
  read_label_map();
  this->open();
  seed_ = caffe_rng_rand();

  Record record;
  this->take(&record);
  vector<int> shape;
  try {
    AnnotatedDatum datum;
    parse(record.value, &datum);
    has_boxes_ = param.has_anno_type() || datum.has_type();
    ItemRandom random(seed_, 0);
    shape = this->data_transformer_->shape_of(
        DataTransformer<Dtype>::pixels_of(load(record, &random).image));
  } catch (const std::exception& error) {
    throw Error(this->name() + this->name_of(record) + ": " + error.what());
  }
  shape[0] = static_cast<int>(this->records_.size());
  this->reshape_all(shape, top);
  if (typeid(*this) == typeid(AnnotatedDataLayer)) {
    this->pack_bytes(this->data_transformer_->pixel_transform());
  }
  if (!has_boxes_ || !this->output_labels_) return;
  top[1]->Reshape({1, 1, 1, 8});
  for (const auto& batch : this->prefetch_) batch->label_.Reshape({1, 1, 1, 8});
}

// ---- one image

template <typename Dtype>
void AnnotatedDataLayer<Dtype>::follow(const Window& shown, Item* item) const {
  const TransformationParameter& param = this->transform_param_;
  item->objects = objects_within({shown.xmin, shown.ymin, shown.xmax, shown.ymax},
                                 param.has_emit_constraint() ? &param.emit_constraint() : nullptr,
                                 item->objects);
}

template <typename Dtype>
void AnnotatedDataLayer<Dtype>::cut(const cv::Rect& part, Item* item) const {
  const double width = item->image.cols, height = item->image.rows;
  follow({part.x / width, part.y / height, (part.x + part.width) / width,
          (part.y + part.height) / height},
         item);
  item->image = item->image(part);
}

template <typename Dtype>
void AnnotatedDataLayer<Dtype>::cut_at_random(Item* item, ItemRandom* random) const {
  const std::vector<Box<double>> crops = draw_crops(samplers_, item->objects, random);
  if (crops.empty()) return;
  const Box<double>& crop = crops[random->below(static_cast<int>(crops.size()))];
  cut(pixels_of(crop, item->image), item);
}

/// The crop stays part of the image, where mean_file is looked up; its boxes are those of the crop.
template <typename Dtype>
void AnnotatedDataLayer<Dtype>::crop(Item* item, ItemRandom* random) const {
  const DataTransformer<Dtype>& transformer = *this->data_transformer_;
  const Pixels pixels = DataTransformer<Dtype>::pixels_of(item->image);
  item->crop = transformer.choose_crop(pixels, random);
  const vector<int> shape = transformer.shape_of(pixels);
  const double width = pixels.width, height = pixels.height;
  follow({item->crop.left / width, item->crop.top / height, (item->crop.left + shape[3]) / width,
          (item->crop.top + shape[2]) / height},
         item);
  if (item->crop.mirror) mirror_objects(&item->objects);
}

template <typename Dtype>
typename AnnotatedDataLayer<Dtype>::Item AnnotatedDataLayer<Dtype>::load(const Record& record,
                                                                         ItemRandom* random) const {
  const TransformationParameter& param = this->transform_param_;
  AnnotatedDatum datum;
  parse(record.value, &datum);
  Item item;
  item.label = datum.datum().label();
  if (has_boxes_) item.objects = objects_of(datum);
  for (const Annotated& object : item.objects) {
    CAFFE_CHECK(labels_.empty() || labels_.count(object.label) > 0,
                "an object has class " << object.label << ", which '"
                                       << this->layer_param_.annotated_data_param().label_map_file()
                                       << "' does not have");
  }
  cv::Mat decoded;
  item.image = image_of(this->data_transformer_->pixels_of(datum.datum(), &decoded));
  if (param.has_distort_param()) distort(param.distort_param(), random, &item.image);
  Window shown;
  if (param.has_expand_param()) {
    item.image = expanded(item.image, param.expand_param(), means_, random, &shown);
    follow(shown, &item);
  }
  if (!samplers_.empty()) cut_at_random(&item, random);
  cv::Mat prepared = item.image;
  shown = Window();
  this->data_transformer_->prepare(DataTransformer<Dtype>::pixels_of(item.image), random, &prepared,
                                   &shown);
  item.image = prepared;
  if (param.has_resize_param()) follow(shown, &item);
  crop(&item, random);
  return item;
}

// ---- a batch

template <typename Dtype>
void AnnotatedDataLayer<Dtype>::load_batch(Batch<Dtype>* batch) {
  this->take_batch();
  const int n = static_cast<int>(this->records_.size());
  items_.assign(n, Item());
  const uint64_t first = this->global_number(images_);
  const uint64_t step = this->global_number(1) - this->global_number(0);
  images_ += n;
  const auto work = [&](int i) {
    if (this->must_stop()) throw Interrupted();
    const maap::NoFork while_loading;
    ItemRandom random(seed_, first + i * step);
    items_[i] = load(this->records_[i], &random);
  };
  this->share_out(n, work, [&](int i) { return this->name_of(this->records_[i]); });
  if (this->output_labels_) write_labels(batch);
  write_images(batch);
}

template <typename Dtype>
void AnnotatedDataLayer<Dtype>::write_labels(Batch<Dtype>* batch) const {
  const int n = static_cast<int>(items_.size());
  if (!has_boxes_) {
    batch->label_.Reshape({n});
    for (int i = 0; i < n; ++i) batch->label_.mutable_cpu_data()[i] = Dtype(items_[i].label);
    return;
  }
  size_t boxes = 0;
  for (const Item& item : items_) boxes += item.objects.size();
  batch->label_.Reshape({1, 1, std::max(1, static_cast<int>(boxes)), 8});
  Dtype* row = batch->label_.mutable_cpu_data();
  if (boxes == 0) std::fill_n(row, 8, Dtype(-1));
  for (int i = 0; i < n; ++i) {
    for (const Annotated& object : items_[i].objects) {
      const double values[] = {double(i),       double(object.label),    double(object.instance),
                               object.box.xmin, object.box.ymin,         object.box.xmax,
                               object.box.ymax, double(object.difficult)};
      row = std::transform(values, values + 8, row, [](double x) { return static_cast<Dtype>(x); });
    }
  }
}

/// As values, or as bytes for a net on a GPU.
template <typename Dtype>
void AnnotatedDataLayer<Dtype>::write_images(Batch<Dtype>* batch) {
  const DataTransformer<Dtype>& transformer = *this->data_transformer_;
  const int n = static_cast<int>(items_.size());
  vector<int> shape = transformer.shape_of(DataTransformer<Dtype>::pixels_of(items_[0].image));
  shape[0] = n;
  batch->data_.Reshape(shape);
  const size_t size = batch->data_.count(1);
  const bool packs = this->packs_bytes();
  if (packs) batch->pack();
  PackedImage* const how = packs ? batch->how() : nullptr;
  unsigned char* const bytes = packs ? batch->pixels() : nullptr;
  Dtype* const values = packs ? nullptr : batch->data_.overwrite_cpu_data();
  const auto work = [&](int i) {
    const maap::NoFork while_transforming;
    const Item& item = items_[i];
    const Pixels pixels = DataTransformer<Dtype>::pixels_of(item.image);
    if (packs) {
      how[i] = transformer.pack(pixels, item.crop, shape, bytes + i * size);
    } else {
      transformer.transform(pixels, item.crop, shape, values + i * size);
    }
  };
  this->share_out(n, work, [&](int i) { return this->name_of(this->records_[i]); });
}

INSTANTIATE_CLASS(AnnotatedDataLayer);
REGISTER_LAYER_CLASS(AnnotatedData);

}  // namespace caffe
