#ifndef CAFFE_LAYERS_JOINS_BOTTOMS_HPP_
#define CAFFE_LAYERS_JOINS_BOTTOMS_HPP_

// A layer that joins its bottoms one behind the other (Concat) has nothing to copy if the layers
// that make them write where the joined values will be. Such layers share a room, which the net
// opens for the passes where that is right (caffe/net_joins.hpp).

#include <memory>
#include <utility>

namespace caffe {

/// Memory for joined values. What it is made of, the layers of one library know.
class JoinedRoom {
 public:
  virtual ~JoinedRoom() = default;
  /// The net says before each pass whether tops may be written there.
  virtual void open(bool is_open) = 0;
};

/// A layer that joins its bottoms.
class JoinsBottoms {
 public:
  virtual ~JoinsBottoms() = default;
  virtual const std::shared_ptr<JoinedRoom>& joined_room() const = 0;
};

/// A layer whose one top can be written into a room.
class WritesIntoRoom {
 public:
  virtual ~WritesIntoRoom() = default;
  /// The top is bottom `index` of the layer that joins.
  void set_room(std::shared_ptr<JoinedRoom> room, int index) {
    room_ = std::move(room);
    room_index_ = index;
  }

 protected:
  const std::shared_ptr<JoinedRoom>& room() const { return room_; }
  int room_index() const { return room_index_; }

 private:
  std::shared_ptr<JoinedRoom> room_;
  int room_index_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_JOINS_BOTTOMS_HPP_
