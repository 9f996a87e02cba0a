#include "caffe/util/lmdb_pages.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace caffe {
namespace db {

namespace {

constexpr uint32_t kMagic = 0xBEEFC0DE, kVersion = 1;
constexpr uint64_t kNoPage = ~uint64_t(0);
constexpr uint64_t kPageHeader = 16, kNodeHeader = 8;
constexpr size_t kMaxDepth = 32;
constexpr uint64_t kMaxMapSize = uint64_t(1) << 46;
constexpr uint32_t kHarmlessFlags = 0x4008;  // no folder; integer keys for free pages
enum PageFlags { kBranch = 1, kLeaf = 2 };
enum NodeFlags { kOnPagesOfItsOwn = 1, kDuplicates = 6 };

}  // namespace

MappedFile::MappedFile(const string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  CAFFE_CHECK(file >= 0, "'" << path << "' cannot be opened: " << std::strerror(errno));
  struct stat status;
  const bool known = fstat(file, &status) == 0;
  if (known) size_ = static_cast<uint64_t>(status.st_size);
  void* const memory =
      size_ > 0 ? mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
  const int error = errno;
  close(file);
  if (memory != MAP_FAILED) data_ = static_cast<const char*>(memory);
  CAFFE_CHECK(data_ != nullptr || (known && size_ == 0),
              "'" << path << "' cannot be read: " << std::strerror(error));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<char*>(data_), size_);
}

LMDBPages::LMDBPages(const string& path) : path_(path), file_(path) {
  if (file_.size() < 4096) fail("it has only " + std::to_string(file_.size()) + " bytes");
  if (read<uint32_t>(kPageHeader) != kMagic) fail("it is not an LMDB file");
  if (read<uint32_t>(kPageHeader + 4) != kVersion) fail("it has the format of a different version");
  page_size_ = read<uint32_t>(kPageHeader + 24);
  if (page_size_ < 512 || page_size_ > 65536 || (page_size_ & (page_size_ - 1)) != 0) {
    fail("its pages have " + std::to_string(page_size_) + " bytes");
  }
  for (const uint64_t offset : {uint64_t(0), page_size_}) {
    metas_.push_back(read_meta(offset + kPageHeader));
  }
  Select(newest());
}

/// A head: magic, version, address and size of the map, two trees (the free pages', which begins
/// with the size of a page and the flags, and the records') of 48 bytes, the last page's number,
/// the transaction's number.
LMDBPages::Meta LMDBPages::read_meta(uint64_t offset) const {
  const uint32_t flags = read<uint16_t>(offset + 28);
  if (read<uint32_t>(offset) != kMagic || read<uint32_t>(offset + 4) != kVersion ||
      read<uint32_t>(offset + 24) != page_size_ || (flags & ~kHarmlessFlags) != 0 ||
      read<uint64_t>(offset + 16) > kMaxMapSize) {
    fail("its head is");
  }
  const uint64_t tree = offset + 24 + 48;
  return {read<uint64_t>(tree + 32), read<uint64_t>(tree + 40), read<uint64_t>(tree + 48),
          read<uint64_t>(tree + 56)};
}

uint64_t LMDBPages::newest() const {
  uint64_t transaction = 0;
  for (const Meta& meta : metas_) transaction = std::max(transaction, meta.transaction);
  return transaction;
}

bool LMDBPages::Select(uint64_t transaction) {
  for (const Meta& meta : metas_) {
    if (meta.transaction != transaction) continue;
    meta_ = meta;
    const uint64_t pages = file_.size() / page_size_;
    if (meta.last_page >= pages) {
      fail("it is truncated: it has " + std::to_string(file_.size()) + " bytes of " +
           std::to_string((meta.last_page + 1) * page_size_));
    }
    return true;
  }
  return false;
}

void LMDBPages::fail(const string& what) const {
  CAFFE_FAIL("LMDB '" << path_ << "' is damaged: " << what << ". Copy it again or create it again");
}

std::string_view LMDBPages::bytes(uint64_t offset, uint64_t length) const {
  if (offset > file_.size() || length > file_.size() - offset) {
    fail("some data would be beyond its end");
  }
  return std::string_view(file_.data() + offset, length);
}

template <typename Int>
Int LMDBPages::read(uint64_t offset) const {
  Int value;
  std::memcpy(&value, bytes(offset, sizeof(Int)).data(), sizeof(Int));
  return value;
}

/// The number of nodes in a page of the tree.
int LMDBPages::nodes(uint64_t page) const {
  if (page > meta_.last_page) fail("a page has number " + std::to_string(page));
  const uint64_t lower = read<uint16_t>(page * page_size_ + 12);
  if (lower < kPageHeader || lower > page_size_) fail("a page has no nodes");
  return static_cast<int>((lower - kPageHeader) / 2);
}

bool LMDBPages::is_leaf(uint64_t page) const {
  const int flags = read<uint16_t>(page * page_size_ + 10);
  if (flags != kLeaf && flags != kBranch) fail("a page is of unknown kind");
  return flags == kLeaf;
}

LMDBPages::Node LMDBPages::node(uint64_t page, int index) const {
  const uint64_t start = page * page_size_;
  const uint64_t offset = start + read<uint16_t>(start + kPageHeader + 2 * index);
  const uint64_t low = read<uint16_t>(offset), high = read<uint16_t>(offset + 2);
  const uint64_t flags = read<uint16_t>(offset + 4), key_size = read<uint16_t>(offset + 6);
  Node node{bytes(offset + kNodeHeader, key_size), {}, low | high << 16 | flags << 32};
  if (!is_leaf(page)) return node;
  if (flags & kDuplicates) fail("a key has several values, which Caffe does not write");
  uint64_t value = offset + kNodeHeader + key_size;
  if (flags & kOnPagesOfItsOwn) {
    const uint64_t first = read<uint64_t>(value);
    if (first > meta_.last_page) fail("a value is on page " + std::to_string(first));
    value = first * page_size_ + kPageHeader;
  }
  node.value = bytes(value, low | high << 16);
  return node;
}

/// Moves to the first record at or below a page.
void LMDBPages::descend(uint64_t page) {
  for (;;) {
    if (places_.size() >= kMaxDepth) fail("its tree has no end");
    const int count = nodes(page);
    if (count == 0) fail("a page is empty");
    places_.push_back({page, 0});
    if (is_leaf(page)) return;
    page = node(page, 0).child;
  }
}

void LMDBPages::take() {
  const Node found = node(places_.back().page, places_.back().node);
  key_ = found.key;
  value_ = found.value;
  valid_ = true;
}

void LMDBPages::SeekToFirst() {
  valid_ = false;
  places_.clear();
  if (meta_.root == kNoPage) return;
  descend(meta_.root);
  take();
}

void LMDBPages::Next() {
  valid_ = false;
  while (!places_.empty() && ++places_.back().node >= nodes(places_.back().page)) {
    places_.pop_back();
  }
  if (places_.empty()) return;
  const Place& place = places_.back();
  if (!is_leaf(place.page)) descend(node(place.page, place.node).child);
  take();
}

}  // namespace db
}  // namespace caffe
