#ifndef CAFFE_UTIL_LMDB_PAGES_HPP_
#define CAFFE_UTIL_LMDB_PAGES_HPP_

// Reads the records of an LMDB file (data version 1, little-endian, 64 bits) with every offset and
// length checked against the file. LMDB itself trusts its file: one damaged byte in a page of its
// tree, or a file that is cut short, ends the process. LMDB still does what other processes see:
// its read transaction keeps the pages of this snapshot from being written over.
//
// A file is pages. A page of the tree begins with a header, then come offsets of its nodes; a node
// is a key with either the number of a page further down (branch) or a value (leaf), and a large
// value stands on pages of its own, whose first the node names.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "caffe/common.hpp"

namespace caffe {
namespace db {

/// A file in memory, as long as the object lives.
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

/// The records of the newest snapshot but those that came after `transaction`.
class LMDBPages {
 public:
  /// Throws when the file is damaged, cut short or no LMDB.
  explicit LMDBPages(const string& path);

  /// The number of the newest snapshot.
  uint64_t newest() const;
  /// Makes the records those of a snapshot; false when its head is not in the file any more.
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
