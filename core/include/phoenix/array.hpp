#pragma once
/// Shapes of fields and views of their memory: up to three dimensions, row-major, with an optional halo around.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace phoenix {

/// Extents of one VNode's part of a field; rank 1 to 3, row-major. An extent may be 0.
struct Shape {
    std::array<std::uint64_t, 3> extents{0, 0, 0};
    unsigned rank{0};

    constexpr Shape() = default;
    constexpr explicit Shape(std::uint64_t n) : extents{n, 1, 1}, rank{1} {}
    constexpr Shape(std::uint64_t rows, std::uint64_t columns) : extents{rows, columns, 1}, rank{2} {}
    constexpr Shape(std::uint64_t planes, std::uint64_t rows, std::uint64_t columns)
        : extents{planes, rows, columns}, rank{3} {}

    [[nodiscard]] constexpr std::uint64_t elements() const noexcept {
        return rank == 0 ? 0 : extents[0] * extents[1] * extents[2];
    }
    friend bool operator==(const Shape&, const Shape&) = default;
};

/// Side of a part along one axis.
enum class Side : std::uint8_t { low, high };

/// A strided piece of an array: an edge to send or a halo to receive into. Elements are visited in row-major order.
template <typename T>
struct Region {
    T* first{nullptr};
    std::array<std::uint64_t, 3> extents{0, 0, 0};
    std::array<std::ptrdiff_t, 3> strides{0, 0, 0};  ///< In elements.

    [[nodiscard]] std::uint64_t elements() const noexcept { return extents[0] * extents[1] * extents[2]; }

    /// Calls visit(pointer, count) for each contiguous run, in row-major order.
    template <typename Visit>
    void for_each_run(Visit&& visit) const {
        if (elements() == 0) return;
        // The innermost axis that is one: the unused ones behind it have extent 1 and must not cut a row in elements.
        std::size_t inner = 2;
        while (inner > 0 && extents[inner] == 1) --inner;
        const bool contiguous = strides[inner] == 1;
        std::array<std::uint64_t, 3> outer = extents;
        outer[inner] = 1;
        for (std::uint64_t i = 0; i < outer[0]; ++i)
            for (std::uint64_t j = 0; j < outer[1]; ++j) {
                T* run =
                    first + static_cast<std::ptrdiff_t>(i) * strides[0] + static_cast<std::ptrdiff_t>(j) * strides[1];
                if (contiguous) {
                    visit(run, extents[inner]);
                } else {
                    for (std::uint64_t k = 0; k < extents[inner]; ++k)
                        visit(run + static_cast<std::ptrdiff_t>(k) * strides[inner], std::uint64_t{1});
                }
            }
    }
};

/// One VNode's part of a field. Indices run from 0 over the interior; the halo lies at -halo .. -1 and n .. n+halo-1.
///
/// Unused axes have extent 1: a part of rank 2 is indexed (row, column). Not bounds-checked: cost of an access is one
/// multiply-add per axis. Valid until the step ends.
template <typename T>
class ArrayView {
  public:
    ArrayView() = default;
    ArrayView(T* origin, const Shape& shape, std::uint64_t halo, std::array<std::ptrdiff_t, 3> strides) noexcept
        : origin_(origin), shape_(shape), halo_(halo), strides_(strides) {}

    [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
    [[nodiscard]] std::uint64_t extent(unsigned axis) const noexcept { return shape_.extents[axis]; }
    [[nodiscard]] std::uint64_t elements() const noexcept { return shape_.elements(); }
    [[nodiscard]] std::uint64_t halo() const noexcept { return halo_; }
    [[nodiscard]] std::ptrdiff_t stride(unsigned axis) const noexcept { return strides_[axis]; }
    /// Element (0, 0, 0) of the interior.
    [[nodiscard]] T* data() const noexcept { return origin_; }

    T& operator()(std::ptrdiff_t i) const noexcept { return origin_[i * strides_[0]]; }
    T& operator()(std::ptrdiff_t i, std::ptrdiff_t j) const noexcept {
        return origin_[i * strides_[0] + j * strides_[1]];
    }
    T& operator()(std::ptrdiff_t i, std::ptrdiff_t j, std::ptrdiff_t k) const noexcept {
        return origin_[i * strides_[0] + j * strides_[1] + k * strides_[2]];
    }
    T& operator[](std::size_t i) const noexcept { return origin_[static_cast<std::ptrdiff_t>(i) * strides_[0]]; }

    /// All elements as one span; only for parts of rank 1 or without a halo.
    [[nodiscard]] std::span<T> flat() const noexcept { return {origin_, static_cast<std::size_t>(elements())}; }
    /// Row i of a part of rank 2, without its halo.
    [[nodiscard]] std::span<T> row(std::ptrdiff_t i) const noexcept {
        return {origin_ + i * strides_[0], static_cast<std::size_t>(shape_.extents[1])};
    }
    /// The interior as a region.
    [[nodiscard]] Region<T> interior() const noexcept { return {origin_, shape_.extents, strides_}; }

  private:
    T* origin_{nullptr};
    Shape shape_{};
    std::uint64_t halo_{0};
    std::array<std::ptrdiff_t, 3> strides_{0, 0, 0};
};

}  // namespace phoenix
