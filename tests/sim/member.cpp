#include "sim/member.hpp"

#include <algorithm>
#include <cstring>

namespace phoenix::sim {

// Tasks are named before they are awaited: temporaries in a co_await expression are where GCC 11 and 12 go wrong.

// ------------------------------------------------------------------------------------------------- worker

Task Member::worker() {
    while (!process_.leave_requested && !retired_) {
        progress_ = false;
        Task look = look_at_directory();
        co_await look;
        Task reading = poll();
        co_await reading;
        for (std::uint32_t v = 0; v < world_.options().vnodes; ++v) {
            if (executions_[v] && !process_.leave_requested) {
                Task step = advance(v);
                co_await step;
            }
        }
        Task leaving = leave_if_drained();
        co_await leaving;
        if (!progress_) {
            Task resting = rest();
            co_await resting;
        }
    }
    // From here on nothing is executed or committed; what was not committed is repeated elsewhere.
    worker_ended_ = true;
    world_.tell_news();
}

Task Member::look_at_directory() {
    co_await world_.op();
    if (waits_to_retire_) {
        co_return;
    }
    const std::uint32_t attention = world_.memory.attention[slot_];
    if (looked_ && attention == attention_seen_) {
        co_return;
    }
    const MemberEntry& self = view_.at(MemberSlot{slot_});
    const bool takes = self.state == MemberState::active ||
                       (self.state == MemberState::draining && !world_.planted(Plant::draining_takes_nothing));
    const bool admitted = takes && self.incarnation == process_.incarnation;
    if (!admitted && !world_.planted(Plant::take_before_admission)) {
        co_return;  // words may still name the slot for its predecessor
    }
    if (!looked_) {
        co_await world_.op();
        world_.memory.published[slot_].taking = 1;
        world_.tell_news();
    }
    looked_ = progress_ = true;
    attention_seen_ = attention;
    for (std::uint32_t v = 0; v < world_.options().vnodes; ++v) {
        co_await world_.op();
        const DirectoryWord word{world_.memory.words[v].load()};
        if (!word.owned_by(MemberSlot{slot_}) || executions_[v]) {
            continue;
        }
        if (word.state() == OwnerState::active) {
            world_.fail("I2: a word says that slot " + std::to_string(slot_) + " executes a VNode it never took");
            co_return;
        }
        Task adopting = adopt(v, word);
        co_await adopting;
    }
}

Task Member::adopt(std::uint32_t vnode, DirectoryWord word) {
    co_await world_.op();
    world_.fence();  // the word was changed before; now the logs are read
    ++world_.statistics.adoptions;
    Execution execution;
    execution.word = word;
    execution.commit = world_.memory.commits[vnode];
    if (!execution.commit.valid) {
        execution.commit.valid = true;
        execution.commit.state = Program::initial_state(vnode);
        co_await world_.op();
        world_.publish_commit(process_, vnode, execution.commit);
    }
    execution.state = execution.commit.state;
    execution.step = execution.commit.steps;
    for (std::uint32_t writer = 0; writer < slot_max; ++writer) {
        for (std::uint32_t reader = 0; reader < slot_max; ++reader) {
            const bool skipped = world_.planted(Plant::no_scan_on_adoption) && reader != slot_;
            if (skipped || world_.memory.logs[writer][reader].empty()) {
                continue;
            }
            co_await world_.op();
            const std::vector<Record>& log = world_.memory.logs[writer][reader];
            for (std::size_t index = 0; index < log.size(); ++index) {
                if (log[index].destination == vnode && !log[index].released) {
                    accept(execution, log[index], Location{writer, reader, index});
                }
            }
        }
    }
    co_await world_.op();
    if (!world_.compare_and_swap(vnode, word, word.activated())) {
        world_.fail("I2: somebody took a VNode from its living new owner");
        co_return;
    }
    execution.word = word.activated();
    executions_[vnode] = std::move(execution);
}

Task Member::poll() {
    for (std::uint32_t writer = 0; writer < slot_max; ++writer) {
        if (cursors_[writer] == world_.memory.logs[writer][slot_].size()) {
            continue;
        }
        co_await world_.op();
        std::vector<Record>& log = world_.memory.logs[writer][slot_];
        for (std::size_t& index = cursors_[writer]; index < log.size(); ++index) {
            // Records for a VNode that this member does not execute are found by whoever adopts it.
            if (!log[index].released && executions_[log[index].destination]) {
                accept(*executions_[log[index].destination], log[index], Location{writer, slot_, index});
                progress_ = true;
                if (world_.planted(Plant::release_at_read)) {
                    log[index].released = true;
                }
            }
        }
    }
}

void Member::accept(Execution& execution, const Record& record, Location location) {
    const ConsumedSet& consumed = execution.commit.consumed[record.source];
    const bool known = world_.planted(Plant::dedup_by_cursor) ? record.sequence < consumed.cursor()
                                                              : consumed.contains(record.sequence);
    if (known) {
        // Released is a function of the commit: whoever comes across it repairs what a dead owner left undone.
        world_.memory.logs[location.writer][location.reader][location.index].released = true;
        ++world_.statistics.duplicates;
        return;
    }
    std::vector<Item>& inbox = execution.inbox[record.source];
    const auto same = std::find_if(inbox.begin(), inbox.end(),
                                   [&](const Item& item) { return item.record.sequence == record.sequence; });
    if (same == inbox.end()) {
        const auto place = world_.planted(Plant::deliver_in_order_of_arrival)
                               ? inbox.end()
                               : std::find_if(inbox.begin(), inbox.end(),
                                              [&](const Item& item) { return item.record.sequence > record.sequence; });
        inbox.insert(place, Item{record, {location}, false});
        return;
    }
    const bool seen = std::any_of(same->copies.begin(), same->copies.end(), [&](const Location& copy) {
        return copy.writer == location.writer && copy.reader == location.reader && copy.index == location.index;
    });
    if (!seen) {
        same->copies.push_back(location);
        ++world_.statistics.duplicates;
        if (!same->record.same_content(record)) {
            world_.fail("rule 6: a record that was sent again differs from its original");
        }
    }
}

Member::Item* Member::deliverable(Execution& execution, std::uint32_t source, Tag tag) {
    const ConsumedSet& consumed = execution.commit.consumed[source];
    std::uint32_t next = consumed.lowest();
    for (Item& item : execution.inbox[source]) {
        if (!world_.planted(Plant::deliver_in_order_of_arrival)) {
            while (consumed.contains(next)) {
                ++next;
            }
            if (item.record.sequence != next) {
                return nullptr;  // an older one is still on its way, by another path
            }
            ++next;
        }
        if (!item.taken && item.record.tag == tag) {
            return &item;
        }
    }
    return nullptr;
}

bool Member::receive(std::uint32_t vnode, const Operation& operation) {
    Execution& execution = *executions_[vnode];
    Item* item = deliverable(execution, operation.partner, operation.tag);
    if (item == nullptr) {
        return false;
    }
    const Expected& expected = world_.program().expected(vnode, execution.step, execution.at);
    if (item->record.sequence != expected.sequence || item->record.payload != expected.payload) {
        world_.fail("I4: VNode " + std::to_string(vnode) + " step " + std::to_string(execution.step) +
                    " got sequence " + std::to_string(item->record.sequence) + " in place of " +
                    std::to_string(expected.sequence));
    }
    item->taken = true;
    execution.state = mix(execution.state, item->record.payload);
    return true;
}

Task Member::advance(std::uint32_t vnode) {
    Execution& execution = *executions_[vnode];
    if (execution.step == step_count) {
        co_return;
    }
    const std::vector<Operation>& operations = world_.program().operations(vnode, execution.step);
    for (; execution.at < operations.size(); ++execution.at) {
        const Operation& operation = operations[execution.at];
        if (operation.sends) {
            const std::uint32_t sequence = execution.commit.next_sequence[operation.partner]++;
            Task sending = send(Record{vnode, operation.partner, operation.tag, sequence,
                                       Program::payload(execution.state, sequence), false});
            co_await sending;
        } else if (!receive(vnode, operation)) {
            co_return;
        }
        progress_ = true;
    }
    Task committing = commit_step(vnode);
    co_await committing;
    if (world_.random(100) < world_.options().hand_over_percent) {
        Task giving = hand_over(vnode);
        co_await giving;
    } else {
        Task moving = move_if_asked(vnode);
        co_await moving;
    }
}

Task Member::send(Record record) {
    for (;;) {
        co_await world_.op();
        const DirectoryWord before{world_.memory.words[record.destination].load()};
        // A message to a name that nobody owns waits in a log of the sender to itself; the first owner finds it there.
        const std::uint32_t reader = before.assigned() ? before.owner().value : slot_;
        co_await world_.op();
        world_.store_late(PendingStore{PendingStore::Kind::publish, slot_, reader, record});
        if (!world_.planted(Plant::no_fence_after_publish)) {
            co_await world_.op();
            world_.fence();
        }
        DirectoryWord after = before;
        if (!world_.planted(Plant::no_reread_after_publish)) {
            co_await world_.op();
            after = DirectoryWord{world_.memory.words[record.destination].load()};
        }
        Task notice = give_notice(reader);
        co_await notice;
        if (after.same_ownership(before)) {
            co_return;
        }
        ++world_.statistics.resends;
    }
}

Task Member::commit_step(std::uint32_t vnode) {
    Execution& execution = *executions_[vnode];
    execution.commit.state = execution.state;
    execution.commit.steps = ++execution.step;
    execution.at = 0;
    std::vector<Location> copies;
    for (std::uint32_t source = 0; source < vnode_max; ++source) {
        std::vector<Item>& inbox = execution.inbox[source];
        for (const Item& item : inbox) {
            if (item.taken) {
                execution.commit.consumed[source].insert(item.record.sequence);
                copies.insert(copies.end(), item.copies.begin(), item.copies.end());
            }
        }
        std::erase_if(inbox, [](const Item& item) { return item.taken; });
    }
    co_await world_.op();
    world_.publish_commit(process_, vnode, execution.commit);
    for (const Location& copy : copies) {
        co_await world_.op();
        world_.memory.logs[copy.writer][copy.reader][copy.index].released = true;
    }
}

Task Member::hand_over(std::uint32_t vnode) {
    std::vector<std::uint32_t> receivers;
    for (std::uint32_t slot = 0; slot < slot_max; ++slot) {
        if (slot != slot_ && view_.is_active(MemberSlot{slot})) {
            receivers.push_back(slot);
        }
    }
    if (receivers.empty()) {
        co_return;
    }
    Task giving = give_to(vnode, receivers[world_.random(static_cast<std::uint32_t>(receivers.size()))]);
    co_await giving;
}

Task Member::move_if_asked(std::uint32_t vnode) {
    co_await world_.op();
    const MoveRequest request{world_.memory.requests[vnode].load()};
    const bool asked = request.holds_for(executions_[vnode]->word) && request.receiver().value < slot_max &&
                       view_.is_active(request.receiver());
    if (!asked) {
        co_return;
    }
    ++world_.statistics.asked_moves;
    Task giving = give_to(vnode, request.receiver().value);
    co_await giving;
}

Task Member::leave_if_drained() {
    const MemberEntry& self = view_.at(MemberSlot{slot_});
    co_await world_.op();
    if (self.state != MemberState::draining || self.incarnation != process_.incarnation || waits_to_retire_ ||
        !world_.memory.published[slot_].retire_wanted) {
        co_return;
    }
    for (std::uint32_t v = 0; v < world_.options().vnodes; ++v) {
        co_await world_.op();
        const DirectoryWord word{world_.memory.words[v].load()};
        if (word.owned_by(MemberSlot{slot_})) {
            if (executions_[v] && executions_[v]->at == 0) {
                Task moving = move_if_asked(v);
                co_await moving;
            }
            co_return;
        }
    }
    waits_to_retire_ = true;
    looked_ = false;  // everything is looked at again should it come back
    world_.tell_news();
}

Task Member::give_to(std::uint32_t vnode, std::uint32_t receiver) {
    const ViewWord chosen_from = view_word_;
    const DirectoryWord word = executions_[vnode]->word;
    co_await world_.op();
    if (!world_.compare_and_swap(vnode, word, word.given_to(MemberSlot{receiver}))) {
        world_.fail("I2: somebody took a VNode from its living owner");
        co_return;
    }
    executions_[vnode].reset();
    ++world_.statistics.hand_overs;
    co_await world_.op();
    ++world_.memory.attention[receiver];
    Task notice = give_notice(receiver);
    co_await notice;
    if (world_.planted(Plant::no_look_at_view_after_giving)) {
        co_return;
    }
    // The coordinator changes the view and then looks at the words; the giver changes the word and then looks at the
    // view: one of the two sees a VNode that was given to somebody who is no more.
    co_await world_.op();
    if (ViewWord{world_.memory.view_word} != chosen_from) {
        world_.tell_news();
    }
}

Task Member::rest() {
    co_await world_.op();
    world_.store_late(PendingStore{PendingStore::Kind::sleeping, slot_, slot_, {}});
    if (!world_.planted(Plant::no_fence_before_sleep)) {
        co_await world_.op();
        world_.fence();
    }
    Task look = look_at_directory();
    co_await look;
    Task reading = poll();
    co_await reading;
    co_await world_.op();
    if (progress_) {
        world_.fence();
        world_.memory.sleeping[slot_] = 0;
        co_return;
    }
    world_.sleep(slot_);
    co_await world_.op();
}

Task Member::give_notice(std::uint32_t slot) {
    co_await world_.op();
    if (world_.memory.sleeping[slot] != 0) {
        co_await world_.op();
        world_.fence();  // waking is a locked instruction and a system call
        world_.wake(slot);
    }
}

// ------------------------------------------------------------------------------------------------- service thread

Task Member::service() {
    co_await world_.op();
    world_.publish_member(process_, PublishedMember{PublishedState::joining, process_.incarnation, ticket_});
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
        if (decision.nothing()) {
            world_.wait_for_news(news);
            co_await world_.op();
            continue;
        }
        Task acting = carry_out(decision);
        co_await acting;
    }
    if (!retired_) {
        co_await world_.op();
        world_.publish_member(process_, PublishedMember{PublishedState::leaving, process_.incarnation, ticket_});
    }
    if (world_.random(2) == 0) {
        world_.end_soon(slot_);
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
    co_await world_.op();
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
