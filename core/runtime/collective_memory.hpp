#pragma once
/// The memory of a domain's collectives on this node: the tree in which contributions are combined, and the rings of
/// results. What is in it and who writes when is said at domain_layout.hpp and collectives.cpp.

#include "memory/extent_pool.hpp"
#include "runtime/member_context.hpp"

#include <cstddef>
#include <cstdint>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix {

/// A process's view of that memory. Cheap to make; one per domain and thread.
class CollectiveMemory {
  public:
    /// Finds it, or makes it: one member does, when it is first needed, so that a domain without collectives does not
    /// pay for them.
    /// @error what Arena::reserve refuses, or that all once cells are in use; interrupted: the job has ended.
    [[nodiscard]] tl::expected<void, Failure> find(const MemberContext& context, ExtentPool& pool,
                                                   DomainHeader& header);
    [[nodiscard]] bool found() const noexcept { return base_ != nullptr; }

    /// Levels of the tree: leaves are level 0, the last level has one place.
    [[nodiscard]] std::uint32_t levels() const noexcept { return static_cast<std::uint32_t>(sizes_.size()); }
    [[nodiscard]] std::uint32_t size(std::uint32_t level) const noexcept { return sizes_[level]; }
    [[nodiscard]] CollectiveNode& node(std::uint32_t level, std::uint32_t place, std::uint32_t round) const noexcept;
    [[nodiscard]] CollectiveResult& result(bool cast, std::uint32_t round) const noexcept;

    /// The word of a place or result that is complete for `round`.
    [[nodiscard]] static std::uint64_t done_word(std::uint32_t generation, std::uint32_t round) noexcept {
        return std::uint64_t{generation} << 48 | (std::uint64_t{round} + 1) << 16 | state_done;
    }
    [[nodiscard]] static bool is_done(std::uint64_t word) noexcept { return (word & 0xF) == state_done; }
    [[nodiscard]] static std::uint32_t round_of(std::uint64_t word) noexcept {
        return static_cast<std::uint32_t>(word >> 16) - 1;
    }
    /// True if the place is ours to write now; false if it is complete, or a living member is at it, or the round is
    /// over.
    [[nodiscard]] bool claim(std::atomic<std::uint64_t>& word, std::uint64_t done) const;
    /// Stores the result of a round, unless somebody has, and tells everybody who waits.
    [[nodiscard]] tl::expected<void, Failure> publish(CollectiveResult& entry, std::uint64_t done, const void* value,
                                                      std::uint64_t size) const;
    /// Tells members that wait for results of collectives.
    void ring() const noexcept;

    [[nodiscard]] static std::byte* value_of(CollectiveNode& node) noexcept {
        return reinterpret_cast<std::byte*>(&node + 1);
    }
    /// Bytes of a result, in place or in an extent.
    [[nodiscard]] const std::byte* value_of(const CollectiveResult& entry) const noexcept {
        return entry.extent != 0 ? pool_->data(entry.extent) : reinterpret_cast<const std::byte*>(&entry + 1);
    }

  private:
    static constexpr std::uint64_t state_busy = 1;
    static constexpr std::uint64_t state_done = 2;
    static constexpr std::uint64_t round_mask = ~std::uint64_t{0xFFFF};  // generation and round of a word

    const MemberContext* context_{nullptr};
    ExtentPool* pool_{nullptr};
    DomainHeader* header_{nullptr};
    std::byte* base_{nullptr};            ///< Tree, then the rings of results.
    std::vector<std::uint64_t> offsets_;  ///< Of the tree's levels, leaves first.
    std::vector<std::uint32_t> sizes_;
    std::uint64_t result_offset_{0};
    std::uint64_t stride_{0};
};

}  // namespace phoenix
