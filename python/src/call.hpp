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

/// What Python keeps about a net or a solver.
struct Companion {
  std::recursive_mutex in_use;
  vector<shared_ptr<void>> callbacks;  // which the engine knows by plain pointers
  vector<uint64_t> shapes;             // of a net: see Running
};

/// The companion, made at the first call. It lives a little longer than its object.
shared_ptr<Companion> companion_of(const shared_ptr<void>& object);

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
