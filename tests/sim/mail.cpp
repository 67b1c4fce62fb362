/// The logs of a simulated member, both ends: as runtime/mailroom does it.

#include "sim/member.hpp"

#include <algorithm>

namespace phoenix::sim {

namespace {

bool is_member(const View& view, std::uint32_t slot) {
    const MemberState state = view.members[slot].state;
    return state == MemberState::active || state == MemberState::draining;
}

}  // namespace

Task Member::find_logs() {
    for (std::uint32_t writer = 0; writer < slot_max; ++writer) {
        if (readers_[writer] || world_.memory.heads[slot_][writer].chain == 0) {
            continue;
        }
        co_await world_.op();
        const LogHead head = world_.memory.heads[slot_][writer];
        const bool meant = head.reader_incarnation == process_.incarnation || world_.planted(Plant::begin_at_any_head);
        if (head.chain == 0 || !meant) {
            continue;
        }
        readers_[writer] = Open{head.chain - 1, 0};
        part_again_ = true;
    }
}

Task Member::poll() {
    if (waits_to_retire_) {
        co_return;  // its logs may be closed and used otherwise any time
    }
    Task finding = find_logs();
    co_await finding;
    for (std::uint32_t writer = 0; writer < slot_max; ++writer) {
        if (!readers_[writer] ||
            readers_[writer]->cursor == world_.memory.chains[readers_[writer]->chain].records.size()) {
            continue;
        }
        co_await world_.op();
        auto& [chain, cursor] = *readers_[writer];
        Chain& log = world_.memory.chains[chain];
        if (cursor < log.recycled) {
            world_.fail("I4: slot " + std::to_string(slot_) + " reads memory of a log that is used otherwise");
            co_return;
        }
        for (; cursor < log.records.size(); ++cursor) {
            // Records for a VNode that this member does not execute are found by whoever adopts it.
            Record& record = log.records[cursor];
            if (!record.released && executions_[record.destination]) {
                accept(*executions_[record.destination], record, Location{chain, cursor});
                progress_ = true;
                if (world_.planted(Plant::release_at_read)) {
                    record.released = true;
                }
            }
        }
        log.read = cursor;
    }
}

Task Member::send(Record record) {
    for (;;) {
        co_await world_.op();
        const DirectoryWord before{world_.memory.words[record.destination].load()};
        // A message to a name that nobody owns waits in a log of the sender to itself; the first owner finds it there.
        Task routing = find_route(before.assigned() ? before.owner().value : slot_);
        co_await routing;
        if (route_.detour) {
            co_await world_.long_op();
        }
        co_await world_.op();
        world_.store_late(PendingStore{PendingStore::Kind::publish, slot_, route_.chain, record});
        if (!world_.planted(Plant::no_fence_after_publish)) {
            co_await world_.op();
            world_.fence();
        }
        DirectoryWord after = before;
        if (!world_.planted(Plant::no_reread_after_publish)) {
            co_await world_.op();
            after = DirectoryWord{world_.memory.words[record.destination].load()};
        }
        Task notice = give_notice(route_.reader);
        co_await notice;
        Task looking = look_at_route_again();
        co_await looking;
        if (after.same_ownership(before) && route_right_) {
            co_return;
        }
        ++world_.statistics.resends;
    }
}

Task Member::find_route(std::uint32_t reader) {
    route_ = Route{};
    Incarnation incarnation = process_.incarnation;
    if (!writers_[reader] && reader != slot_) {
        co_await world_.op();
        route_.looked = ViewWord{world_.memory.view_word};
        const View view = world_.view_in_force();
        incarnation = view.members[reader].incarnation;
        route_.detour = !is_member(view, reader);
        reader = route_.detour ? slot_ : reader;
        incarnation = route_.detour ? process_.incarnation : incarnation;
    }
    if (!writers_[reader]) {
        Task opening = open_log(reader, incarnation);
        co_await opening;
    }
    route_.chain = writers_[reader]->chain;
    route_.reader = reader;
}

Task Member::open_log(std::uint32_t reader, Incarnation incarnation) {
    co_await world_.op();
    world_.memory.chains.push_back(Chain{.label = slot_, .reader = reader, .reader_incarnation = incarnation});
    const std::size_t number = world_.memory.chains.size();
    writers_[reader] = Open{number - 1, 0};
    route_.is_new = reader != slot_;
    co_await world_.long_op();
    world_.memory.heads[reader][slot_] = LogHead{number, incarnation};
}

Task Member::close_log(std::uint32_t reader) {
    co_await world_.op();
    world_.memory.heads[reader][slot_] = LogHead{};
    closed_.push_back(writers_[reader]->chain);
    writers_[reader].reset();
    world_.tell_news();
}

Task Member::look_at_route_again() {
    route_right_ = true;
    if (route_.detour && !world_.planted(Plant::no_second_look_at_detour)) {
        co_await world_.op();
        route_right_ = ViewWord{world_.memory.view_word} == route_.looked;
    }
    // That this look is needed is shown by MailroomTest: here a VNode never comes back to a slot while a step waits.
    if (route_.is_new) {
        co_await world_.op();
        const View view = world_.view_in_force();
        const bool same =
            view.members[route_.reader].incarnation == world_.memory.chains[route_.chain].reader_incarnation;
        if (!is_member(view, route_.reader) || !same) {
            Task closing = close_log(route_.reader);
            co_await closing;
            route_right_ = false;
        }
    }
}

Task Member::part() {
    co_await world_.op();
    if (ViewWord{world_.memory.view_word} == parted_ && !part_again_) {
        recycle();
        co_return;
    }
    const View view = world_.view_in_force();
    parted_ = ViewWord{world_.memory.view_word};
    part_again_ = false;
    for (std::uint32_t other = 0; other < slot_max; ++other) {
        const bool member = is_member(view, other);
        if (writers_[other] && other != slot_ &&
            (!member ||
             view.members[other].incarnation != world_.memory.chains[writers_[other]->chain].reader_incarnation)) {
            Task closing = close_log(other);
            co_await closing;
        }
        if (!readers_[other] || member || other == slot_) {
            continue;
        }
        if (readers_[other]->cursor != world_.memory.chains[readers_[other]->chain].records.size()) {
            part_again_ = true;
            continue;
        }
        co_await world_.op();
        readers_[other].reset();
        world_.memory.heads[slot_][other] = LogHead{};
        world_.tell_news();
    }
    recycle();
}

void Member::recycle() {
    std::deque<Chain>& chains = world_.memory.chains;
    for (const auto& writer : writers_) {
        if (writer) {
            chains[writer->chain].recycle(std::min(chains[writer->chain].read, chains[writer->chain].records.size()));
        }
    }
    for (const std::size_t chain : closed_) {
        chains[chain].recycle(chains[chain].records.size());
    }
}

}  // namespace phoenix::sim
