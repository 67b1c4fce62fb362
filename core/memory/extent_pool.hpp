#pragma once
/// Extents: pieces of the arena in power-of-two classes that come and go (log chunks, large payloads, resizable fields,
/// channel tables).
///
/// Invariant: an extent's owner word says whose it is, at every instant; it changes by compare-and-swap only. What a
/// dead member allocated can thus be found and swept. A death between two instructions can cost the use of one extent
/// (popped from a free list, not yet owned), never give one to two owners.

#include "memory/arena.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <vector>

namespace phoenix {

/// Index into the extent table; 0 is no extent.
using ExtentId = std::uint32_t;

enum class ExtentKind : std::uint8_t {
    unborn = 0,   ///< Table entry whose maker died or is at work.
    free = 1,     ///< On a free list.
    cached = 2,   ///< Free, kept by its allocator for its own next use.
    chunk = 3,    ///< Log chunk.
    payload = 4,  ///< Payload of a record.
    state = 5,    ///< Reachable from a VNode's commit (channel table, resizable field) or about to be.
    lasting = 6   ///< For the life of the job.
};

/// In place of a slot: whoever allocated the extent is gone and others may have the slot, but something reaches it.
inline constexpr std::uint32_t nobodys_slot = 0xFFF;

/// Owner word: kind (4 bits) | allocating slot (12) | domain (6) | VNode (24) | version (18).
struct ExtentOwner {
    ExtentKind kind{};
    std::uint32_t slot{};
    std::uint32_t domain{};
    std::uint32_t vnode{};
    std::uint32_t version{};

    [[nodiscard]] static ExtentOwner unpack(std::uint64_t word) noexcept;
    [[nodiscard]] std::uint64_t pack() const noexcept;
    /// Whether two words of one extent stand for the same allocation, whoever it belongs to.
    [[nodiscard]] static bool same_use(std::uint64_t a, std::uint64_t b) noexcept {
        constexpr std::uint64_t slot_bits = 0xFFF0;
        return ((a ^ b) & ~slot_bits) == 0;
    }
};

struct ExtentEntry {
    std::atomic<std::uint64_t> owner;  //  0
    std::uint64_t offset;              //  8  in the arena
    std::uint32_t size_class;          // 16  size = 2^size_class
    std::atomic<std::uint32_t> next;   // 20  free list
};
static_assert(sizeof(ExtentEntry) == 24);

/// Allocator of one process. Threads: one at a time, except free_swept(), disown() and for_each(), which any thread may
/// call.
class ExtentPool {
  public:
    static constexpr unsigned class_min = 8;  ///< 256 bytes
    static constexpr unsigned class_max = 40;

    ExtentPool(const ControlSegment& segment, const Arena& arena, std::uint32_t own_slot) noexcept
        : segment_(&segment), arena_(&arena), own_slot_(own_slot) {}

    /// @return An extent of at least `bytes`, contents undefined.
    [[nodiscard]] tl::expected<ExtentId, Failure> allocate(std::uint64_t bytes, ExtentKind kind,
                                                           std::uint32_t domain = 0, std::uint32_t vnode = 0);
    /// Says whose the caller's extent is from now on. Chunks are made whole as `cached` and assigned last, so that
    /// whoever looks for chunks finds whole ones only.
    void assign(ExtentId id, ExtentKind kind, std::uint32_t domain, std::uint32_t vnode) noexcept;
    /// Gives back an extent that only the caller may free. Idempotence is the caller's business.
    void free(ExtentId id) noexcept;
    /// Frees `id` if its owner word still is `expected`; for sweeping after the dead. Returns whether it did.
    bool free_swept(ExtentId id, std::uint64_t expected) noexcept;
    /// Makes `id` nobody's if its owner word still is `expected`: its allocator is gone, its slot will be used again.
    /// Whoever has its use may go on, and frees it some day as if it were its own.
    void disown(ExtentId id, std::uint64_t expected) noexcept;

    [[nodiscard]] std::uint64_t offset(ExtentId id) const noexcept { return entry(id).offset; }
    [[nodiscard]] std::byte* data(ExtentId id) const noexcept { return arena_->at(entry(id).offset); }
    [[nodiscard]] std::uint64_t size(ExtentId id) const noexcept { return std::uint64_t{1} << entry(id).size_class; }
    [[nodiscard]] std::uint64_t owner_word(ExtentId id) const noexcept {
        return entry(id).owner.load(std::memory_order_acquire);
    }
    /// Ids are 1 .. count().
    [[nodiscard]] std::uint32_t count() const noexcept {
        return segment_->header().extent_count.load(std::memory_order_acquire);
    }
    /// Bytes of extents this process holds with kinds chunk and payload.
    [[nodiscard]] std::uint64_t held_bytes() const noexcept { return held_bytes_; }

    /// Calls visit(id, owner) for every extent that is not free. Cost: one load per extent of the node.
    template <typename Visit>
    void for_each(Visit&& visit) const {
        const std::uint32_t end = count();
        for (ExtentId id = 1; id <= end; ++id) {
            const std::uint64_t word = owner_word(id);
            const ExtentOwner owner = ExtentOwner::unpack(word);
            if (owner.kind >= ExtentKind::cached) visit(id, word, owner);
        }
    }

    [[nodiscard]] static unsigned class_of(std::uint64_t bytes) noexcept {
        const unsigned wanted = bytes <= 1 ? 0U : static_cast<unsigned>(std::bit_width(bytes - 1));
        return wanted < class_min ? class_min : wanted;
    }

  private:
    static constexpr std::size_t cached_max = 64;  ///< Per class; more goes back to everybody.

    [[nodiscard]] ExtentEntry& entry(ExtentId id) const noexcept {
        return arena_->object<ExtentEntry>(extent_table_offset + std::uint64_t{id} * sizeof(ExtentEntry));
    }
    [[nodiscard]] ExtentId pop_free(unsigned size_class) noexcept;
    void push_free(ExtentId id) noexcept;
    [[nodiscard]] tl::expected<ExtentId, Failure> carve(unsigned size_class);

    const ControlSegment* segment_;
    const Arena* arena_;
    std::uint32_t own_slot_;
    std::uint64_t held_bytes_{0};
    std::array<std::vector<ExtentId>, class_max + 1> cache_;
};

}  // namespace phoenix
