#pragma once
/// One domain as the port of a node sees it. Within the node the port is the owner of every VNode that is on another
/// node: messages for them come into its logs like anybody's. It sends them on, brings VNodes to other nodes and takes
/// them from there, and tells others how far the VNodes of this node are. The protocol: membership/location.hpp.

#include "membership/ring.hpp"
#include "membership/view.hpp"
#include "messaging/log.hpp"
#include "runtime/mailroom.hpp"
#include "runtime/port_links.hpp"
#include "runtime/port_state.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace phoenix {

/// What all parts of a port share. References outlive them.
struct PortNode {
    const MemberContext& context;
    ExtentPool& pool;
    Mailroom& mail;
    PortLinks& links;
};

/// Threads: the port's only.
class PortDomain {
  public:
    PortDomain(PortNode node, DomainHeader& header);

    [[nodiscard]] std::uint32_t index() const noexcept { return header_->index; }
    [[nodiscard]] DomainHeader& header() const noexcept { return *header_; }

    /// Takes what the directory gives to the port, drops what it has lost.
    void follow();
    /// A record of this domain has come into a log of the port.
    void arrive(const RecordRef& ref);
    /// Sends what can be sent, sees to VNodes on their way. `news`: look at the directory even if nobody said so.
    void work(bool news);
    /// While it stands no VNode leaves: what the collectives have for other nodes is on its way.
    void hold_back(bool hold) noexcept { hold_back_ = hold; }

    /// Where VNodes go that no member of this node can take; nothing: they wait for one.
    void set_refuge(std::optional<NodeId> node) noexcept { refuge_ = node; }

    /// The link to `peer` has ended. What it accepted of states may have been lost with its port all the same.
    void link_ended(NodeId peer);

    // --- from other nodes
    void take_record(NodeId from, const RecordFrameHead& head, std::span<const std::byte> payload, ExtentId extent);
    void take_state_meta(NodeId from, const StateHead& head, std::span<const std::byte> meta);
    /// The payload of a state begins to arrive.
    [[nodiscard]] Landing place_state(NodeId from, const StateHead& head, std::uint64_t size);
    /// It is there in full.
    void take_state(NodeId from, const StateHead& head);
    /// It will not be: what place_state() has given, named by its first address, is ours again. False if it is not.
    bool withdraw_state(const std::byte* address) noexcept;
    void take_stored(NodeId from, const LocationFrameHead& head);
    void take_hint(const LocationFrameHead& head);

    [[nodiscard]] VNodeRecord& record(std::uint32_t vnode) const noexcept {
        return node_.context.vnode_record(*header_, vnode);
    }
    [[nodiscard]] LocationWord location(std::uint32_t vnode) const noexcept {
        return LocationWord{node_.context.location_word(*header_, vnode).load(std::memory_order_acquire)};
    }
    /// Grows when a VNode comes or goes.
    [[nodiscard]] std::uint64_t location_changes() const noexcept { return location_changes_; }
    /// Whether a state of the VNode is being read into its place.
    [[nodiscard]] bool is_coming(std::uint32_t vnode) const noexcept { return coming_.contains(vnode); }
    /// Whether the port answers for the VNode now.
    [[nodiscard]] bool owns(std::uint32_t vnode) const noexcept { return versions_[vnode] != 0; }

  private:
    /// A state on its way here. An epoch belongs to one node, and the next one exists only when this one has been
    /// stored: of one VNode there is never more than one, and its buffers are touched by nobody else.
    struct Coming {
        NodeId from;
        StateHead head;
        std::vector<std::byte> meta;
        std::optional<StateRoom> room;  ///< Once the payload has been placed.
        bool complete{false};           ///< It waits until the VNode is ours.
    };
    struct Known {
        std::uint32_t vnode;
        std::uint64_t version;  ///< As in versions_.
    };
    struct Leaving {
        bool sent{false};
    };

    [[nodiscard]] AtomicDirectoryWord& word(std::uint32_t vnode) const noexcept {
        return node_.context.directory_word(*header_, vnode);
    }
    void load(const std::vector<std::uint32_t>& vnodes);
    void drop(std::uint32_t vnode);
    void ship(std::uint32_t vnode);
    void post_record(std::uint32_t vnode, NodeId peer, std::uint64_t epoch, const RecordRef& ref);
    void see_to_transit(std::uint32_t vnode);
    void give_to_member(std::uint32_t vnode);
    [[nodiscard]] MemberSlot receiver_of(std::uint32_t vnode, const std::vector<std::uint32_t>& choice,
                                         const View& view);
    void count_loads();
    void begin_leaving(std::uint32_t vnode, NodeId to);
    void send_state(std::uint32_t vnode);
    /// Stores what has arrived of it, if all has and nothing stands against it.
    void store_arrived(std::uint32_t vnode);
    void store_waiting();
    void change_location(std::uint32_t vnode, LocationWord next) noexcept;
    void tell_stored(NodeId to, std::uint32_t vnode, std::uint64_t epoch);
    void fail(Errc code, std::string_view sentence) const noexcept;

    PortNode node_;
    DomainHeader* header_;
    std::vector<std::uint64_t> versions_;  ///< By VNode: version of the word by which it is ours, + 1; 0: it is not.
    std::unordered_map<std::uint32_t, std::vector<RecordRef>> unsent_;
    /// Records unsent, or sent and not accepted. Invariant: each is of a VNode that is ours by the version in its
    /// entry, so none is released, and used again, without us.
    std::unordered_map<const Record*, Known> known_;
    std::set<std::uint32_t> dirty_;    ///< VNodes with something unsent.
    std::set<std::uint32_t> transit_;  ///< Ours, and their state is here.
    std::unordered_map<std::uint32_t, Leaving> leaving_;
    std::unordered_map<std::uint32_t, Coming> coming_;
    /// VNodes whose state the transport still reads, to send it: sent, not yet accepted. While it does, the VNode is
    /// not executed here, even if it has been there and come back.
    std::set<std::uint32_t> flying_;
    std::unordered_map<std::uint32_t, std::uint64_t> expects_;  ///< A state with this epoch is on its way here.
    std::uint64_t directory_seen_{~std::uint64_t{0}};
    std::uint64_t location_changes_{0};
    std::vector<std::uint64_t> ring_members_;  ///< Seniorities of those that `ring_` was made of.
    std::optional<Ring> ring_;
    std::array<std::uint32_t, member_count_max> loads_{};  ///< By slot: VNodes, when the present work() began.
    std::optional<NodeId> refuge_;
    bool hold_back_{false};
};

}  // namespace phoenix
