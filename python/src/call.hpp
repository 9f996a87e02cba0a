#ifndef PYTHON_SRC_CALL_HPP_
#define PYTHON_SRC_CALL_HPP_

// How Python and the engine call each other.
//
// Into the engine: anything that may take long runs inside a Call, without Python's lock, so that
// other Python threads continue. A net is used by one thread at a time: a Call waits for the others
// that use the same one, as in BVLC's pycaffe, where Python's lock made them wait.
//
// Back into Python: callbacks and Python layers take the lock with py::gil_scoped_acquire. Their
// exceptions pass through the engine as py::error_already_set and arrive unchanged, with the
// traceback. The engine keeps Python objects with hold(), because it may release them in any
// thread.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "caffe/layer.hpp"

namespace caffe {
namespace python {

namespace py = pybind11;
using Path = std::filesystem::path;

/// A text from the engine; bytes that are not UTF-8 become surrogates, as in Python's file names.
py::str to_str(const string& text);
py::list to_list(const vector<string>& texts);

/// The blobs in Python. They outlive their net.
py::list to_list(const vector<Blob<float>*>& blobs);

/// A reference to a Python object that any thread may release, with or without Python's lock.
shared_ptr<void> hold(const py::object& object);

/// The index in [0, count) that a possibly negative one means; IndexError if out of range.
int checked_index(py::ssize_t index, size_t count, const char* what);

/// While it exists, this thread holds Python's lock.
///
/// They replace pybind11's classes: when Python ends, it kills threads that request its lock
/// (daemon threads of the module threading) in the middle of C++. With these classes such a thread
/// sleeps instead.
class WithPython {
 public:
  WithPython();
  ~WithPython() { PyGILState_Release(state_); }

 private:
  PyGILState_STATE state_;
};

/// Python functions that the engine calls.
class PythonCallback {
 public:
  explicit PythonCallback(const vector<py::function>& functions);
  virtual ~PythonCallback() = default;
  /// For Python's garbage collector.
  int visit(visitproc visit, void* argument) const;
  void forget() { functions_.clear(); }

 protected:
  /// Calls function number i, which may have been removed.
  template <typename... Arguments>
  void call(size_t i, Arguments... arguments) const {
    const WithPython lock;
    if (i >= functions_.size()) return;
    const shared_ptr<void> function = functions_[i];  // the call may remove it
    py::handle(static_cast<PyObject*>(function.get()))(arguments...);
  }

 private:
  vector<shared_ptr<void>> functions_;
};

/// A net's or a solver's lock. The thread that has it may lock it again, in a forked child too.
/// There lock() throws if another thread had it at the fork, because what it was changing is
/// incomplete.
class InUse {
 public:
  void lock();
  void unlock();

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable change;
  };
  void become_ours();

  maap::OfProcess<Shared> shared_{new Shared()};
  std::thread::id owner_;
  int depth_ = 0;
  bool lost_ = false;
};

/// Data that Python keeps for a net or a solver.
struct Companion {
  InUse in_use;
  vector<shared_ptr<PythonCallback>> callbacks;  // to which the engine has plain pointers
  vector<uint64_t> shapes;                       // for a net: see Running
};

/// The companion, created at the first call. It exists slightly longer than its object.
shared_ptr<Companion> companion_of(const shared_ptr<void>& object);

/// While it exists, this thread does not hold Python's lock.
class WithoutPython {
 public:
  WithoutPython();
  ~WithoutPython();

 private:
  PyThreadState* state_;
};

/// While it exists, this thread does not hold Python's lock and is the only one to use the objects.
class Call {
 public:
  explicit Call(const shared_ptr<Companion>& companion)
      : Call(vector<shared_ptr<Companion>>{companion}) {}
  explicit Call(vector<shared_ptr<Companion>> companions);

 private:
  vector<shared_ptr<Companion>> companions_;
  WithoutPython without_python_;
  vector<std::unique_lock<InUse>> locks_;  // released before taking Python's again
};

/// At Python's exit, waits for the threads that do not hold its lock.
void wait_for_threads_at_exit();

/// The companion, if there is one and only the owner and the caller hold the object: then
/// everything that its callbacks reach is reachable only through the owner.
Companion* lonely_companion(const shared_ptr<void>& object);

/// The functions that Python's garbage collector needs from a pybind11 class with holder
/// shared_ptr<T>.
template <typename T>
struct Garbage {
  typedef vector<shared_ptr<void>> (*PartsOf)(T* object);
  static inline traverseproc former_traverse = nullptr;
  static inline inquiry former_clear = nullptr;
  static inline PartsOf parts_of = nullptr;

  /// The companions of the object and its parts. The owner of an object is its Python object, the
  /// owner of a part is the object.
  static vector<Companion*> companions(PyObject* self) {
    vector<Companion*> found;
    auto* const instance = reinterpret_cast<py::detail::instance*>(self);
    if (!instance->get_value_and_holder().holder_constructed()) return found;
    try {
      const shared_ptr<void> object = py::handle(self).cast<shared_ptr<T>>();
      if (object.use_count() > 2) return found;
      found.push_back(lonely_companion(object));
      if (parts_of != nullptr) {
        for (const shared_ptr<void>& part : parts_of(static_cast<T*>(object.get()))) {
          found.push_back(lonely_companion(part));
        }
      }
    } catch (const std::exception&) {
      found.clear();
    }
    found.erase(std::remove(found.begin(), found.end(), nullptr), found.end());
    return found;
  }
  static int traverse(PyObject* self, visitproc visit, void* argument) {
    if (const int result = former_traverse(self, visit, argument)) return result;
    for (const Companion* const companion : companions(self)) {
      for (const auto& callback : companion->callbacks) {
        if (const int result = callback->visit(visit, argument)) return result;
      }
    }
    return 0;
  }
  static int clear(PyObject* self) {
    for (const Companion* const companion : companions(self)) {
      for (const auto& callback : companion->callbacks) callback->forget();
    }
    return former_clear(self);
  }
};

/// Shows Python's garbage collector the callbacks of a net or a solver and of its nets, for
/// py::class_<T, shared_ptr<T>> with dynamic attributes: otherwise a callback that refers to its
/// own net would keep both forever. If Python also holds a part, the part keeps what its callbacks
/// hold.
template <typename T>
py::custom_type_setup collect_callbacks(typename Garbage<T>::PartsOf parts_of = nullptr) {
  Garbage<T>::parts_of = parts_of;
  return py::custom_type_setup([](PyHeapTypeObject* type) {
    Garbage<T>::former_traverse = type->ht_type.tp_traverse;
    Garbage<T>::former_clear = type->ht_type.tp_clear;
    type->ht_type.tp_traverse = Garbage<T>::traverse;
    type->ht_type.tp_clear = Garbage<T>::clear;
  });
}

// One for each file in this folder.
void bind_blob(py::module_* module);
void bind_layer(py::module_* module);
void bind_net(py::module_* module);
void bind_nccl(py::module_* module);
void bind_ranks(py::module_* module);
void bind_solver(py::module_* module);
/// Registers the layer type "Python".
void register_python_layer();

}  // namespace python
}  // namespace caffe

#endif  // PYTHON_SRC_CALL_HPP_
