#include "membership/reconcile.hpp"

#include "base/check.hpp"
#include "membership/balance.hpp"
#include "membership/numa_placement.hpp"
#include "membership/placement.hpp"

#include <algorithm>

namespace phoenix {

namespace {

bool takes_part(const MemberEntry& entry) noexcept {
    return entry.state == MemberState::joining || entry.state == MemberState::active ||
           entry.state == MemberState::draining;
}

bool may_own(const View& view, MemberSlot slot) noexcept {
    // A slot beyond the table can only be damage; treating it as dead repairs the word.
    if (slot.value >= member_count_max) {
        return false;
    }
    const MemberState state = view.members[slot.value].state;
    return state == MemberState::active || state == MemberState::draining;
}

/// True if the process that published is the one `entry` means.
bool is_process_of(const PublishedMember& published, const MemberEntry& entry) noexcept {
    return published.state != PublishedState::empty && published.incarnation == entry.incarnation;
}

bool stays(const PublishedMember& published) noexcept {
    return published.state == PublishedState::joining || published.state == PublishedState::active;
}

/// The view may not have noticed yet that the predecessor in the slot is gone.
bool waits_for_admission(const Observation& observation, std::uint32_t slot) noexcept {
    const PublishedMember& published = observation.published[slot];
    const MemberEntry& entry = observation.view->members[slot];
    return stays(published) && observation.liveness[slot] == Liveness::alive &&
           (entry.state == MemberState::empty || entry.incarnation < published.incarnation);
}

/// Liveness of the processes the view means, leaving ones and ports counted out.
LivenessTable staying_members(const Observation& observation) {
    LivenessTable table = observation.liveness;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const PublishedMember& published = observation.published[slot];
        if (!is_process_of(published, observation.view->members[slot]) || !stays(published) || published.is_port) {
            table[slot] = Liveness::dead;
        }
    }
    return table;
}

bool any_word_names(const Observation& observation, MemberSlot slot) {
    return std::any_of(observation.domains.begin(), observation.domains.end(), [&](const DomainObservation& domain) {
        // Acquire: pairs with the compare-and-swap that took the last word away.
        return std::any_of(domain.words.begin(), domain.words.end(), [&](const AtomicDirectoryWord& word) {
            return DirectoryWord{word.load(std::memory_order_acquire)}.owned_by(slot);
        });
    });
}

/// Slots of those that wait for admission and may get it now, lowest ticket first.
std::vector<std::uint32_t> admissible(const Observation& observation) {
    std::vector<std::uint32_t> slots;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        if (!waits_for_admission(observation, slot)) {
            continue;
        }
        const bool fresh = observation.view->members[slot].state == MemberState::empty;
        if (fresh || (observation.look_at_words && !any_word_names(observation, MemberSlot{slot}))) {
            slots.push_back(slot);
        }
    }
    std::sort(slots.begin(), slots.end(), [&](std::uint32_t a, std::uint32_t b) {
        return observation.published[a].ticket < observation.published[b].ticket;
    });
    return slots;
}

std::vector<MemberSlot> hung_members(const Observation& observation) {
    std::vector<MemberSlot> slots;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        if (stays(observation.published[slot]) && observation.liveness[slot] == Liveness::hung) {
            slots.push_back(MemberSlot{slot});
        }
    }
    return slots;
}

/// What becomes of those that want to retire, and of those that drain with nobody left to give to. `next` is the view
/// being made, deaths and arrivals counted in. Returns whether it changed; who must stay is added to `refusals`.
bool drain_or_keep(const Observation& observation, View& next, std::vector<MemberSlot>& refusals) {
    const LivenessTable staying = staying_members(observation);
    const auto stays_active = [&](std::uint32_t slot) {
        return next.members[slot].state == MemberState::active &&
               (staying[slot] == Liveness::alive ||
                next.members[slot].order >= observation.view->next_order);  // just admitted
    };
    std::uint32_t active = 0;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) active += stays_active(slot) ? 1 : 0;
    bool changed = false;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const PublishedMember& published = observation.published[slot];
        const bool drains = next.members[slot].state == MemberState::draining && staying[slot] == Liveness::alive;
        if (drains && active == 0 && observation.keepers_elsewhere == 0) {
            next = with_reactivated(next, MemberSlot{slot});
            changed = true;
            ++active;
        }
        const bool wants =
            published.retire_wanted && stays_active(slot) && published.incarnation == next.members[slot].incarnation;
        if (wants && active < 2 && observation.keepers_elsewhere == 0) {
            refusals.push_back(MemberSlot{slot});
        } else if (wants) {
            next = with_draining(next, MemberSlot{slot});
            changed = true;
            --active;
        }
    }
    return changed;
}

std::optional<View> due_view(const Observation& observation, std::vector<MemberSlot>& refusals) {
    const View& current = *observation.view;
    View next = next_of(current);
    bool changed = false;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberEntry& entry = current.members[slot];
        if (!takes_part(entry)) {
            continue;
        }
        const PublishedMember& published = observation.published[slot];
        const bool same = is_process_of(published, entry);
        if (same && published.state == PublishedState::leaving) {
            next = with_retired(next, MemberSlot{slot});
        } else if (!same || observation.liveness[slot] == Liveness::dead) {
            next = with_failed(next, MemberSlot{slot});
        } else {
            continue;
        }
        changed = true;
    }
    for (const std::uint32_t slot : admissible(observation)) {
        next = with_active(next, MemberSlot{slot}, observation.published[slot].incarnation);
        changed = true;
    }
    changed = drain_or_keep(observation, next, refusals) || changed;
    return changed ? std::optional<View>{next} : std::nullopt;
}

struct Orphan {
    VNodeId vnode;
    DirectoryWord word;
};

/// Words of one domain, read once: what must be given away, and how much everybody has.
struct Census {
    std::vector<Orphan> orphans;
    std::vector<Orphan> elsewhere;  ///< On another node, and not the port's.
    std::array<std::uint64_t, member_count_max> loads{};
    std::vector<std::uint32_t> numa_of;  ///< As in PlacementTask.
};

/// `placing`: words that never had an owner count as orphans. One that was given up by a founder always does.
Census census_of(const Observation& observation, const DomainObservation& domain, bool placing) {
    Census census;
    const bool placed_by_us = domain.kind == NameSpaceKind::domain;
    if (domain.rule.kind == PlacementKind::topology) census.numa_of.assign(domain.words.size(), numa_nobody);
    for (std::size_t v = 0; v < domain.words.size(); ++v) {
        // Acquire: pairs with the compare-and-swap that made this owner.
        const DirectoryWord word{domain.words[v].load(std::memory_order_acquire)};
        if (word.assigned() && may_own(*observation.view, word.owner())) {
            ++census.loads[word.owner().value];
            const PublishedMember& owner = observation.published[word.owner().value];
            if (!census.numa_of.empty() && !owner.is_port) census.numa_of[v] = owner.numa;
        } else if (!domain.is_here(v)) {
            census.elsewhere.push_back(Orphan{VNodeId{static_cast<std::uint32_t>(v)}, word});
        } else if (word.assigned() || (placed_by_us && (placing || word.version() > 0))) {
            census.orphans.push_back(Orphan{VNodeId{static_cast<std::uint32_t>(v)}, word});
        }
    }
    return census;
}

/// Members that may be given VNodes, oldest first.
std::vector<MemberSlot> adopters_of(const Observation& observation) {
    const View& view = *observation.view;
    const LivenessTable staying = staying_members(observation);
    std::vector<MemberSlot> slots;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        if (view.members[slot].state == MemberState::active && staying[slot] == Liveness::alive) {
            slots.push_back(MemberSlot{slot});
        }
    }
    std::sort(slots.begin(), slots.end(),
              [&](MemberSlot a, MemberSlot b) { return view.at(a).order < view.at(b).order; });
    return slots;
}

/// The oldest port that is there, and in the view.
std::optional<MemberSlot> port_of(const Observation& observation) {
    const View& view = *observation.view;
    std::optional<MemberSlot> port;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const PublishedMember& published = observation.published[slot];
        const bool there = published.is_port && is_process_of(published, view.members[slot]) && stays(published) &&
                           view.members[slot].state == MemberState::active &&
                           observation.liveness[slot] == Liveness::alive;
        if (there && (!port || view.members[slot].order < view.at(*port).order)) port = MemberSlot{slot};
    }
    return port;
}

/// The one that came first of those that wait for admission: ports, or members.
std::optional<MemberSlot> first_waiting(const Observation& observation, bool ports) {
    std::optional<MemberSlot> first;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const PublishedMember& published = observation.published[slot];
        if (waits_for_admission(observation, slot) && published.is_port == ports &&
            (!first || published.ticket < observation.published[first->value].ticket)) {
            first = MemberSlot{slot};
        }
    }
    return first;
}

/// Moves between living members of one domain. All its VNodes have owners that may own.
class Balancing {
  public:
    Balancing(const Observation& observation, Decision& decision) : observation_(observation), decision_(decision) {
        const LivenessTable staying = staying_members(observation);
        for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
            const MemberState state = observation.view->members[slot].state;
            if (may_own(*observation.view, MemberSlot{slot}) && staying[slot] == Liveness::alive) {
                members_.push_back({MemberSlot{slot}, state == MemberState::active, true,
                                    observation.view->members[slot].order, observation.published[slot].numa});
            }
        }
        std::sort(members_.begin(), members_.end(), [&](const BalanceMember& a, const BalanceMember& b) {
            return observation.view->at(a.slot).order < observation.view->at(b.slot).order;
        });
    }

    void look_at(std::uint32_t index) {
        const DomainObservation& domain = observation_.domains[index];
        if (domain.kind != NameSpaceKind::domain || domain.requests.size() != domain.words.size()) {
            return;
        }
        for (BalanceMember& member : members_) {
            member.takes = (observation_.published[member.slot.value].taking >> index & 1) != 0;
        }
        std::vector<DirectoryWord> words(domain.words.size());
        std::vector<MemberSlot> owners(domain.words.size());
        for (std::size_t v = 0; v < words.size(); ++v) {
            words[v] = DirectoryWord{domain.words[v].load(std::memory_order_acquire)};  // pairs as in census_of
            if (!words[v].assigned()) {
                return;  // not placed yet
            }
            const MoveRequest request{domain.requests[v].load(std::memory_order_acquire)};
            // A move that is asked for counts as made, else it would be asked for again and again. What goes to another
            // node is nobody's here.
            const bool holds = request.holds_for(words[v]);
            const bool counts_as_made = holds && (keeps(request.receiver()) || request.asks_for_node());
            owners[v] = counts_as_made ? request.receiver() : words[v].owner();
        }
        const auto plan = plan_moves(domain.rule, owners, members_);
        if (!plan) {
            decision_.misplaced = Misplaced{index, plan.error()};
            return;
        }
        decision_.balance_waits = decision_.balance_waits || plan->waits;
        for (const PlannedMove& move : plan->moves) {
            const DirectoryWord word = words[move.vnode.value];
            decision_.moves.push_back(Move{index, move.vnode, MoveRequest::make(move.receiver, word.version())});
        }
    }

  private:
    [[nodiscard]] bool keeps(MemberSlot slot) const {
        return std::any_of(members_.begin(), members_.end(),
                           [&](const BalanceMember& member) { return member.slot == slot && member.keeps; });
    }

    const Observation& observation_;
    Decision& decision_;
    std::vector<BalanceMember> members_;
};

class Reassigning {
  public:
    Reassigning(const Observation& observation, Decision& decision)
        : observation_(observation),
          decision_(decision),
          adopters_(adopters_of(observation)),
          port_(port_of(observation)),
          open_(placement_open(observation)) {}

    void look_at(std::uint32_t index) {
        const DomainObservation& domain = observation_.domains[index];
        if (domain.kind == NameSpaceKind::space) {
            free_names(index, census_of(observation_, domain, false));
            return;
        }
        // Where VNodes belong at first is not known before the rule is; what goes on after a death waits for nothing.
        const Census census = census_of(observation_, domain, open_ && domain.rule.known());
        if (!adopters_.empty() && !census.orphans.empty()) {
            place(index, census);
        } else if (port_ && observation_.keepers_elsewhere != 0) {
            give_to_port(index, census.orphans);
        }
        if (port_) give_to_port(index, census.elsewhere);
    }

    /// A founder in a reused slot: nobody is there to adopt what its predecessor owned, and it cannot be admitted while
    /// words name its slot. They become nobody's and are placed once it is ACTIVE.
    void disown(std::uint32_t index, MemberSlot slot) {
        const NameSpaceKind kind = observation_.domains[index].kind;
        const std::span<const AtomicDirectoryWord> words = observation_.domains[index].words;
        for (std::size_t v = 0; v < words.size() && decision_.reassigns.size() < observation_.reassign_max; ++v) {
            const DirectoryWord word{words[v].load(std::memory_order_acquire)};  // pairs as in census_of
            const VNodeId vnode{static_cast<std::uint32_t>(v)};
            if (word.owned_by(slot) && kind == NameSpaceKind::space) {
                decision_.lost.push_back(LostName{index, vnode, slot});
            } else if (word.owned_by(slot)) {
                decision_.reassigns.push_back(Reassign{index, vnode, word, word.released()});
            }
        }
    }

  private:
    void place(std::uint32_t index, const Census& census) {
        // What had an owner goes on at once with one who executes steps of this domain now; what had none is for all.
        const auto takes = [&](MemberSlot slot) {
            return (observation_.published[slot.value].taking >> index & 1) != 0;
        };
        const bool go_on = std::any_of(adopters_.begin(), adopters_.end(), takes) &&
                           std::all_of(census.orphans.begin(), census.orphans.end(),
                                       [](const Orphan& orphan) { return orphan.word.version() > 0; });
        std::vector<Adopter> everybody;
        std::vector<Adopter> adopters;
        for (const MemberSlot slot : adopters_) {
            everybody.push_back(Adopter{slot, census.loads[slot.value], observation_.view->at(slot).order,
                                        observation_.published[slot.value].numa});
            if (!go_on || takes(slot)) adopters.push_back(everybody.back());
        }
        std::vector<VNodeId> orphans;
        for (const Orphan& orphan : census.orphans) orphans.push_back(orphan.vnode);
        const DomainObservation& domain = observation_.domains[index];
        const std::size_t count =
            std::min(orphans.size(),
                     observation_.reassign_max - std::min(observation_.reassign_max, decision_.reassigns.size()));
        const auto owners = phoenix::place(domain.rule, {static_cast<std::uint32_t>(domain.words.size()), orphans,
                                                         census.numa_of, adopters, everybody, count});
        if (!owners) {
            decision_.misplaced = Misplaced{index, owners.error()};
            return;
        }
        for (std::size_t i = 0; i < count; ++i) {
            const Orphan& orphan = census.orphans[i];
            decision_.reassigns.push_back(
                Reassign{index, orphan.vnode, orphan.word, orphan.word.recovered_by((*owners)[i])});
        }
    }

    void give_to_port(std::uint32_t index, const std::vector<Orphan>& orphans) {
        for (const Orphan& orphan : orphans) {
            if (decision_.reassigns.size() >= observation_.reassign_max) return;
            decision_.reassigns.push_back(Reassign{index, orphan.vnode, orphan.word, orphan.word.recovered_by(*port_)});
        }
    }

    void free_names(std::uint32_t index, const Census& census) {
        for (const Orphan& orphan : census.orphans) {
            const MemberSlot owner = orphan.word.owner();
            const bool retired =
                owner.value < member_count_max && observation_.view->members[owner.value].state == MemberState::retired;
            if (!retired) {
                decision_.lost.push_back(LostName{index, orphan.vnode, owner});
            } else if (decision_.reassigns.size() < observation_.reassign_max) {
                decision_.reassigns.push_back(Reassign{index, orphan.vnode, orphan.word, orphan.word.released()});
            }
        }
    }

    const Observation& observation_;
    Decision& decision_;
    std::vector<MemberSlot> adopters_;
    std::optional<MemberSlot> port_;
    bool open_;
};

}  // namespace

std::optional<MemberSlot> acting_member(const Observation& observation) {
    PHOENIX_CHECK(observation.view != nullptr);
    if (const auto coordinator = coordinator_of(*observation.view, staying_members(observation))) {
        return coordinator;
    }
    const auto founder = first_waiting(observation, false);
    // Not while members that are to come at the start have not come: one of them will act.
    if (founder || !placement_open(observation)) {
        return founder;
    }
    const auto port = port_of(observation);
    if (!port) {
        return first_waiting(observation, true);  // it must be in the view to hear of other nodes
    }
    return observation.keepers_elsewhere != 0 ? port : std::nullopt;
}

bool placement_open(const Observation& observation) {
    if (observation.start_time_over) {
        return true;
    }
    // Everybody who was ever admitted drew a seniority; slots do not tell, because they are used again.
    std::uint64_t arrived = observation.lost_before_join + observation.view->next_order;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberEntry& entry = observation.view->members[slot];
        const PublishedMember& published = observation.published[slot];
        const bool admitted = entry.state != MemberState::empty && entry.incarnation >= published.incarnation;
        if (published.is_port) {
            arrived -= admitted ? 1 : 0;
            continue;
        }
        const bool came_and_went =
            !admitted && published.state != PublishedState::empty && observation.liveness[slot] == Liveness::dead;
        arrived += came_and_went ? 1 : 0;
    }
    return arrived >= observation.expected_member_count;
}

namespace {

/// The view by which a member that waits to be retired comes back, because nobody else is left.
std::optional<View> view_that_brings_back(const Observation& observation) {
    const View& view = *observation.view;
    LivenessTable others = staying_members(observation);
    others[observation.self.value] = Liveness::dead;
    const bool retired = !may_own(view, observation.self) ||
                         !is_process_of(observation.published[observation.self.value], view.at(observation.self));
    // The port retires the last member of its node.
    if (retired || observation.keepers_elsewhere != 0 || coordinator_of(view, others)) {
        return std::nullopt;
    }
    const View next = next_of(view);
    return view.is_active(observation.self) ? next : with_reactivated(next, observation.self);
}

}  // namespace

Decision decide(const Observation& observation) {
    PHOENIX_CHECK(observation.view != nullptr && observation.self.value < member_count_max);
    PHOENIX_CHECK(observation.liveness[observation.self.value] == Liveness::alive);
    Decision decision;
    if (observation.waits_to_retire) {
        decision.proposal = view_that_brings_back(observation);
        return decision;
    }
    if (acting_member(observation) != observation.self) {
        return decision;
    }
    decision.kills = hung_members(observation);
    if (!decision.kills.empty()) {
        return decision;
    }
    decision.proposal = due_view(observation, decision.refusals);
    if (decision.proposal || !observation.look_at_words) {
        return decision;
    }
    const bool admitted = may_own(*observation.view, observation.self);
    Reassigning reassigning{observation, decision};
    for (std::uint32_t index = 0; index < observation.domains.size(); ++index) {
        if (admitted) {
            reassigning.look_at(index);
        } else {
            reassigning.disown(index, observation.self);
        }
    }
    if (!observation.balance || !admitted || !decision.reassigns.empty() || !decision.lost.empty() ||
        decision.misplaced) {
        return decision;
    }
    Balancing balancing{observation, decision};
    for (std::uint32_t index = 0; index < observation.domains.size(); ++index) {
        balancing.look_at(index);
    }
    return decision;
}

}  // namespace phoenix
