#include "caffe/util/late_values.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe_layers/layer_support.hpp"

namespace maap {

namespace {

struct CopyFlags {
  int n;
  const int* flags;  // [n]
  int* to;           // [n]
  int* stop;
  template <typename Team>
  MAAP_HD void operator()(int, const Team& team) const {
    int any = 0;
    for (int i = team.rank(); i < n; i += Team::size()) {
      to[i] = flags[i];
      if (flags[i] != 0) any = 1;
    }
    any = team.max(any);
    if (team.rank() == 0 && any != 0) *stop = 1;
  }
};

}  // namespace

void check_flags(caffe::SyncedMemory* flags, int n, Device device,
                 const std::function<void(const int*)>& check) {
  if (device == Device::kCPU) return check(static_cast<const int*>(flags->cpu_data()));
  caffe::with_late_values([&](caffe::LateValues& late) {
    int* const to = late.place<int>(n, check);
    parallel_teams(device, 1, n,
                   CopyFlags{n, static_cast<const int*>(flags->gpu_data()), to, late.stop()});
  });
}

}  // namespace maap
