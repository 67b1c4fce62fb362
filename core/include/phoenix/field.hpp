#pragma once
/// Fields: typed arrays of a domain, of which each VNode holds a part. What must outlive a step lives in fields.

#include <phoenix/array.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace phoenix {

/// How a field is stored and what a commit of it costs.
struct FieldOptions {
    /// 1: one array changed in place; the first change after a commit costs a copy of the part.
    /// 2: `now` is read and `next` is written, a commit is a pointer flip and free.
    unsigned buffers = 1;
    /// Layers of neighbours' values around the part, undefined at the start of a step. Only with buffers = 2.
    unsigned halo = 0;
    /// The part is a list whose length changes from step to step (rank 1, buffers = 1); a commit costs a copy if
    /// changed.
    bool resizable = false;
};

namespace detail {

struct VNodeState;

enum class Access : std::uint8_t { read, write, next, halo };

/// Where a part lies, as far as `access` allows.
struct PartMemory {
    std::byte* origin;  ///< Element (0,0,0) of the interior.
    Shape shape;
    std::uint64_t halo;
    std::array<std::ptrdiff_t, 3> strides;  ///< In elements.
};
[[nodiscard]] PartMemory part_memory(VNodeState& self, std::uint32_t field, Access access);
[[nodiscard]] PartMemory resize_part(VNodeState& self, std::uint32_t field, std::uint64_t elements);

/// Element types the HDF5 writer names; everything else is stored as opaque bytes.
enum class ElementClass : std::uint8_t { opaque, floating, signed_integer, unsigned_integer };
template <typename T>
[[nodiscard]] constexpr ElementClass element_class() {
    if constexpr (std::is_floating_point_v<T> && sizeof(T) <= 8) return ElementClass::floating;
    if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) return ElementClass::signed_integer;
    if constexpr (std::is_integral_v<T> && std::is_unsigned_v<T>) return ElementClass::unsigned_integer;
    return ElementClass::opaque;
}

}  // namespace detail

/// Handle on a field of a domain; a value, the same in all members.
template <typename T>
struct Field {
    static_assert(std::is_trivially_copyable_v<T>,
                  "elements of a field live in shared memory: they must be trivially copyable");
    std::uint32_t index{0};
};

/// One VNode's part of a field, inside a step. Everything it hands out is valid until that step ends.
///
/// @error wrong_state  An accessor that the field's kind does not have (says which it has).
template <typename T>
class FieldPart {
  public:
    FieldPart(detail::VNodeState& self, Field<T> field) noexcept : self_(&self), field_(field.index) {}

    /// The committed values, and the halo once received. Any kind of field. Const inside: they must survive this step.
    [[nodiscard]] ArrayView<const T> now() const { return view<const T>(detail::Access::read); }
    /// buffers = 2: the values of the next step, to be written in full. In `initialise`: the first values.
    [[nodiscard]] ArrayView<T> next() const { return view<T>(detail::Access::next); }
    /// buffers = 1: the values, to be changed in place (copies the part on first use after a commit).
    [[nodiscard]] ArrayView<T> write() const { return view<T>(detail::Access::write); }
    /// Resizable: sets the length; kept elements keep their values, new ones are zero.
    ArrayView<T> resize(std::uint64_t elements) const { return make<T>(detail::resize_part(*self_, field_, elements)); }
    [[nodiscard]] std::uint64_t size() const { return now().elements(); }

    /// The outermost `halo` layers of the interior at `side` of `axis`: what a neighbour needs. To be sent.
    [[nodiscard]] Region<const T> edge(unsigned axis, Side side) const {
        const auto part = now();
        const std::uint64_t width = part.halo();
        const auto offset = side == Side::low ? 0 : static_cast<std::ptrdiff_t>(part.extent(axis) - width);
        return layers(part, axis, offset, width);
    }
    /// The halo layers at `side` of `axis` (corners excluded). To be received into.
    [[nodiscard]] Region<T> halo(unsigned axis, Side side) const {
        const auto part = view<T>(detail::Access::halo);
        const std::uint64_t width = part.halo();
        const auto offset =
            side == Side::low ? -static_cast<std::ptrdiff_t>(width) : static_cast<std::ptrdiff_t>(part.extent(axis));
        return layers(part, axis, offset, width);
    }

  private:
    template <typename U>
    static ArrayView<U> make(const detail::PartMemory& memory) noexcept {
        return {reinterpret_cast<U*>(memory.origin), memory.shape, memory.halo, memory.strides};
    }
    template <typename U>
    ArrayView<U> view(detail::Access access) const {
        return make<U>(detail::part_memory(*self_, field_, access));
    }
    template <typename U>
    static Region<U> layers(const ArrayView<U>& part, unsigned axis, std::ptrdiff_t offset,
                            std::uint64_t width) noexcept {
        Region<U> region = part.interior();
        region.first += offset * region.strides[axis];
        region.extents[axis] = width;
        return region;
    }

    detail::VNodeState* self_;
    std::uint32_t field_;
};

}  // namespace phoenix
