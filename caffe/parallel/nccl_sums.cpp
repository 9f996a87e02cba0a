#include "caffe/parallel/nccl_sums.hpp"

#include <nccl.h>

#include "caffe/parallel/nccl_rank.hpp"

namespace caffe {

namespace {

template <typename Dtype>
class SumsOfRank : public NcclSums<Dtype> {
 public:
  SumsOfRank(const string& id, int rank, int size, std::function<string()> failure = {})
      : rank_(id, rank, size, std::move(failure)) {}
  typedef typename NcclSums<Dtype>::Part Part;

  void start(size_t n, Dtype* values) override { start_together({{n, values}}); }
  void start_together(const vector<Part>& parts) override { rank_.sum(plain(parts), kDoubles); }
  void broadcast(int root, const vector<Part>& parts) override {
    rank_.broadcast(root, plain(parts), kDoubles);
  }
  void wait() override { rank_.wait(); }
  void check() override { rank_.check(); }
  void abort(const string& why) noexcept override { rank_.abort(why); }

 private:
  static constexpr bool kDoubles = sizeof(Dtype) == sizeof(double);

  static vector<NcclRank::Part> plain(const vector<Part>& parts) {
    vector<NcclRank::Part> all;
    for (const Part& part : parts) {
      if (part.first > 0) all.emplace_back(part.first, part.second);
    }
    return all;
  }

  NcclRank rank_;
};

}  // namespace

bool has_nccl() {
  return true;
}

string new_nccl_id() {
  prepare_nccl();
  ncclUniqueId id;
  const ncclResult_t status = ncclGetUniqueId(&id);
  CAFFE_CHECK(status == ncclSuccess, "NCCL cannot start: " << ncclGetErrorString(status) << ": "
                                                           << ncclGetLastError(nullptr));
  return string(id.internal, sizeof id.internal);
}

template <typename Dtype>
std::unique_ptr<NcclSums<Dtype>> connect_gpus(const string& id, int rank, int size) {
  return std::make_unique<SumsOfRank<Dtype>>(id, rank, size);
}

template <typename Dtype>
std::unique_ptr<GradientSums<Dtype>> make_nccl_sums(std::shared_ptr<Communicator> ranks) {
  string id(NCCL_UNIQUE_ID_BYTES, '\0');
  if (ranks->rank() == 0) id = new_nccl_id();
  ranks->broadcast(0, id.size(), &id[0]);
  return std::make_unique<SumsOfRank<Dtype>>(id, ranks->rank(), ranks->size(),
                                             [ranks] { return ranks->failure(); });
}

template std::unique_ptr<NcclSums<float>> connect_gpus(const string&, int, int);
template std::unique_ptr<NcclSums<double>> connect_gpus(const string&, int, int);
template std::unique_ptr<GradientSums<float>> make_nccl_sums(std::shared_ptr<Communicator>);
template std::unique_ptr<GradientSums<double>> make_nccl_sums(std::shared_ptr<Communicator>);

}  // namespace caffe
