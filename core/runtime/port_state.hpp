#pragma once
/// A VNode's state as it travels between nodes: its commit in force, the committed parts of its fields, its channels.
/// Messages that wait for it follow by themselves. It is read where it lies and stored where the next owner finds it.
///
/// Payload: CommitSlot, FieldCommit[field_count], channels, then the part of each field, in the order of the fields.

#include "memory/extent_pool.hpp"
#include "runtime/member_context.hpp"
#include "runtime/port_frames.hpp"

#include <cstdint>
#include <span>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix {

/// Commit and field states of a VNode that nobody executes.
[[nodiscard]] std::vector<std::byte> state_meta(const DomainHeader& domain, VNodeRecord& record);

[[nodiscard]] std::uint64_t state_digest(std::span<const std::byte> payload) noexcept;

struct StatePieces {
    std::vector<std::span<const std::byte>> pieces;  ///< Valid while nobody executes the VNode.
    std::uint64_t digest{};                          ///< XXH3 of them all.
    std::uint64_t channel_bytes{};
};
/// @cost Reads everything once, for the digest.
[[nodiscard]] StatePieces state_pieces(const MemberContext& context, const ExtentPool& pool, const DomainHeader& domain,
                                       std::uint32_t vnode, std::span<const std::byte> meta);

/// Stores a state as the VNode's next commit on this node. The caller answers for the VNode; if it dies on the way
/// another does the same again.
/// @error corrupt    The digest is wrong, or the payload is no state of this domain.
/// @error no_memory  Says how much is needed.
[[nodiscard]] tl::expected<void, Failure> store_state(const MemberContext& context, ExtentPool& pool,
                                                      const DomainHeader& domain, std::uint32_t vnode,
                                                      const StateHead& head, std::span<const std::byte> payload);

/// After the VNode has left: gives back what its commits refer to. What they say of its progress stays.
void free_state(ExtentPool& pool, const DomainHeader& domain, VNodeRecord& record);

/// The committed part of a field: bytes in place.
[[nodiscard]] std::span<const std::byte> committed_bytes(const MemberContext& context, const ExtentPool& pool,
                                                         const DomainHeader& domain, std::uint32_t vnode,
                                                         std::uint32_t field, const FieldCommit& commit);
/// Where the part of a field that comes from another node is to lie, `commit` saying which: makes room if there is
/// none. A resizable field gets an extent of kind `kind`, entered in `commit`.
[[nodiscard]] tl::expected<std::byte*, Failure> room_for_part(const MemberContext& context, ExtentPool& pool,
                                                              const DomainHeader& domain, std::uint32_t vnode,
                                                              std::uint32_t field, FieldCommit& commit,
                                                              ExtentKind kind);

}  // namespace phoenix
