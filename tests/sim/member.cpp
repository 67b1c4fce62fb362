/// The worker of a simulated member: executes VNodes. Its logs are in mail.cpp, its service thread in service.cpp.

#include "sim/member.hpp"

#include <algorithm>

namespace phoenix::sim {

// Tasks are named before they are awaited: temporaries in a co_await expression are where GCC 11 and 12 go wrong.

Task Member::worker() {
    while (!process_.leave_requested && !retired_) {
        progress_ = false;
        Task look = look_at_directory();
        co_await look;
        Task reading = poll();
        co_await reading;
        Task parting = part();
        co_await parting;
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
    for (std::size_t chain = 0; chain < world_.memory.chains.size(); ++chain) {
        const bool skipped = world_.planted(Plant::no_scan_on_adoption) && world_.memory.chains[chain].reader != slot_;
        if (skipped || world_.memory.chains[chain].used_up()) {
            continue;
        }
        co_await world_.op();
        const Chain& log = world_.memory.chains[chain];
        for (std::size_t index = log.recycled; index < log.records.size(); ++index) {
            if (log.records[index].destination == vnode && !log.records[index].released) {
                accept(execution, log.records[index], Location{chain, index});
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

void Member::accept(Execution& execution, const Record& record, Location location) {
    const ConsumedSet& consumed = execution.commit.consumed[record.source];
    const bool known = world_.planted(Plant::dedup_by_cursor) ? record.sequence < consumed.cursor()
                                                              : consumed.contains(record.sequence);
    if (known) {
        // Released is a function of the commit: whoever comes across it repairs what a dead owner left undone.
        world_.memory.chains[location.chain].records[location.index].released = true;
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
    if (std::find(same->copies.begin(), same->copies.end(), location) == same->copies.end()) {
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
    if (execution.step == world_.options().steps) {
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
        world_.memory.chains[copy.chain].records[copy.index].released = true;
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
    co_await world_.long_op();
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
    world_.store_late(PendingStore{PendingStore::Kind::sleeping, slot_, 0, {}});
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

}  // namespace phoenix::sim
