#include "kernels/stream.hpp"

namespace maap {

namespace {

thread_local Stream stream_of_thread = nullptr;

}  // namespace

Stream current_stream() {
  return stream_of_thread;
}

void set_current_stream(Stream stream) {
  stream_of_thread = stream;
}

}  // namespace maap
