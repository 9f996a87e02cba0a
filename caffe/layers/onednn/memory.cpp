#include "caffe/layers/onednn/memory.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "caffe/layers/onednn/pieces.hpp"
#include "caffe/util/buffer_cache.hpp"
#include "caffe/util/cpu_isa.hpp"
#include "caffe/util/reorder_count.hpp"

namespace caffe {
namespace onednn {

namespace {

constexpr int kSlots = 9;

struct Room {
  std::shared_ptr<void> memory;
  size_t bytes = 0;
};

dnnl::stream& cpu_stream() {
  static thread_local dnnl::stream stream(cpu_engine());
  return stream;
}

SyncedMemory* block_of(const Blob<float>& blob, Part part) {
  return (part == Part::kData ? blob.data() : blob.diff()).get();
}

}  // namespace

dnnl::engine& cpu_engine() {
  // Never destroyed: a thread's scratch memory may be freed later.
  static auto* const engine = [] {
    avx512_allowed();  // tells oneDNN
    return new dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return *engine;
}

void run(const dnnl::primitive& primitive, const Arguments& arguments) {
  const maap::NoFork while_locked;
  try {
    primitive.execute(cpu_stream(), arguments);
    cpu_stream().wait();
  } catch (const dnnl::error& error) {
    CAFFE_FAIL("oneDNN: " << error.what() << " (set engine: CAFFE to avoid oneDNN)");
  }
}

void* scratch(Slot slot, size_t bytes) {
  static thread_local Room rooms[kSlots];
  Room& room = rooms[static_cast<int>(slot)];
  if (room.bytes < bytes) {
    room = Room();  // free the old buffer first: both together may not fit
    room.memory = own_buffer(bytes);
    room.bytes = bytes;
  }
  return room.memory.get();
}

dnnl::memory scratch(Slot slot, const Layout& layout) {
  return dnnl::memory(layout, cpu_engine(), scratch(slot, layout.get_size()));
}

Layout plain_layout(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (int axis = static_cast<int>(dims.size()) - 2; axis >= 0; --axis) {
    strides[axis] = strides[axis + 1] * dims[axis + 1];
  }
  return Layout(dims, dnnl::memory::data_type::f32, strides);
}

Layout any_layout(const Dims& dims, Numbers numbers) {
  return Layout(dims, numbers, dnnl::memory::format_tag::any);
}

Numbers numbers_of(const Layout& layout) {
#if DNNL_VERSION_MAJOR < 3
  return layout.data_type();
#else
  return layout.get_data_type();
#endif
}

Dims dims_of(const Layout& layout) {
#if DNNL_VERSION_MAJOR < 3
  return layout.dims();
#else
  return layout.get_dims();
#endif
}

Dims dims_of(const Blob<float>& blob) {
  return Dims(blob.shape().begin(), blob.shape().end());
}

std::shared_ptr<OneDnnCopy> PendingSum::computed() const {
  auto sum = OneDnnCopy::make(a_->layout());
  in_pieces({&a_->memory(), &b_->memory()}, {&sum->memory()}, kPieceLength, [](const Piece& piece) {
    const float *const a = piece.x[0], *const b = piece.x[1];
    float* const to = piece.y[0];
    const int64_t count = piece.count;
#pragma omp parallel for simd
    for (int64_t i = 0; i < count; ++i) to[i] = a[i] + b[i];
  });
  return sum;
}

std::shared_ptr<PendingSum> pending_sum(const Blob<float>& blob, Part part, const Layout& layout) {
  const SyncedMemory* const block = block_of(blob, part);
  if (!block->foreign_is_current()) return nullptr;
  auto sum = std::dynamic_pointer_cast<PendingSum>(block->foreign());
  return sum != nullptr && sum->a().layout() == layout ? sum : nullptr;
}

std::shared_ptr<OneDnnCopy> current_copy(const Blob<float>& blob, Part part) {
  SyncedMemory* const block = block_of(blob, part);
  if (!block->foreign_is_current()) return nullptr;
  if (const auto sum = std::dynamic_pointer_cast<PendingSum>(block->foreign())) {
    const bool alone = block->head() == SyncedMemory::HEAD_AT_FOREIGN;
    if (alone) {
      block->foreign_written(sum->computed());
    } else {
      block->foreign_filled(sum->computed());
    }
  }
  auto copy = std::dynamic_pointer_cast<OneDnnCopy>(block->foreign());
  if (copy == nullptr) return nullptr;
  const Dims& dims = copy->dims();
  const vector<int>& shape = blob.shape();
  return std::equal(dims.begin(), dims.end(), shape.begin(), shape.end()) ? copy : nullptr;
}

bool is_foreign(const Blob<float>& blob, Part part) {
  return current_copy(blob, part) != nullptr;
}

Layout layout_of(const Blob<float>& blob, Part part) {
  const auto copy = current_copy(blob, part);
  return copy != nullptr ? copy->layout() : plain_layout(dims_of(blob));
}

Layout blocked_layout(const Dims& dims, int block, Numbers numbers) {
  typedef dnnl::memory::format_tag Tag;
  return Layout(dims, numbers, block == 16 ? Tag::nChw16c : Tag::nChw8c);
}

int stored_block(const Layout& layout) {
  const Dims dims = dims_of(layout);
  if (dims.size() != 4) return 0;
  for (const int block : {16, 8}) {
    if (layout == blocked_layout(dims, block, numbers_of(layout))) return block;
  }
  return 0;
}

int channel_block(const Layout& layout) {
  return is_bf16(layout) ? 0 : stored_block(layout);
}

int full_block(const Blob<float>& blob) {
  const auto copy = current_copy(blob);
  const int block = copy == nullptr ? 0 : stored_block(copy->layout());
  return block != 0 && blob.shape(1) % block == 0 ? block : 0;
}

void reorder(const dnnl::memory& from, const dnnl::memory& to, bool add) {
  const maap::NoFork while_locked;  // oneDNN's cache of primitives
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (add) {
    dnnl::post_ops sum;
    sum.append_sum(1.f);
    attributes.set_post_ops(sum);
  }
  const dnnl::reorder::primitive_desc description(cpu_engine(), from.get_desc(), cpu_engine(),
                                                  to.get_desc(), attributes);
  run(dnnl::reorder(description),
      {{DNNL_ARG_FROM, from},
       {DNNL_ARG_TO, to},
       {DNNL_ARG_SCRATCHPAD, scratch(Slot::kPrimitive, description.scratchpad_desc())}});
}

std::shared_ptr<OneDnnCopy> OneDnnCopy::make(const Layout& layout) {
  const size_t bytes = layout.get_size();
  return std::make_shared<OneDnnCopy>(layout, host_buffer(bytes), bytes);
}

std::shared_ptr<OneDnnCopy> OneDnnCopy::place_in(const OneDnnCopy& whole, size_t offset,
                                                 const Layout& layout) {
  const std::shared_ptr<void> place(whole.buffer(),
                                    static_cast<char*>(whole.buffer().get()) + offset);
  auto copy = std::make_shared<OneDnnCopy>(layout, place, layout.get_size());
  copy->is_place_ = true;
  return copy;
}

void OneDnnCopy::copy_to(void* plain) const {
  reorder(memory(), dnnl::memory(plain_layout(dims_of(layout_)), cpu_engine(), plain));
}

Input::Input(const Blob<float>& blob, Part part, const Layout& layout, Slot slot)
    : copy_(current_copy(blob, part)) {
  if (copy_ != nullptr && copy_->layout() == layout) {
    memory_ = copy_->memory();
    return;
  }
  const Layout plain = plain_layout(dims_of(blob));
  if (copy_ == nullptr || layout == plain) {
    const float* const values = part == Part::kData ? blob.cpu_data() : blob.cpu_diff();
    memory_ = dnnl::memory(plain, cpu_engine(), const_cast<float*>(values));
    if (layout == plain) return;
  } else {
    memory_ = copy_->memory();
  }
  const dnnl::memory converted = scratch(slot, layout);
  reorder(memory_, converted);
  count_reorder();
  memory_ = converted;
}

Output::Output(Blob<float>* blob, Part part, const Layout& layout) : block_(block_of(*blob, part)) {
  if (layout == plain_layout(dims_of(*blob))) {
    float* const values = part == Part::kData ? blob->mutable_cpu_data() : blob->mutable_cpu_diff();
    memory_ = dnnl::memory(layout, cpu_engine(), values);
    return;
  }
  copy_ = std::dynamic_pointer_cast<OneDnnCopy>(block_->foreign());
  // Only who made a place may write there (blocked_room.hpp).
  if (copy_ == nullptr || copy_->is_place() || copy_->is_shared() || copy_->layout() != layout) {
    const size_t bytes = layout.get_size();
    // The old buffer can be used if it has no other reader: only this copy_ and the block hold the
    // old copy.
    const bool reuse = copy_ != nullptr && copy_->capacity() >= bytes && copy_.use_count() == 2 &&
                       copy_->buffer().use_count() == 1;
    const size_t capacity = reuse ? copy_->capacity() : bytes;
    copy_ = std::make_shared<OneDnnCopy>(layout, reuse ? copy_->buffer() : host_buffer(bytes),
                                         capacity);
  }
  memory_ = copy_->memory();
}

Output::Output(Blob<float>* blob, Part part, const std::shared_ptr<OneDnnCopy>& copy)
    : block_(block_of(*blob, part)), copy_(copy), memory_(copy->memory()) {}

void Output::done() {
  if (copy_ != nullptr) block_->foreign_written(copy_);
}

dnnl::memory plain_memory(const Blob<float>& blob, const Dims& dims) {
  return dnnl::memory(plain_layout(dims), cpu_engine(), const_cast<float*>(blob.cpu_data()));
}

}  // namespace onednn
}  // namespace caffe
