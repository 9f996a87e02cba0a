#include "caffe/parallel/communicator.hpp"

#include "caffe/parallel/mpi.hpp"
#include "call.hpp"

namespace caffe {
namespace python {

namespace {

using RanksPtr = shared_ptr<Communicator>;

/// None if this process is alone.
RanksPtr join_world() {
  const WithoutPython without_python;
  const RanksPtr ranks = world_communicator();
  if (ranks != nullptr) prepare_process(ranks.get());
  return ranks;
}

py::list gather(const RanksPtr& ranks, const py::bytes& mine) {
  const string own = mine;
  vector<string> all;
  {
    const WithoutPython without_python;
    all = ranks->gather(own);
  }
  py::list list;
  for (const string& one : all) list.append(py::bytes(one));
  return list;
}

py::bytes broadcast(const RanksPtr& ranks, const std::optional<py::bytes>& data, int root) {
  if (root < 0 || root >= ranks->size()) {
    throw py::value_error("there is no rank " + std::to_string(root) + ": the ranks are 0 to " +
                          std::to_string(ranks->size() - 1));
  }
  if (ranks->rank() == root && !data) {
    throw py::value_error("the rank that sends must give data, not None");
  }
  string text;
  if (ranks->rank() == root) text = *data;
  {
    const WithoutPython without_python;
    uint64_t bytes = text.size();
    ranks->broadcast(root, sizeof(bytes), &bytes);
    text.resize(bytes);
    ranks->broadcast(root, bytes, &text[0]);
  }
  return py::bytes(text);
}

template <typename Dtype>
bool sum_if(const RanksPtr& ranks, py::array* values) {
  if (!py::isinstance<py::array_t<Dtype>>(*values)) return false;
  auto* const data = static_cast<Dtype*>(values->mutable_data());  // throws if it is read-only
  const auto count = static_cast<size_t>(values->size());
  const WithoutPython without_python;
  ranks->sum(count, data);
  return true;
}

void sum(const RanksPtr& ranks, py::array values) {
  if ((values.flags() & py::array::c_style) == 0) {
    throw py::value_error("the array must be C contiguous");
  }
  if (!sum_if<float>(ranks, &values) && !sum_if<double>(ranks, &values)) {
    throw py::type_error("the array must be float32 or float64, not " +
                         py::str(values.dtype()).cast<string>());
  }
}

}  // namespace

void bind_ranks(py::module_* module) {
  py::class_<Communicator, RanksPtr>(
      *module, "Communicator",
      "The ranks that compute together, numbered from 0. All ranks must make the same calls in\n"
      "the same order; a call may wait for the others. After a TypeError or ValueError in one\n"
      "rank alone the others still wait for it: it must make the call again, or call abort().\n"
      "CaffeError, now and from then on, if a rank fails, ends too early or does not answer; the\n"
      "message names it.")
      .def_property_readonly("rank", &Communicator::rank, "This process's number.")
      .def_property_readonly("size", &Communicator::size, "The number of ranks.")
      .def_property_readonly("local_rank", &Communicator::local_rank,
                             "This process's number among the ranks of its machine.")
      .def_property_readonly("local_size", &Communicator::local_size,
                             "The number of ranks of this machine.")
      .def("gather", &gather, py::arg("mine"),
           "What every rank gives, a list of bytes by rank; in every rank.")
      .def("broadcast", &broadcast, py::arg("data"), py::arg("root") = 0,
           "Returns rank root's bytes in every rank. What others give is ignored; None will do.")
      .def(
          "barrier",
          [](const RanksPtr& ranks) {
            const WithoutPython without_python;
            ranks->barrier();
          },
          "Waits until all ranks are here.")
      .def(
          "sum", &sum, py::arg("values"),
          "Adds up an array (float32 or float64, C contiguous, of one size in all ranks) over the\n"
          "ranks, in place. Every rank gets the same bits. TypeError or ValueError for another\n"
          "kind of array.")
      .def(
          "abort",
          [](const RanksPtr& ranks, const string& why) {
            const WithoutPython without_python;
            ranks->abort(why);
          },
          py::arg("why"),
          "Ends the group: from now on every call, in every rank, raises CaffeError with this\n"
          "text. Give the rank and the reason.");
  module->def("world_communicator", &join_world,
              "The ranks that MPI's launcher started; None if it started this process alone. See\n"
              "caffe.ranks.world.");
}

}  // namespace python
}  // namespace caffe
