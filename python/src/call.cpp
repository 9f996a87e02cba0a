#include "call.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace caffe {
namespace python {

namespace {

bool python_is_running() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsInitialized() != 0 && Py_IsFinalizing() == 0;
#else
  return Py_IsInitialized() != 0 && _Py_IsFinalizing() == 0;
#endif
}

void let_go(void* object) {
  if (!python_is_running()) return;  // the process ends: nobody needs the memory
  py::gil_scoped_acquire lock;
  Py_DECREF(static_cast<PyObject*>(object));
}

}  // namespace

py::str to_str(const string& text) {
  PyObject* decoded =
      PyUnicode_DecodeUTF8(text.data(), static_cast<py::ssize_t>(text.size()), "surrogateescape");
  if (decoded == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(decoded);
}

py::list to_list(const vector<string>& texts) {
  py::list all;
  for (const string& text : texts) all.append(to_str(text));
  return all;
}

py::list to_list(const vector<Blob<float>*>& blobs) {
  py::list all;
  for (Blob<float>* blob : blobs) all.append(py::cast(blob, py::return_value_policy::reference));
  return all;
}

shared_ptr<void> hold(const py::object& object) {
  return shared_ptr<void>(object.inc_ref().ptr(), let_go);
}

int checked_index(py::ssize_t index, size_t count, const char* what) {
  const py::ssize_t from_start = index < 0 ? index + static_cast<py::ssize_t>(count) : index;
  if (from_start < 0 || from_start >= static_cast<py::ssize_t>(count)) {
    throw py::index_error(string(what) + " " + std::to_string(index) + " of " +
                          std::to_string(count));
  }
  return static_cast<int>(from_start);
}

shared_ptr<Companion> companion_of(const shared_ptr<void>& object) {
  struct Entry {
    std::weak_ptr<void> object;
    shared_ptr<Companion> companion;
  };
  static auto* const entries = new std::map<const void*, Entry>();  // guarded by Python's lock
  const auto found = entries->find(object.get());
  if (found != entries->end() && !found->second.object.expired()) return found->second.companion;
  vector<shared_ptr<Companion>> outlived;  // freed at the end: that may run any code
  for (auto entry = entries->begin(); entry != entries->end();) {
    if (entry->second.object.expired()) {
      outlived.push_back(entry->second.companion);
      entry = entries->erase(entry);
    } else {
      ++entry;
    }
  }
  Entry& entry = (*entries)[object.get()];
  entry = {object, std::make_shared<Companion>()};
  return entry.companion;
}

Call::Call(vector<shared_ptr<Companion>> companions) : companions_(std::move(companions)) {
  // Everybody in the same order, or two could wait for each other.
  std::sort(companions_.begin(), companions_.end());
  for (const shared_ptr<Companion>& companion : companions_) {
    locks_.emplace_back(companion->in_use);
  }
}

}  // namespace python
}  // namespace caffe
