#ifndef CAFFE_LAYERS_DATA_LAYER_HPP_
#define CAFFE_LAYERS_DATA_LAYER_HPP_

#include <string>
#include <string_view>
#include <vector>

#include "caffe/layers/base_data_layer.hpp"
#include "caffe/util/db.hpp"

namespace caffe {

/// Images and labels from a database of Datums, in the order of their keys; starts again at the
/// end. While several solvers train, solver r of n takes every n-th record, starting with the r-th.
/// rand_skip skips a random number of records, up to this value, at the beginning.
template <typename Dtype>
class DataLayer : public BasePrefetchingDataLayer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using BasePrefetchingDataLayer<Dtype>::BasePrefetchingDataLayer;
  ~DataLayer() override;
  void DataLayerSetUp(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Data"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int MinTopBlobs() const override { return 1; }
  int MaxTopBlobs() const override { return 2; }

 protected:
  void load_batch(Batch<Dtype>* batch) override;
  void Next();
  /// Whether the record belongs to a different solver.
  bool Skip();

  shared_ptr<db::DB> db_;
  shared_ptr<db::Cursor> cursor_;
  uint64_t offset_ = 0;

  struct Record {
    string key, storage;
    std::string_view value;
  };
  /// Opens data_param.source; records_ gets room for a batch. The cursor is where rand_skip says.
  void open();
  void take(Record* record);
  /// Fills records_.
  void take_batch();
  /// "record '00012' of 'train_lmdb'"
  string name_of(const Record& record) const;

  vector<Record> records_;  // of the current batch

 private:
  static void parse(const Record& record, Datum* datum);
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DATA_LAYER_HPP_
