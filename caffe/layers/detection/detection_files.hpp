#ifndef CAFFE_LAYERS_DETECTION_DETECTION_FILES_HPP_
#define CAFFE_LAYERS_DETECTION_DETECTION_FILES_HPP_

#include <map>
#include <string>
#include <vector>

#include "caffe/layers/detection/boxes.hpp"

namespace caffe {

/// Writes detections as the benchmarks' own evaluations want them (save_output_param), once for
/// every num_test_image images (the number of names without it). The images are those of
/// name_size_file, lines of name, height and width, in that order; boxes are clipped to the image
/// and in its pixels. label_map_file, a LabelMap, has the classes' names.
///
///   VOC     <output_directory>/<output_name_prefix><class>.txt for each class
///           name score xmin ymin xmax ymax                  corners cut to whole pixels
///   ILSVRC  <output_directory>/<output_name_prefix>.txt
///           name label score xmin ymin xmax ymax            likewise
///   COCO    <output_directory>/<output_name_prefix>.json    corner, width and height to 1/100
///           [{"image_id": name, "category_id": class, "bbox": [x, y, w, h], "score": score}, ...]
///
/// A name of digits alone is a number in COCO's file.
class DetectionFiles {
 public:
  /// Reads both lists. Throws an Error that names the field for one that is missing, a file that
  /// cannot be read, a class without a name, a format or resize_mode that is not built.
  DetectionFiles(const SaveOutputParameter& param, int classes, int background);

  /// Adds a detection of the image at hand.
  void add(int label, double score, const Box<double>& box);
  /// Goes to the next image. Behind the last one, writes the files and starts again; throws an
  /// Error that names a file that cannot be written.
  void next_image();

 private:
  struct Image {
    std::string name;
    int height, width;
  };
  struct Row {
    int label;
    std::string name;
    double score;
    Box<double> box;  // in pixels, to 1/100
  };
  void read_names(const std::string& file);
  void read_labels(const std::string& file, int classes, int background);
  void write() const;
  std::string lines(int label) const;
  std::string json() const;

  SaveOutputParameter param_;
  std::vector<Image> images_;
  std::map<int, std::string> labels_;
  size_t count_ = 0, image_ = 0;
  std::vector<Row> rows_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_DETECTION_FILES_HPP_
