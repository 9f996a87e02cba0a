#include "caffe/layers/detection/detection_files.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "caffe/common.hpp"
#include "caffe/util/io.hpp"

namespace caffe {

namespace {

double to_hundredths(double pixels) {
  return std::round(pixels * 100) / 100;
}

/// For JSON: a number if it is one, else a string.
string number_or_text(const string& name) {
  const bool digits =
      !name.empty() && name.size() < 18 &&
      std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  if (digits) return std::to_string(std::stoll(name));
  string text = "\"";
  for (const char c : name) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + "\"";
}

void write_file(const std::filesystem::path& path, const string& text) {
  std::ofstream stream(path, std::ios::binary);
  stream << text;
  stream.close();
  CAFFE_CHECK(stream.good(), "save_output_param: '" << path.string() << "' cannot be written");
}

}  // namespace

DetectionFiles::DetectionFiles(const SaveOutputParameter& param, int classes, int background)
    : param_(param) {
  const string& format = param.output_format();
  CAFFE_CHECK(
      format == "VOC" || format == "COCO" || format == "ILSVRC",
      "save_output_param: output_format is \"" << format << "\"; it may be VOC, COCO or ILSVRC");
  CAFFE_CHECK(!param.output_name_prefix().empty() || format == "VOC",
              "save_output_param needs output_name_prefix, the file's name without its ending");
  CAFFE_CHECK(
      !param.has_resize_param() || param.resize_param().resize_mode() == ResizeParameter::WARP,
      "save_output_param: only resize_mode WARP is built");
  read_names(param.name_size_file());
  read_labels(param.label_map_file(), classes, background);
  count_ = param.has_num_test_image() ? param.num_test_image() : images_.size();
  CAFFE_CHECK(count_ > 0 && count_ <= images_.size(), "save_output_param: num_test_image is "
                                                          << count_ << ", and "
                                                          << param.name_size_file() << " has "
                                                          << images_.size() << " images");
}

void DetectionFiles::read_names(const string& file) {
  CAFFE_CHECK(!file.empty(), "save_output_param needs name_size_file, lines of an image's name, "
                                 << "height and width");
  std::ifstream stream(file);
  CAFFE_CHECK(stream.good(), "save_output_param: name_size_file '" << file << "' cannot be read");
  string line;
  for (int number = 1; std::getline(stream, line); ++number) {
    std::istringstream words(line);
    Image image = {"", 0, 0};
    if (!(words >> image.name)) continue;
    CAFFE_CHECK((words >> image.height >> image.width) && image.height > 0 && image.width > 0,
                "save_output_param: " << file << ":" << number << ": '" << line
                                      << "' is not a name, a height and a width");
    images_.push_back(image);
  }
}

void DetectionFiles::read_labels(const string& file, int classes, int background) {
  CAFFE_CHECK(!file.empty(), "save_output_param needs label_map_file, with the classes' names");
  LabelMap map;
  ReadProtoFromTextFileOrDie(file, &map);
  for (const LabelMapItem& item : map.item()) {
    const bool is_class = item.label() >= 0 && item.label() < classes && item.label() != background;
    if (is_class) labels_[item.label()] = item.name();
  }
  for (int label = 0; label < classes; ++label) {
    CAFFE_CHECK(label == background || labels_.count(label) > 0,
                "save_output_param: " << file << " has no name for class " << label);
  }
}

void DetectionFiles::add(int label, double score, const Box<double>& box) {
  const Image& image = images_[image_];
  const Box<double> inside = clipped(box);
  rows_.push_back(
      {label,
       image.name,
       score,
       {to_hundredths(inside.xmin * image.width), to_hundredths(inside.ymin * image.height),
        to_hundredths(inside.xmax * image.width), to_hundredths(inside.ymax * image.height)}});
}

void DetectionFiles::next_image() {
  if (++image_ < count_) return;
  write();
  rows_.clear();
  image_ = 0;
}

/// VOC's lines of a class; ILSVRC's of all for label -1.
string DetectionFiles::lines(int label) const {
  std::ostringstream text;
  text.precision(9);
  for (const Row& row : rows_) {
    if (label != -1 && row.label != label) continue;
    text << row.name << " ";
    if (label == -1) text << row.label << " ";
    text << row.score;
    for (const double at : {row.box.xmin, row.box.ymin, row.box.xmax, row.box.ymax}) {
      text << " " << static_cast<int>(at);
    }
    text << "\n";
  }
  return text.str();
}

string DetectionFiles::json() const {
  std::ostringstream text;
  text.precision(9);
  text << "[";
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Row& row = rows_[i];
    text << (i == 0 ? "\n" : ",\n") << "{\"image_id\": " << number_or_text(row.name)
         << ", \"category_id\": " << number_or_text(labels_.at(row.label)) << ", \"bbox\": ["
         << row.box.xmin << ", " << row.box.ymin << ", "
         << to_hundredths(row.box.xmax - row.box.xmin) << ", "
         << to_hundredths(row.box.ymax - row.box.ymin) << "], \"score\": " << row.score << "}";
  }
  text << "\n]\n";
  return text.str();
}

void DetectionFiles::write() const {
  const std::filesystem::path folder = param_.output_directory();
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  const string& prefix = param_.output_name_prefix();
  if (param_.output_format() == "COCO") {
    write_file(folder / (prefix + ".json"), json());
  } else if (param_.output_format() == "ILSVRC") {
    write_file(folder / (prefix + ".txt"), lines(-1));
  } else {
    for (const auto& label : labels_) {
      write_file(folder / (prefix + label.second + ".txt"), lines(label.first));
    }
  }
}

}  // namespace caffe
