#ifndef CAFFE_UTIL_LMDB_PAGES_HPP_
#define CAFFE_UTIL_LMDB_PAGES_HPP_

// Reads the records of an LMDB file (data version 1, little-endian, 64 bits) with every offset and
// length checked against the file. LMDB itself trusts its file: one damaged byte in a page of its
// tree, or a truncated file, ends the process. LMDB is still used for what concerns other
// processes: its read transaction protects the pages of this snapshot from being overwritten.
//
// A file consists of pages. A page of the tree begins with a header, followed by the offsets of its
// nodes. A node has a key and either the number of a page further down (branch) or a value (leaf).
// A large value is stored on separate pages; the node has the number of the first.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "caffe/common.hpp"

namespace caffe {
namespace db {

/// A file mapped into memory, as long as the object exists.
class MappedFile {
 public:
  explicit MappedFile(const string& path);
  ~MappedFile();

  const char* data() const { return data_; }
  uint64_t size() const { return size_; }

 private:
  const char* data_ = nullptr;
  uint64_t size_ = 0;

  DISABLE_COPY_AND_ASSIGN(MappedFile);
};

/// The records of the snapshot that Select() chooses.
class LMDBPages {
 public:
  /// Throws if the file is damaged, truncated or not an LMDB file.
  explicit LMDBPages(const string& path);

  /// The number of the newest snapshot.
  uint64_t newest() const;
  /// Switches to the records of a snapshot; false if the snapshot's head is no longer in the file.
  bool Select(uint64_t transaction);

  void SeekToFirst();
  void Next();
  bool valid() const { return valid_; }
  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }

 private:
  struct Meta {
    uint64_t entries, root, last_page, transaction;
  };
  struct Place {
    uint64_t page;
    int node;
  };
  struct Node {
    std::string_view key, value;
    uint64_t child;
  };

  [[noreturn]] void fail(const string& what) const;
  template <typename Int>
  Int read(uint64_t offset) const;
  std::string_view bytes(uint64_t offset, uint64_t length) const;
  Meta read_meta(uint64_t offset) const;
  int nodes(uint64_t page) const;
  bool is_leaf(uint64_t page) const;
  Node node(uint64_t page, int index) const;
  void descend(uint64_t page);
  void take();

  string path_;
  MappedFile file_;
  uint64_t page_size_ = 0;
  vector<Meta> metas_;
  Meta meta_{};
  vector<Place> places_;  // from the root down to the leaf
  bool valid_ = false;
  std::string_view key_, value_;
};

}  // namespace db
}  // namespace caffe

#endif  // CAFFE_UTIL_LMDB_PAGES_HPP_
