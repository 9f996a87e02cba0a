#include "caffe/layers/detection/ground_truth.hpp"

namespace caffe {

namespace {

constexpr int kColumns = 8;

template <typename T>
bool is_whole(T value) {
  return value > T(-1e6) && value < T(1e6) && value == static_cast<T>(static_cast<int>(value));
}

}  // namespace

template <typename T>
std::vector<std::vector<Truth<T>>> read_truths(const Layer<T>& layer, const Blob<T>& labels,
                                               int items, int background) {
  const bool rows = labels.num_axes() == 4 && labels.shape(0) == 1 && labels.shape(1) == 1 &&
                    labels.shape(3) == kColumns;
  CAFFE_CHECK(rows, layer.name() << "the true boxes are rows of 8 numbers (item_id, label, "
                                 << "instance_id, xmin, ymin, xmax, ymax, difficult) in a blob of "
                                 << "shape 1 1 G 8; the shape is " << labels.shape_string());
  std::vector<std::vector<Truth<T>>> truths(items);
  for (int g = 0; g < labels.shape(2); ++g) {
    const T* const row = labels.cpu_data() + kColumns * g;
    if (row[0] == T(-1)) continue;
    CAFFE_CHECK(is_whole(row[0]) && row[0] >= T(0) && row[0] < T(items),
                layer.name() << "true box " << g << " is of item " << row[0]
                             << ", and the batch has the items 0 to " << items - 1);
    CAFFE_CHECK(is_whole(row[1]) && row[1] >= T(0),
                layer.name() << "true box " << g << " has the label " << row[1]
                             << "; labels are whole numbers from 0 on");
    const int label = static_cast<int>(row[1]);
    CAFFE_CHECK(label != background, layer.name() << "true box " << g << " has the label " << label
                                                  << ", which is background_label_id");
    truths[static_cast<int>(row[0])].push_back(
        {{row[3], row[4], row[5], row[6]}, label, row[7] != T(0)});
  }
  return truths;
}

template std::vector<std::vector<Truth<float>>> read_truths(const Layer<float>&, const Blob<float>&,
                                                            int, int);
template std::vector<std::vector<Truth<double>>> read_truths(const Layer<double>&,
                                                             const Blob<double>&, int, int);

}  // namespace caffe
