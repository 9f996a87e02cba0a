#ifndef TESTS_SHADOW_MEMORY_HPP_
#define TESTS_SHADOW_MEMORY_HPP_

// The memory of the shadow devices: a range of addresses that nobody can touch, in which the blocks
// that operations name or touch are opened while operations run. Every block ends at the end of a
// page (but for the 15 bytes that its alignment to 16 may cost) and has a closed page before and
// after it; what remains of its first page holds a pattern that is checked.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace shadow {

/// What fills new memory and the rest of a block's first page: NaN as float and as double, and as
/// an index far outside of everything.
constexpr uint32_t kPattern = 0x7FF7FFF7;
void fill_with_pattern(void* begin, size_t bytes);

/// Copies and fills may touch every device's memory, kernels only their own device's.
constexpr int kAnyDevice = -1;

struct Block {
  enum State {
    kPlanned,  // cudaMallocAsync was called; its stream has not reached it
    kLive,
    kFreed
  };
  uintptr_t begin, end;             // the bytes that the program asked for
  uintptr_t first_page, last_page;  // of the mapping: [first_page, last_page)
  int device;
  State state;
  bool released;  // the program has called cudaFree or cudaFreeAsync
  bool is_open, is_filled;
};

class Memory {
 public:
  static Memory& get();

  /// A new block; 0 if the addresses are used up.
  uintptr_t allocate(size_t bytes, int device, Block::State state);
  /// cudaMallocAsync's operation has run.
  void begin_life(uintptr_t address);
  /// Marks the block as released by the program; returns its bytes, or 0 if there is no such block.
  size_t release(uintptr_t address, int* device);
  /// Makes a released block inaccessible. Throws a Fault if its pattern was overwritten.
  void end_life(uintptr_t address);

  bool is_device(uintptr_t address) const { return address >= low_ && address < high_; }
  /// The block that the address lies in, or whose end it is, copied into *block.
  bool find(uintptr_t address, Block* block);
  /// "" if [address, address + bytes) lies in one block that the program has not released, else
  /// what is wrong with it.
  std::string what_is_wrong_with(uintptr_t address, size_t bytes);

  /// Opens the block of an address that an operation names, if there is one.
  void open(uintptr_t address, int device);
  /// From the handler of a fault: true if the address belongs to a live block of that device, which
  /// is open now.
  bool open_after_fault(uintptr_t address, int device);
  /// Compares the bytes next to these blocks with the pattern; the name of the first block that has
  /// something else, or "".
  std::string overwritten(const std::vector<uintptr_t>& addresses);
  /// Closes all blocks; as overwritten(), for all that were open.
  std::string close_all();
  /// Where an address lies relative to the nearest block, as a sentence.
  std::string describe(uintptr_t address);

 private:
  Memory();
  typedef std::map<uintptr_t, Block> Blocks;
  Blocks::iterator block_at(uintptr_t address);
  uintptr_t place_for(size_t span);
  void open(Block* block);
  std::string close(Block* block);
  void close_open_ones();

  uintptr_t low_, high_, next_;
  std::mutex mutex_;
  Blocks blocks_;  // by first_page
  std::vector<Block*> open_;
  std::string overwritten_;  // what close_open_ones() found
};

/// Throws a Fault if these bytes, which `who` is about to read or write on the device, are not in
/// one block that the program has not freed.
void expect_on_device(const char* who, const void* memory, size_t bytes);

}  // namespace shadow

#endif  // TESTS_SHADOW_MEMORY_HPP_
