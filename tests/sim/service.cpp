/// The service thread of a simulated member: views, owners, moves.

#include "sim/member.hpp"

#include <cstring>
#include <utility>

namespace phoenix::sim {

PublishedMember Member::published_as(PublishedState state) const {
    PublishedMember published{state, process_.incarnation, ticket_};
    published.numa = slot_ % 3;
    return published;
}

Task Member::service() {
    co_await world_.op();
    world_.publish_member(process_, published_as(PublishedState::joining));
    while (!worker_ended_) {
        const std::uint64_t news = world_.news();
        Task observing = observe();
        co_await observing;
        // Whoever wanted to tell the own worker something may have died before ringing.
        co_await world_.op();
        ++world_.memory.attention[slot_];
        Task notice = give_notice(slot_);
        co_await notice;
        if (waits_to_retire_) {
            Task retiring = retire_or_come_back();
            co_await retiring;
            if (retired_) {
                break;
            }
        }
        const Decision decision = decide(observation_);
        if (decision.nothing() && world_.options().placement.kind == PlacementKind::custom &&
            !std::exchange(knows_placement_, true)) {
            continue;  // by now its program has come so far that it has the application's placement
        }
        if (decision.nothing()) {
            if (!observation_.waits_to_retire && acting_member(observation_) == observation_.self) {
                Task vacating = vacate();
                co_await vacating;
            }
            world_.wait_for_news(news);
            co_await world_.op();
            continue;
        }
        Task acting = carry_out(decision);
        co_await acting;
    }
    if (!retired_) {
        co_await world_.op();
        world_.publish_member(process_, published_as(PublishedState::leaving));
    }
    if (retired_ || world_.random(2) == 0) {
        world_.end_soon(slot_);
    }
}

// Slots of those that have retired, once nothing is left of them. Each look and each change is an event of its own.
Task Member::vacate() {
    Task sweeping = sweep();
    co_await sweeping;
    for (std::uint32_t slot = 0; slot < slot_max; ++slot) {
        if (view_.members[slot].state == MemberState::retired) {
            Task finding = find_remains(slot);
            co_await finding;
        }
    }
    for (const MemberSlot slot : vacant_slots(view_, observation_.published, observation_.liveness, remains_)) {
        co_await world_.op();
        if (world_.vacate(slot.value, view_.at(slot).incarnation)) {
            world_.tell_news();
        }
    }
}

Task Member::find_remains(std::uint32_t slot) {
    remains_[slot].logs = false;
    for (std::uint32_t other = 0; other < slot_max; ++other) {
        co_await world_.op();
        world_.fence();
        LogHead& from = world_.memory.heads[other][slot];
        LogHead& towards = world_.memory.heads[slot][other];
        if (from.chain == 0 && towards.chain == 0) {
            continue;
        }
        if (view_.is_active(MemberSlot{other}) || view_.members[other].state == MemberState::draining) {
            remains_[slot].logs = !world_.planted(Plant::vacate_before_left);
        } else {
            from = towards = LogHead{};
        }
    }
}

// What those that are gone by the view have left.
Task Member::sweep() {
    const auto gone = [this](std::uint32_t slot) {
        return slot == nobody || view_.members[slot].state == MemberState::retired ||
               view_.members[slot].state == MemberState::failed;
    };
    for (Remains& remains : remains_) {
        remains = Remains{};
    }
    for (std::size_t index = 0; index < world_.memory.chains.size(); ++index) {
        if (world_.memory.chains[index].used_up() || !gone(world_.memory.chains[index].label)) {
            continue;
        }
        co_await world_.op();
        Chain& chain = world_.memory.chains[index];
        const std::uint32_t writer = chain.label;
        bool through = writer == nobody || gone(chain.reader);
        if (!through) {
            const LogHead head = world_.memory.heads[chain.reader][writer];
            through = head.chain == 0 || head.reader_incarnation != view_.members[chain.reader].incarnation;
        }
        if (through) {
            chain.recycle(chain.records.size());
            chain.label = nobody;
        } else if (!world_.planted(Plant::vacate_before_left)) {
            remains_[writer].memory = true;
        }
    }
}

Task Member::retire_or_come_back() {
    const MemberEntry& self = view_.at(MemberSlot{slot_});
    if (self.incarnation == process_.incarnation && self.state == MemberState::retired) {
        retired_ = true;
        ++world_.statistics.drained;
    } else if (observation_.published[slot_].state != PublishedState::leaving) {
        co_await world_.op();
        PublishedMember mine = world_.memory.published[slot_];  // others may have changed the wish
        mine.state = PublishedState::leaving;
        world_.publish_member(process_, mine);
    }
    co_await world_.op();
    ++world_.memory.attention[slot_];
    Task notice = give_notice(slot_);
    co_await notice;
}

Task Member::read_view() {
    for (;;) {
        co_await world_.op();
        const ViewWord word{world_.memory.view_word};
        if (word == view_word_) {
            co_return;
        }
        ViewImage image{};
        constexpr std::size_t half = sizeof(ViewImage) / 2;
        co_await world_.op();
        std::memcpy(&image, &world_.memory.view_buffers[word.buffer()], half);
        co_await world_.op();
        std::memcpy(reinterpret_cast<char*>(&image) + half,
                    reinterpret_cast<const char*>(&world_.memory.view_buffers[word.buffer()]) + half,
                    sizeof(ViewImage) - half);
        co_await world_.op();
        if (ViewWord{world_.memory.view_word} != word) {
            continue;
        }
        const std::optional<View> view = view_of(image);
        if (!view || view->number != word.number()) {
            world_.fail("a view was read torn although its word did not change");
            co_return;
        }
        view_ = *view;
        view_word_ = word;
        co_return;
    }
}

Task Member::observe() {
    Task reading = read_view();
    co_await reading;
    for (std::uint32_t slot = 0; slot < slot_max; ++slot) {
        co_await world_.op();
        observation_.published[slot] = world_.memory.published[slot];
        observation_.liveness[slot] = slot == slot_ ? Liveness::alive : world_.liveness_of(slot);
    }
    for (std::uint32_t v = 0; v < world_.options().vnodes; ++v) {
        co_await world_.op();
        words_seen_[v].store(world_.memory.words[v].load());
        co_await world_.op();
        requests_seen_[v].store(world_.memory.requests[v].load());
    }
    domain_.words = {words_seen_.data(), world_.options().vnodes};
    domain_.requests = {requests_seen_.data(), world_.options().vnodes};
    domain_.rule = world_.options().placement;
    if (!knows_placement_) domain_.rule.function = nullptr;
    observation_.balance = true;
    observation_.view = &view_;
    observation_.self = MemberSlot{slot_};
    observation_.waits_to_retire = waits_to_retire_ && !world_.planted(Plant::never_come_back);
    observation_.expected_member_count = world_.expected_members();
    observation_.lost_before_join = world_.lost_before_join();
    observation_.start_time_over = world_.start_time_over();
    observation_.domains = {&domain_, 1};
}

Task Member::carry_out(Decision decision) {
    for (const MemberSlot slot : decision.kills) {
        co_await world_.op();
        world_.send_kill(slot.value);
    }
    if (decision.proposal && observation_.waits_to_retire) {
        // Published first, then the view: whoever saw it leave proposes against the view before.
        co_await world_.op();
        PublishedMember mine = world_.memory.published[slot_];
        mine.state = PublishedState::joining;
        mine.retire_wanted = false;
        world_.publish_member(process_, mine);
        Task proposing = propose(*decision.proposal);
        co_await proposing;
        waits_to_retire_ = !view_changed_;
    } else if (decision.proposal) {
        Task proposing = propose(*decision.proposal);
        co_await proposing;
    }
    for (const Reassign& reassign : decision.reassigns) {
        co_await world_.op();
        if (!world_.compare_and_swap(reassign.vnode.value, reassign.expected, reassign.desired) ||
            !reassign.desired.assigned()) {
            continue;
        }
        co_await world_.op();
        ++world_.memory.attention[reassign.desired.owner().value];
        Task notice = give_notice(reassign.desired.owner().value);
        co_await notice;
    }
    for (const Move& move : decision.moves) {
        co_await world_.op();
        world_.memory.requests[move.vnode.value].store(move.request.bits);
        const std::uint32_t owner = DirectoryWord{words_seen_[move.vnode.value].load()}.owner().value;
        co_await world_.op();
        ++world_.memory.attention[owner];
        Task notice = give_notice(owner);
        co_await notice;
    }
    for (const MemberSlot slot : decision.refusals) {
        co_await world_.op();
        world_.memory.published[slot.value].retire_wanted = false;
    }
    if (decision.misplaced) {
        world_.fail("the application's placement is right");
    }
    if (!decision.lost.empty()) {
        world_.fail("a domain has no names that can be lost");
    }
}

Task Member::propose(View view) {
    const ViewImage image = image_of(view);
    const std::uint32_t buffer = view_word_.spare_buffer_of(MemberSlot{slot_});
    constexpr std::size_t half = sizeof(ViewImage) / 2;
    co_await world_.op();
    std::memcpy(&world_.memory.view_buffers[buffer], &image, half);
    co_await world_.op();
    std::memcpy(reinterpret_cast<char*>(&world_.memory.view_buffers[buffer]) + half,
                reinterpret_cast<const char*>(&image) + half, sizeof(ViewImage) - half);
    co_await world_.long_op();
    view_changed_ = world_.compare_and_swap_view(view_word_, ViewWord::make(view.number, buffer));
    if (view_changed_) {
        ++world_.statistics.views;
        for (std::uint32_t slot = 0; slot < slot_max; ++slot) {
            world_.statistics.reactivated +=
                view_.members[slot].state == MemberState::draining && view.members[slot].state == MemberState::active
                    ? 1
                    : 0;
        }
        world_.tell_news();
    }
}

}  // namespace phoenix::sim
