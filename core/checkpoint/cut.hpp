#pragma once
/// A consistent cut of a domain as the checkpoint writer sees it: descriptions of memory, nothing of the runtime.

#include "checkpoint/failure.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace phoenix::checkpoint {

enum class ElementKind : std::uint8_t { floating, signed_integer, unsigned_integer, opaque };

struct ElementType {
    ElementKind kind{ElementKind::opaque};
    std::uint32_t size_bytes{1};
    friend bool operator==(const ElementType&, const ElementType&) = default;
};

/// E.g. "float64", "int32", "uint8", "opaque[24]".
[[nodiscard]] std::string name_of(ElementType type);

inline constexpr unsigned rank_max = 3;

struct FieldLayout {
    std::string name{};  ///< Not empty, without '/' and not ending in ".offsets" or ".shapes".
    ElementType type{};
    unsigned rank{1};       ///< 0 to rank_max.
    bool resizable{false};  ///< Parts are joined by concatenation even where their shapes happen to be equal.
    friend bool operator==(const FieldLayout&, const FieldLayout&) = default;
};

/// Bytes under a name: the result of a finished phase, of a once-cell.
struct Record {
    std::string name{};
    std::vector<std::byte> bytes{};
    friend bool operator==(const Record&, const Record&) = default;
};

/// Everything about a cut that is not a VNode's.
struct CutDescription {
    std::string domain{};
    std::uint64_t layout_hash{};  ///< Of the program: phases, fields, VNodes; compared on restart.
    std::uint64_t lineage{};      ///< Drawn at random by a fresh start, kept by restarts. Only checkpoints of the own
                                  ///< lineage are ever pruned.
    std::uint32_t vnodes{};
    std::uint32_t phase{};
    std::uint64_t step{};
    std::uint32_t generation{};  ///< Grows with every restart and rollback. Newest = highest (generation, step).
    std::uint64_t seed{};
    std::vector<FieldLayout> fields{};
    std::vector<Record> records{};  ///< Used by finish() only.
};

/// Refuses descriptions that cannot be stored.
[[nodiscard]] Result<void> check(const CutDescription& cut);

using Extents = std::array<std::uint64_t, rank_max>;  ///< The first `rank` count; the others must be 1.

/// One VNode's part of a field in memory. The last dimension is contiguous; of the ones before it
/// strides_bytes[i] is the distance from one index of dimension i to the next (arrays carry halos), 0 if packed.
template <typename Byte>
struct BasicFieldView {
    Extents extents{1, 1, 1};
    Byte* data{};
    std::array<std::size_t, rank_max - 1> strides_bytes{};
};
using FieldView = BasicFieldView<const std::byte>;
using MutableFieldView = BasicFieldView<std::byte>;

/// What is written of one VNode. Views, valid while the part is written.
struct VNodeView {
    std::vector<FieldView> fields{};                     ///< In the order of CutDescription::fields.
    std::span<const std::byte> state{};                  ///< Opaque: channel tables, counters.
    std::vector<std::span<const std::byte>> messages{};  ///< Those that cross the cut, in order; opaque.
};

[[nodiscard]] inline std::uint64_t elements_of(const Extents& extents) { return extents[0] * extents[1] * extents[2]; }

/// Calls visit(pointer, bytes) for each contiguous run of `view`, in row-major order, and for no empty one.
template <typename Byte, typename Visit>
void for_each_run(const BasicFieldView<Byte>& view, const FieldLayout& layout, Visit&& visit) {
    const std::size_t element = layout.type.size_bytes;
    if (elements_of(view.extents) == 0) return;
    if (layout.rank < 2) {
        visit(view.data, view.extents[0] * element);
        return;
    }
    // As if of rank 3 with outer dimensions of extent 1.
    const std::uint64_t planes = layout.rank == 3 ? view.extents[0] : 1;
    const std::uint64_t rows = layout.rank == 3 ? view.extents[1] : view.extents[0];
    const std::size_t row_bytes = (layout.rank == 3 ? view.extents[2] : view.extents[1]) * element;
    const std::size_t given_row = layout.rank == 3 ? view.strides_bytes[1] : view.strides_bytes[0];
    const std::size_t row_stride = given_row == 0 ? row_bytes : given_row;
    const std::size_t given_plane = layout.rank == 3 ? view.strides_bytes[0] : 0;
    const std::size_t plane_stride = given_plane == 0 ? rows * row_stride : given_plane;
    if (row_stride == row_bytes && (planes == 1 || plane_stride == rows * row_bytes)) {
        visit(view.data, planes * rows * row_bytes);
        return;
    }
    for (std::uint64_t plane = 0; plane < planes; ++plane) {
        for (std::uint64_t row = 0; row < rows; ++row) {
            visit(view.data + plane * plane_stride + row * row_stride, row_bytes);
        }
    }
}

}  // namespace phoenix::checkpoint
