#include "caffe/util/hdf5_driver.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>

#include "caffe/common.hpp"

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

namespace caffe {

namespace {

constexpr haddr_t kMostBytes = INT64_MAX;

/// An open file. HDF5 uses the base class.
struct ReadOnlyFile : H5FD_t {
  int descriptor = -1;
  haddr_t size = 0;       // bytes
  haddr_t allocated = 0;  // where HDF5 thinks that the file ends
  int bytes_of_length = 8;
  dev_t device = 0;
  ino_t inode = 0;
};

ReadOnlyFile* ours(H5FD_t* file) {
  return static_cast<ReadOnlyFile*>(file);
}
const ReadOnlyFile* ours(const H5FD_t* file) {
  return static_cast<const ReadOnlyFile*>(file);
}

/// How many bytes a length has, from the superblock at the file's start; almost always 8.
int bytes_of_length(int descriptor) {
  unsigned char start[16] = {};
  if (pread(descriptor, start, sizeof(start), 0) < static_cast<ssize_t>(sizeof(start))) return 8;
  const int given = start[8] < 2 ? start[14] : start[10];  // byte 8: the superblock's version
  return given == 2 || given == 4 ? given : 8;
}

H5FD_t* open_file(const char* name, unsigned flags, hid_t, haddr_t) {
  if ((flags & H5F_ACC_RDWR) != 0) return nullptr;
  const int descriptor = open(name, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return nullptr;
  struct stat status;
  if (fstat(descriptor, &status) != 0) {
    close(descriptor);
    return nullptr;
  }
  auto* const file = new ReadOnlyFile();
  file->descriptor = descriptor;
  file->size = static_cast<haddr_t>(status.st_size);
  file->bytes_of_length = bytes_of_length(descriptor);
  file->device = status.st_dev;
  file->inode = status.st_ino;
  return file;
}

herr_t close_file(H5FD_t* file) {
  const std::unique_ptr<ReadOnlyFile> mine(ours(file));
  return close(mine->descriptor) == 0 ? 0 : -1;
}

int compare(const H5FD_t* a, const H5FD_t* b) {
  const ReadOnlyFile *one = ours(a), *two = ours(b);
  if (one->device != two->device) return one->device < two->device ? -1 : 1;
  if (one->inode != two->inode) return one->inode < two->inode ? -1 : 1;
  return 0;
}

/// No feature is allowed: above all, small reads are not collected.
herr_t query(const H5FD_t*, unsigned long* flags) {
  if (flags != nullptr) *flags = 0;
  return 0;
}

haddr_t allocated_end(const H5FD_t* file, H5FD_mem_t) {
  return ours(file)->allocated;
}

herr_t set_allocated_end(H5FD_t* file, H5FD_mem_t, haddr_t end) {
  ours(file)->allocated = end;
  return 0;
}

haddr_t end_of_file(const H5FD_t* file, H5FD_mem_t) {
  return ours(file)->size;
}

herr_t descriptor_of(H5FD_t* file, hid_t, void** handle) {
  *handle = &ours(file)->descriptor;
  return 0;
}

/// Reads `count` bytes; what lies beyond the file's end is 0, as HDF5 expects it.
bool read_from(const ReadOnlyFile& file, haddr_t address, size_t count, char* to) {
  while (count > 0) {
    const ssize_t got = pread(file.descriptor, to, count, static_cast<off_t>(address));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    if (got == 0) break;
    to += got;
    address += static_cast<haddr_t>(got);
    count -= static_cast<size_t>(got);
  }
  std::memset(to, 0, count);
  return true;
}

/// Whether these bytes begin a local heap, where the names of a group are, that claims more bytes
/// than the file has. HDF5 1.10 adds to that size before it looks at it. The size is in bytes 8 to
/// 15 ("III.D. Disk Format: Level 1D - Local Heaps" of the format's specification, version 3).
bool is_impossible_heap(const ReadOnlyFile& file, const char* bytes, size_t count) {
  if (count < 16 || std::memcmp(bytes, "HEAP", 4) != 0) return false;
  uint64_t size = 0;
  for (int i = 0; i < file.bytes_of_length; ++i) {
    size |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[8 + i])) << 8 * i;
  }
  return size > file.size;
}

herr_t read_bytes(H5FD_t* file, H5FD_mem_t kind, hid_t, haddr_t address, size_t count, void* to) {
  const ReadOnlyFile& mine = *ours(file);
  if (address > kMostBytes || count > kMostBytes || address + count > mine.allocated) return -1;
  char* const bytes = static_cast<char*>(to);
  if (!read_from(mine, address, count, bytes)) return -1;
  return kind == H5FD_MEM_LHEAP && is_impossible_heap(mine, bytes, count) ? -1 : 0;
}

herr_t write_bytes(H5FD_t*, H5FD_mem_t, hid_t, haddr_t, size_t, const void*) {
  return -1;
}

hid_t register_driver() {
  static H5FD_class_t driver;  // HDF5 keeps a copy of it
#ifdef H5FD_CLASS_VERSION
  driver.version = H5FD_CLASS_VERSION;
  driver.value = static_cast<H5FD_class_value_t>(401);  // of those left to programs
#endif
  driver.name = "caffe_read_only";
  driver.maxaddr = kMostBytes;
  driver.fc_degree = H5F_CLOSE_WEAK;
  driver.open = open_file;
  driver.close = close_file;
  driver.cmp = compare;
  driver.query = query;
  driver.get_eoa = allocated_end;
  driver.set_eoa = set_allocated_end;
  driver.get_eof = end_of_file;
  driver.get_handle = descriptor_of;
  driver.read = read_bytes;
  driver.write = write_bytes;
  const H5FD_mem_t one_list[H5FD_MEM_NTYPES] = H5FD_FLMAP_SINGLE;
  std::memcpy(driver.fl_map, one_list, sizeof(one_list));
  return H5FDregister(&driver);
}

}  // namespace

void hdf5_read_safely(hid_t access_list) {
  static const hid_t driver = register_driver();
  CAFFE_CHECK(driver >= 0 && H5Pset_driver(access_list, driver, nullptr) >= 0,
              "HDF5 does not take a driver for reading files");
}

}  // namespace caffe
