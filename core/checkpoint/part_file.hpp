#pragma once
/// One part file: the state of a contiguous range of VNodes.
///
///     /fields/<name>      [elements]         the VNodes' parts one after the other, packed
///     /shapes/<name>      [n or 1, rank]     extents per VNode; one row if all are equal
///     /state, /messages   [bytes]            with /state.offsets, /messages.offsets [n + 1]
///     /digests            [n]                of each VNode; of the row of /section_digests
///     /section_digests    [n, fields + 2]    of shape and bytes of each field, of state, of messages
///
/// In /messages each record is its length as a uint64 followed by its bytes.

#include "checkpoint/cut.hpp"
#include "checkpoint/files.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace phoenix::checkpoint {

/// Part `index` of a cut: VNodes [first, first + count).
struct PartRange {
    std::uint32_t index{};
    std::uint32_t first{};
    std::uint32_t count{};
    friend bool operator==(const PartRange&, const PartRange&) = default;
};

/// The parts of one field in one part file.
class FieldShapes {
  public:
    FieldShapes() = default;
    /// `extents` holds `rank` numbers per VNode, or once if all are equal.
    FieldShapes(unsigned rank, std::uint32_t count, std::vector<std::uint64_t> extents);

    [[nodiscard]] Extents of(std::uint32_t local) const noexcept;
    [[nodiscard]] std::uint64_t first_element(std::uint32_t local) const noexcept;
    [[nodiscard]] std::uint64_t elements() const noexcept { return first_element(count_); }
    [[nodiscard]] bool equal() const noexcept { return equal_; }
    [[nodiscard]] const std::vector<std::uint64_t>& extents() const noexcept { return extents_; }
    [[nodiscard]] unsigned rank() const noexcept { return rank_; }

  private:
    unsigned rank_{};
    std::uint32_t count_{};
    bool equal_{true};
    std::vector<std::uint64_t> extents_;
    std::vector<std::uint64_t> first_elements_;  // empty if equal
};

/// Everything in a part file but the bulk data.
struct PartTables {
    PartRange range;
    std::vector<FieldShapes> shapes;
    std::vector<std::uint64_t> state_offsets;
    std::vector<std::uint64_t> message_offsets;
    std::vector<std::uint64_t> digests;
    std::vector<std::uint64_t> section_digests;
    std::vector<ByteRange> data;  ///< Of each section in the file.

    /// Where section `section` of VNode `local` lies in the file.
    [[nodiscard]] ByteRange place(const CutDescription& cut, std::uint32_t local, std::size_t section) const noexcept;
};

/// Writes, syncs and renames: `path` is complete or not there. Repeating it is harmless.
[[nodiscard]] Result<void> write_part_file(const std::string& path, const CutDescription& cut, PartRange range,
                                           std::span<const VNodeView> vnodes);

/// Reads the tables of a part of `cut`; refuses a file of another cut.
[[nodiscard]] Result<PartTables> read_part_tables(const std::string& path, const CutDescription& cut);

/// Digest of a field's shape; data is added to it. Part of every section digest of a field.
[[nodiscard]] std::vector<std::uint64_t> digest_prefix(const Extents& extents, unsigned rank);

}  // namespace phoenix::checkpoint
