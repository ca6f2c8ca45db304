#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/numbers.h"
#include "storage/list_table.h"
#include "storage/packed_value.h"

namespace quartet::storage {

/// A list under a key. A short one is packed inside its entry, up to the size of one node; a longer one is a table of
/// nodes, and goes back when it has shrunk to half a node.
///
/// Indices count from the head, beginning with 0. Views given out (also to `visit`) are good until the list changes; no
/// value passed in may be a view into this keyspace. An empty list is left to the caller to erase.
class ListValue : public Handle {
 public:
  /// REQUIRES: entry->type() == Type::List.
  using Handle::Handle;

  /// Adds a key with an empty list. REQUIRES: the key is not there.
  static ListValue create(Keyspace& keyspace, std::string_view key);
  /// Elements of a packed list.
  static size_t packed_size(const Entry& entry) { return packed::count(entry.bytes()); }

  size_t size() const { return is_packed() ? packed_size(*entry) : table().size(); }
  bool empty() const { return is_packed() ? entry->bytes().size() == packed::kHeaderBytes : table().size() == 0; }

  void push(End end, std::string_view value);
  /// The element at an end; integers may be written to `scratch`, at least kNumberChars bytes. REQUIRES: !empty().
  std::string_view peek(End end, char* scratch) const;
  /// Removes `count` elements from an end. During a pause of it the list is whole. REQUIRES: count <= size().
  void drop(End end, size_t count = 1, Pauses* pauses = nullptr);
  /// The work (see Pauses) of so many elements at an end, at least; once it comes to `enough` no more of them are
  /// looked at.
  /// REQUIRES: count <= size().
  size_t work_of(End end, size_t count, size_t enough) const;
  /// Moves one element from an end of this list to an end of `other`, which may be a handle of the same entry.
  /// REQUIRES: !empty().
  void move(End from, ListValue& other, End to);

  /// The element at `index`; see `peek`. REQUIRES: index < size().
  std::string_view at(size_t index, char* scratch) const;
  /// REQUIRES: index < size().
  void set(size_t index, std::string_view value);
  /// Puts `value` before or behind the first element equal to `pivot`; false where there is none.
  bool insert(std::string_view pivot, bool before, std::string_view value, Pauses* pauses = nullptr);
  /// Removes the first `most` elements equal to `value` as met from `from` (0 is no limit), and returns how many there
  /// were. During a pause of it the list is not to be looked at.
  size_t remove(std::string_view value, End from, size_t most, Pauses* pauses = nullptr);
  /// Keeps the `count` elements beginning at `start`. REQUIRES: start + count <= size().
  void trim(size_t start, size_t count, Pauses* pauses = nullptr);

  /// Calls `visit(string_view)` for `count` elements, the first at `start`, until it returns false: towards the tail,
  /// or, where `from` is the tail, towards the head (`start` counts from the head all the same). The list must not
  /// change meanwhile. REQUIRES: as many elements are there.
  template <class Visit>
  void for_each(size_t start, size_t count, Visit visit, End from = End::Head) const {
    char scratch[kNumberChars];
    walk(start, count, from, [&](const packed::Element& element) { return visit(element.text(scratch)); });
  }
  /// Calls `visit(size_t index)` for every element equal to `value`, met from `from`, until it returns false. At most
  /// `compare` elements are looked at (0 is no limit).
  template <class Visit>
  void find(std::string_view value, End from, size_t compare, Visit visit, Pauses* pauses = nullptr) const {
    const size_t elements = size();
    if (elements == 0) return;
    const std::optional<int64_t> integer = parse_int(value);
    size_t index = from == End::Head ? 0 : elements - 1;
    walk(index, compare == 0 || compare > elements ? elements : compare, from, [&](const packed::Element& element) {
      // Only equal lengths are compared byte by byte.
      breathe(pauses, element.bytes.size() == value.size() ? work_of_bytes(value.size()) : 1);
      if (element.equals(value, integer) && !visit(index)) return false;
      from == End::Head ? ++index : --index;
      return true;
    });
  }

 private:
  bool is_packed() const { return entry->encoding() == Encoding::Packed; }
  ListTable& table() const { return entry->table<ListTable>(); }
  NodeLimit limit() const { return NodeLimit::from_setting(keyspace.thresholds().list_max_listpack_size); }
  /// The offset of an element of the packed block.
  size_t packed_offset(size_t index) const;
  /// Whether the packed block may grow by so much; where it may not, the list becomes a table.
  bool make_room(size_t more_elements, size_t more_bytes);
  /// Packs a table that has become small.
  void convert_if_small();

  /// Calls `visit(const packed::Element&)` for `count` elements from `start` on, until it returns false.
  template <class Visit>
  void walk(size_t start, size_t count, End from, Visit visit) const;
};

namespace detail {

/// Visits up to `count` elements of a run from `offset` on; moves `count`. Returns false where `visit` ended the walk.
template <class Visit>
bool walk_forward(std::string_view run, size_t offset, size_t& count, Visit& visit) {
  while (count > 0 && offset < run.size()) {
    --count;
    if (!visit(packed::read_element(run, offset, offset))) return false;
  }
  return true;
}
/// The same towards the front: the first element visited is the one at `offset`; `first` is where the elements begin.
template <class Visit>
bool walk_backward(std::string_view run, size_t first, size_t offset, size_t& count, Visit& visit) {
  while (count > 0) {
    --count;
    size_t behind;
    if (!visit(packed::read_element(run, offset, behind))) return false;
    if (offset == first) return true;
    offset = packed::previous(run, offset);
  }
  return true;
}

}  // namespace detail

template <class Visit>
void ListValue::walk(size_t start, size_t count, End from, Visit visit) const {
  if (count == 0) return;
  if (is_packed()) {
    const std::string_view block = entry->bytes();
    if (from == End::Head) {
      detail::walk_forward(block, packed_offset(start), count, visit);
    } else {
      detail::walk_backward(block, packed::kHeaderBytes, packed_offset(start), count, visit);
    }
    return;
  }
  const ListTable& list = table();
  auto [node, offset] = list.locate(start);
  if (from == End::Head) {
    for (; count > 0 && node < list.nodes(); ++node, offset = 0)
      if (!detail::walk_forward(list.elements(node), offset, count, visit)) return;
  } else {
    while (detail::walk_backward(list.elements(node), 0, offset, count, visit) && count > 0 && node > 0) {
      --node;
      offset = packed::previous(list.elements(node), list.elements(node).size());
    }
  }
}

}  // namespace quartet::storage
