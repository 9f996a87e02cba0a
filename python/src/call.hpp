#ifndef CAFFE_PYTHON_CALL_HPP_
#define CAFFE_PYTHON_CALL_HPP_

// How Python and the engine call each other.
//
// Into the engine: whatever may take long runs inside a Call, without Python's lock, so that other
// threads of Python go on. A net is used by one thread at a time: a Call waits for the others that
// use the same one, as Python's lock made them wait in BVLC's pycaffe.
//
// Back into Python: callbacks and Python layers take the lock with py::gil_scoped_acquire. What
// they raise travels through the engine as py::error_already_set and arrives as it was raised,
// traceback included. Python objects that the engine holds are held by hold(): it may let go of
// them in any thread.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "caffe/layer.hpp"

namespace caffe {
namespace python {

namespace py = pybind11;
using Path = std::filesystem::path;

/// Text of the engine; bytes that are not UTF-8 become surrogates, as in Python's file names.
py::str to_str(const string& text);
py::list to_list(const vector<string>& texts);

/// The blobs as Python sees them. They outlive their net.
py::list to_list(const vector<Blob<float>*>& blobs);

/// A reference to a Python object that any thread may drop, with or without Python's lock.
shared_ptr<void> hold(const py::object& object);

/// The index in [0, count) that a possibly negative one means; IndexError when there is none.
int checked_index(py::ssize_t index, size_t count, const char* what);

/// While it exists, this thread holds Python's lock.
///
/// These two, not pybind11's: when Python ends, it kills threads that ask for its lock, daemon
/// threads of Python's module threading, in the middle of C++. Here such a thread sleeps instead.
class WithPython {
 public:
  WithPython();
  ~WithPython() { PyGILState_Release(state_); }

 private:
  PyGILState_STATE state_;
};

/// Functions of Python that the engine calls.
class PythonCallback {
 public:
  explicit PythonCallback(const vector<py::function>& functions);
  virtual ~PythonCallback() = default;
  /// For Python's collector of garbage.
  int visit(visitproc visit, void* argument) const;
  void forget() { functions_.clear(); }

 protected:
  /// Calls function number i, which may have been forgotten.
  template <typename... Arguments>
  void call(size_t i, Arguments... arguments) const {
    const WithPython lock;
    if (i >= functions_.size()) return;
    const shared_ptr<void> function = functions_[i];  // the call may forget it
    py::handle(static_cast<PyObject*>(function.get()))(arguments...);
  }

 private:
  vector<shared_ptr<void>> functions_;
};

/// What Python keeps about a net or a solver.
struct Companion {
  std::recursive_mutex in_use;
  vector<shared_ptr<PythonCallback>> callbacks;  // which the engine knows by plain pointers
  vector<uint64_t> shapes;                       // of a net: see Running
};

/// The companion, made at the first call. It lives a little longer than its object.
shared_ptr<Companion> companion_of(const shared_ptr<void>& object);

/// While it exists, this thread is without Python's lock.
class WithoutPython {
 public:
  WithoutPython();
  ~WithoutPython();

 private:
  PyThreadState* state_;
};

/// While it exists, this thread is without Python's lock and alone in using the objects.
class Call {
 public:
  explicit Call(const shared_ptr<Companion>& companion)
      : Call(vector<shared_ptr<Companion>>{companion}) {}
  explicit Call(vector<shared_ptr<Companion>> companions);

 private:
  vector<shared_ptr<Companion>> companions_;
  WithoutPython without_python_;
  vector<std::unique_lock<std::recursive_mutex>> locks_;  // let go before Python's is taken again
};

/// At Python's exit, waits for the threads that are without its lock.
void wait_for_threads_at_exit();

/// The companion, if there is one and nobody holds the object but its owner and the caller: then
/// what is reachable through its callbacks is reachable through the owner only.
Companion* lonely_companion(const shared_ptr<void>& object);

/// What Python's collector of garbage asks of a pybind11 class with holder shared_ptr<T>.
template <typename T>
struct Garbage {
  typedef vector<shared_ptr<void>> (*PartsOf)(T* object);
  static inline traverseproc former_traverse = nullptr;
  static inline inquiry former_clear = nullptr;
  static inline PartsOf parts_of = nullptr;

  /// Those of the object and its parts. An object's owner is Python's object, a part's the object.
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

/// Lets Python's collector see the callbacks of a net or a solver and of the nets that are its
/// parts, for py::class_<T, shared_ptr<T>> with dynamic attributes: a callback that refers to its
/// own net would keep both for ever. A part that Python holds, too, keeps what its callbacks hold.
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

// One for each file here.
void bind_blob(py::module_* module);
void bind_layer(py::module_* module);
void bind_net(py::module_* module);
void bind_solver(py::module_* module);
/// Registers the layer type "Python".
void register_python_layer();

}  // namespace python
}  // namespace caffe

#endif  // CAFFE_PYTHON_CALL_HPP_
