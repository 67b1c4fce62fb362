#pragma once
/// A VNode's state as it travels between nodes: its commit in force, the committed parts of its fields, its channels.
/// Messages that wait for it follow by themselves. It is sent from where it lies and read into where its next owner
/// finds it: nothing of it is copied.
///
/// Two frames: *meta* (CommitSlot, FieldCommit[field_count]), by which the receiver makes room; then the *payload*:
/// channels, the part of each field in the order of the fields. Lengths that are not in the meta are the domain's.
///
/// What has arrived, or half of it, is nobody's until store_state() has published it: resizable fields and channels are
/// in extents that no commit names (swept if the port dies), the others in a buffer that the commit in force on this
/// node does not name, whatever that commit is good for here: a state that is being sent from this node, a part that a
/// gather has brought.

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

struct StatePieces {
    std::vector<std::span<const std::byte>> pieces;  ///< Valid while nobody executes the VNode.
    std::uint64_t channel_bytes{};
};
[[nodiscard]] StatePieces state_pieces(const MemberContext& context, const ExtentPool& pool, const DomainHeader& domain,
                                       std::uint32_t vnode, std::span<const std::byte> meta);

/// Where a state that is arriving lies.
struct StateRoom {
    std::vector<std::byte> meta;               ///< As it will be stored: with the extents and buffers of this node.
    std::vector<std::span<std::byte>> places;  ///< Of the payload, in its order; none is empty.
    std::vector<ExtentId> extents;             ///< Of these, what is the VNode's only when it is stored.
};
/// @param size  Bytes of the payload.
/// @error corrupt    This is no meta of this domain, or not of a payload of that size.
/// @error no_memory  Says how much is needed.
[[nodiscard]] tl::expected<StateRoom, Failure> make_room(const MemberContext& context, ExtentPool& pool,
                                                         const DomainHeader& domain, std::uint32_t vnode,
                                                         const StateHead& head, std::span<const std::byte> meta,
                                                         std::uint64_t size);
/// The state does not come after all.
void give_back(ExtentPool& pool, StateRoom& room) noexcept;

/// Makes a state that is there in full the VNode's next commit on this node. The caller answers for the VNode; if it
/// dies on the way another does the same again, with a state that is sent anew.
void store_state(const MemberContext& context, ExtentPool& pool, const DomainHeader& domain, std::uint32_t vnode,
                 const StateRoom& room) noexcept;

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
