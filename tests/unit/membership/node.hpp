#pragma once
/// A node as its members see it, for tests of decide().

#include "membership/reconcile.hpp"

#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

namespace phoenix::testing_tools {

/// A node as its members see it; carries decisions out, as the runtime does.
struct Node {
    View view;
    std::array<PublishedMember, member_count_max> published{};
    LivenessTable liveness{};
    std::uint32_t expected{0};
    bool start_time_over{false};
    std::uint32_t keepers_elsewhere{0};
    std::size_t reassign_max{std::numeric_limits<std::size_t>::max()};
    bool look_at_words{true};
    NameSpaceKind kind{NameSpaceKind::domain};
    std::unique_ptr<AtomicDirectoryWord[]> words;
    std::unique_ptr<AtomicMoveRequest[]> requests;
    std::unique_ptr<AtomicLocationWord[]> locations;  ///< Null: a job of one node.
    std::size_t word_count{0};
    bool balance{false};
    std::optional<std::uint32_t> waits_to_retire;
    PlacementRule rule{};

    explicit Node(std::size_t vnodes = 0)
        : words(new AtomicDirectoryWord[vnodes]()), requests(new AtomicMoveRequest[vnodes]()), word_count(vnodes) {}

    void join(std::uint32_t slot, std::uint64_t ticket, std::uint32_t incarnation = 1) {
        published[slot] = PublishedMember{PublishedState::joining, Incarnation{incarnation}, ticket};
        liveness[slot] = Liveness::alive;
    }

    [[nodiscard]] Decision decide_for(std::uint32_t self) const {
        const DomainObservation domain{kind,
                                       {words.get(), word_count},
                                       {requests.get(), word_count},
                                       {locations.get(), locations ? word_count : 0},
                                       rule};
        Observation observation;
        observation.view = &view;
        observation.published = published;
        observation.liveness = liveness;
        observation.liveness[self] = Liveness::alive;
        observation.self = MemberSlot{self};
        observation.expected_member_count = expected;
        observation.start_time_over = start_time_over;
        observation.keepers_elsewhere = keepers_elsewhere;
        observation.domains = {&domain, 1};
        observation.look_at_words = look_at_words;
        observation.reassign_max = reassign_max;
        observation.balance = balance;
        observation.waits_to_retire = waits_to_retire && *waits_to_retire == self;
        return decide(observation);
    }

    void carry_out(const Decision& decision) {
        if (decision.proposal && decision.proposal->number.value == view.number.value + 1) {
            view = *decision.proposal;
        }
        for (const Reassign& reassign : decision.reassigns) {
            std::uint64_t expected_bits = reassign.expected.bits;
            words[reassign.vnode.value].compare_exchange_strong(expected_bits, reassign.desired.bits);
        }
        for (const Move& move : decision.moves) {
            requests[move.vnode.value] = move.request.bits;
        }
        for (const MemberSlot slot : decision.refusals) {
            published[slot.value].retire_wanted = false;
        }
        for (const MemberSlot slot : decision.kills) {
            liveness[slot.value] = Liveness::dead;
        }
    }

    /// Lets `self` act until it has nothing to do; returns the number of decisions.
    int settle(std::uint32_t self) {
        for (int decisions = 0; decisions < 1000; ++decisions) {
            const Decision decision = decide_for(self);
            if (decision.nothing()) {
                return decisions;
            }
            carry_out(decision);
        }
        ADD_FAILURE() << "does not settle";
        return -1;
    }

    [[nodiscard]] std::vector<std::uint32_t> owners() const {
        std::vector<std::uint32_t> owners;
        for (std::size_t v = 0; v < word_count; ++v) {
            const DirectoryWord word{words[v].load()};
            owners.push_back(word.assigned() ? word.owner().value : 999);
        }
        return owners;
    }

    /// Owners carry out what is asked of them, and receivers take it.
    void move_all() {
        for (std::size_t v = 0; v < word_count; ++v) {
            const DirectoryWord word{words[v].load()};
            const MoveRequest request{requests[v].load()};
            if (word.state() == OwnerState::active && request.holds_for(word) && view.is_active(request.receiver())) {
                words[v] = word.given_to(request.receiver()).activated().bits;
            }
        }
    }

    void activate_all() {
        for (std::size_t v = 0; v < word_count; ++v) {
            const DirectoryWord word{words[v].load()};
            if (word.state() == OwnerState::recovering) {
                words[v] = word.activated().bits;
            }
        }
    }
};

/// Three members in slots 0, 1, 2, oldest first, all VNodes placed and active.
inline Node running_node(std::size_t vnodes) {
    Node node{vnodes};
    node.expected = 3;
    for (std::uint32_t slot = 0; slot < 3; ++slot) {
        node.join(slot, slot);
    }
    node.settle(0);
    node.activate_all();
    return node;
}

}  // namespace phoenix::testing_tools
