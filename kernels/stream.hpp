#ifndef KERNELS_STREAM_HPP_
#define KERNELS_STREAM_HPP_

struct CUstream_st;  // CUDA's name for what a cudaStream_t points to

namespace maap {

/// A stream of a GPU; null is the legacy default stream.
typedef CUstream_st* Stream;

/// The stream that the calling thread's launches go to. Null, until the thread sets another one.
Stream current_stream();
void set_current_stream(Stream stream);

/// Sets the calling thread's stream for as long as this object exists.
class OnStream {
 public:
  explicit OnStream(Stream stream) : before_(current_stream()) { set_current_stream(stream); }
  ~OnStream() { set_current_stream(before_); }
  OnStream(const OnStream&) = delete;
  OnStream& operator=(const OnStream&) = delete;

 private:
  Stream before_;
};

}  // namespace maap

#endif  // KERNELS_STREAM_HPP_
