#include "call.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <thread>
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
  if (!python_is_running()) return;  // the process ends: the memory is not needed
  const WithPython lock;
  Py_DECREF(static_cast<PyObject*>(object));
}

std::atomic<int> threads_without_python{0};
thread_local int depth_without_python = 0;  // of this thread
std::atomic<bool> python_is_ending{false};

bool is_main_thread() {
  const py::module_ threading = py::module_::import("threading");
  return threading.attr("current_thread")().is(threading.attr("main_thread")());
}

[[noreturn]] void sleep_forever() {
  for (;;) pause();
}

struct CompanionEntry {
  std::weak_ptr<void> object;
  shared_ptr<Companion> companion;
};

/// By the object's address; protected by Python's lock.
std::map<const void*, CompanionEntry>& companions() {
  static auto* const all = new std::map<const void*, CompanionEntry>();
  return *all;
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
  return py::module_::import("caffe.fixed")
      .attr("FixedList")(
          all, "a layer's blobs cannot be replaced: write into one, top[0].data[...] = array");
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

PythonCallback::PythonCallback(const vector<py::function>& functions) {
  for (const py::function& function : functions) functions_.push_back(hold(function));
}

int PythonCallback::visit(visitproc visit, void* arg) const {
  for (const shared_ptr<void>& function : functions_) {
    Py_VISIT(static_cast<PyObject*>(function.get()));
  }
  return 0;
}

shared_ptr<Companion> companion_of(const shared_ptr<void>& object) {
  const auto found = companions().find(object.get());
  if (found != companions().end() && !found->second.object.expired()) {
    return found->second.companion;
  }
  vector<shared_ptr<Companion>> outlived;  // freed at the end, because freeing may run any code
  for (auto entry = companions().begin(); entry != companions().end();) {
    if (entry->second.object.expired()) {
      outlived.push_back(entry->second.companion);
      entry = companions().erase(entry);
    } else {
      ++entry;
    }
  }
  CompanionEntry& entry = companions()[object.get()];
  entry = {object, std::make_shared<Companion>()};
  return entry.companion;
}

Companion* lonely_companion(const shared_ptr<void>& object) {
  if (object.use_count() > 2) return nullptr;
  const auto found = companions().find(object.get());
  return found == companions().end() || found->second.object.expired()
             ? nullptr
             : found->second.companion.get();
}

WithPython::WithPython() {
  try {
    state_ = PyGILState_Ensure();
  } catch (...) {  // Python ends this thread with an exception
    sleep_forever();
  }
}

WithoutPython::WithoutPython() {
  const bool is_too_late = python_is_ending && !is_main_thread();
  state_ = PyEval_SaveThread();
  if (is_too_late) sleep_forever();
  ++threads_without_python;
  ++depth_without_python;
}

WithoutPython::~WithoutPython() {
  --depth_without_python;
  --threads_without_python;
  try {
    PyEval_RestoreThread(state_);
  } catch (...) {
    sleep_forever();
  }
}

void wait_for_threads_at_exit() {
  pthread_atfork(nullptr, nullptr, [] { threads_without_python = depth_without_python; });
  py::module_::import("atexit").attr("register")(py::cpp_function([] {
    python_is_ending = true;
    const auto latest = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    PyThreadState* const state = PyEval_SaveThread();
    while (threads_without_python > 0 && std::chrono::steady_clock::now() < latest) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    PyEval_RestoreThread(state);
  }));
}

void InUse::lock() {
  become_ours();
  std::unique_lock<std::mutex> held(shared_->mutex);
  if (lost_) {
    CAFFE_FAIL("another thread was computing with this net when the process was forked, so that it "
               << "is incomplete here: create a new one in this process");
  }
  const std::thread::id me = std::this_thread::get_id();
  shared_->change.wait(held, [&] { return depth_ == 0 || owner_ == me; });
  owner_ = me;
  ++depth_;
}

void InUse::unlock() {
  become_ours();
  {
    const std::lock_guard<std::mutex> held(shared_->mutex);
    --depth_;
  }
  shared_->change.notify_one();
}

/// In a forked child, where another thread may have had the mutex: takes a new one.
void InUse::become_ours() {
  static std::mutex one_at_a_time;
  if (shared_.is_ours()) return;
  const maap::NoFork while_locked;
  const std::lock_guard<std::mutex> held(one_at_a_time);
  if (shared_.is_ours()) return;
  lost_ = lost_ || (depth_ > 0 && !maap::has_forked(owner_));
  shared_.reset(new Shared());
}

Call::Call(vector<shared_ptr<Companion>> companions) : companions_(std::move(companions)) {
  // All threads lock in the same order; otherwise two could wait for each other.
  std::sort(companions_.begin(), companions_.end());
  for (const shared_ptr<Companion>& companion : companions_) {
    locks_.emplace_back(companion->in_use);
  }
}

}  // namespace python
}  // namespace caffe
