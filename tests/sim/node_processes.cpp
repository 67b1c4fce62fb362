/// What a port and a worker do, one shared-memory operation after another: each may die before every op().

#include "sim/nodes.hpp"

#include <algorithm>

namespace phoenix::sim {

// Tasks are named before they are awaited: see member.cpp.

Task Nodes::port(Node& node) {
    for (;;) {
        co_await op();
        take_acknowledgements(node);
        Task taking = take_from_the_dead(node);
        co_await taking;
        for (std::uint32_t v = 0; v < options_.vnodes; ++v) {
            if (node.memory.holders[v] != Holder::port) continue;
            Task parting = part_with(node, v);
            co_await parting;
            Task sending = send_state(node, v);
            co_await sending;
        }
        for (std::size_t place = 0; place < node.memory.records.size(); ++place) {
            Task shipping = ship(node, place);
            co_await shipping;
        }
        for (std::uint32_t from = 0; from < options_.nodes; ++from) {
            // Bulk and prompt frames overtake each other.
            const bool bulk_first = random(2) == 0;
            Task first = take_frame(node, from, bulk_first);
            co_await first;
            Task second = take_frame(node, from, !bulk_first);
            co_await second;
        }
    }
}

// What the last member of the node had. It was seen dead before.
Task Nodes::take_from_the_dead(Node& node) {
    const bool takes = node.deserted || (planted(NodePlant::evacuate_the_living) && random(20) == 0);
    for (std::uint32_t v = 0; takes && v < options_.vnodes; ++v) {
        if (node.memory.holders[v] != Holder::worker) continue;
        co_await op();
        node.memory.holders[v] = Holder::port;
        if (!node.deserted) node.memory.wishes[v] = random(options_.nodes);
    }
}

// A VNode whose state is here has been given to the port, to go to another node; or it has just come.
Task Nodes::part_with(Node& node, std::uint32_t vnode) {
    if (!location(node, vnode).here()) co_return;
    co_await op();
    std::optional<std::uint32_t> wish = node.memory.wishes[vnode];
    if (node.deserted && (!wish || *wish == node.id)) {
        wish = refuge();
        ++statistics_.evacuated;
    }
    if (!wish || *wish == node.id) {
        node.memory.holders[vnode] = Holder::worker;
        co_return;
    }
    change_location(node, vnode, location(node, vnode).given_to(NodeId{*wish}));
    node.state_sent[vnode] = false;
    ++statistics_.moves;
}

Task Nodes::send_state(Node& node, std::uint32_t vnode) {
    const LocationWord word = location(node, vnode);
    if (word.state() != LocationState::leaving || node.state_sent[vnode]) co_return;
    co_await op();
    Frame frame;
    frame.kind = Frame::Kind::state;
    frame.vnode = vnode;
    frame.epoch = word.epoch();
    frame.commit = node.memory.commits[vnode];
    node.links[word.node().value].bulk.push_back(std::move(frame));
    node.state_sent[vnode] = true;
    if (planted(NodePlant::free_when_sent)) {
        node.memory.commits[vnode] = Commit{};
        change_location(node, vnode, word.left());
    }
}

// A message for a VNode of another node goes there, unless it came with an epoch that this node has yet to see.
Task Nodes::ship(Node& node, std::size_t place) {
    Record& record = node.memory.records[place];
    const std::uint32_t v = record.destination;
    if (record.released || node.memory.holders[v] != Holder::port || node.shipped.contains(place)) co_return;
    const auto came = node.carried.find(place);
    const std::optional<std::uint64_t> carried =
        came == node.carried.end() ? std::nullopt : std::optional{came->second};
    if (route_of(location(node, v), carried) != Route::forward) co_return;
    co_await op();
    const LocationWord word = location(node, v);
    if (record.released || route_of(word, carried) != Route::forward) co_return;
    Frame frame;
    frame.kind = Frame::Kind::message;
    frame.vnode = v;
    frame.epoch = word.epoch();
    frame.record = record;
    frame.place = place;
    node.links[word.node().value].prompt.push_back(std::move(frame));
    node.shipped[place] = word.node().value;
    ++statistics_.shipped;
    if (planted(NodePlant::release_when_sent)) record.released = true;
}

Task Nodes::take_frame(Node& node, std::uint32_t from, bool bulk) {
    Link& back = nodes_[from].links[node.id];
    std::deque<Frame>& queue = bulk ? back.bulk : back.prompt;
    if (from == node.id || queue.empty() || back.peer_restarted) co_return;
    co_await op();
    if (queue.empty() || back.peer_restarted) co_return;
    const Frame frame = queue.front();
    queue.pop_front();
    switch (frame.kind) {
        case Frame::Kind::state: {
            Task taking = take_state(node, from, frame);
            co_await taking;
            break;
        }
        case Frame::Kind::message: {
            Task taking = take_message(node, from, frame);
            co_await taking;
            break;
        }
        case Frame::Kind::stored: take_stored(node, from, frame); break;
        case Frame::Kind::hint: take_hint(node, frame); break;
    }
}

Task Nodes::take_state(Node& node, std::uint32_t from, Frame frame) {
    const std::uint32_t v = frame.vnode;
    Frame answer;
    answer.kind = Frame::Kind::stored;
    answer.vnode = v;
    answer.epoch = frame.epoch;
    const bool old = arrival_of(location(node, v), frame.epoch) == Arrival::stored_once;
    if (old) ++statistics_.repeated;
    if (old && (!planted(NodePlant::take_old_states) || location(node, v).here())) {
        node.links[from].prompt.push_back(answer);
        co_return;
    }
    const LocationWord arrived = LocationWord::make(NodeId{node.id}, LocationState::here, frame.epoch);
    if (planted(NodePlant::say_stored_before_word)) node.links[from].prompt.push_back(answer);
    if (planted(NodePlant::word_before_state)) {
        co_await op();
        change_location(node, v, arrived);
    }
    co_await op();
    node.memory.commits[v] = frame.commit;
    node.memory.wishes[v].reset();
    co_await op();
    change_location(node, v, arrived);
    co_await op();
    node.links[from].prompt.push_back(answer);
}

Task Nodes::take_message(Node& node, std::uint32_t from, Frame frame) {
    const std::uint32_t v = frame.vnode;
    co_await op();
    const LocationWord word = location(node, v);
    const Route route = route_of(word, frame.epoch);
    node.memory.records.push_back(frame.record);
    node.memory.records.back().released = false;
    node.carried[node.memory.records.size() - 1] = frame.epoch;
    if (route == Route::hold) ++statistics_.held;
    if (route == Route::forward) {
        ++statistics_.forwarded;
        Frame hint;
        hint.kind = Frame::Kind::hint;
        hint.vnode = v;
        hint.epoch = word.epoch();
        hint.node = word.node().value;
        node.links[from].prompt.push_back(std::move(hint));
    }
    co_await op();
    nodes_[from].links[node.id].acknowledged.push_back(frame.place);
}

void Nodes::take_stored(Node& node, std::uint32_t from, const Frame& frame) {
    const LocationWord word = location(node, frame.vnode);
    if (!waits_for(word, NodeId{from}, frame.epoch)) return;
    // In this order: the word first, then the memory may be used for something else.
    change_location(node, frame.vnode, word.left());
    node.memory.commits[frame.vnode] = Commit{};
}

void Nodes::take_hint(Node& node, const Frame& frame) {
    const LocationWord word = location(node, frame.vnode);
    const NodeId self{planted(NodePlant::learn_of_oneself) ? node_max : node.id};
    if (const auto better = learned(word, self, NodeId{frame.node}, frame.epoch))
        change_location(node, frame.vnode, *better);
}

void Nodes::take_acknowledgements(Node& node) {
    for (std::uint32_t to = 0; to < options_.nodes; ++to) {
        Link& link = node.links[to];
        for (const std::size_t place : link.acknowledged) node.memory.records[place].released = true;
        link.acknowledged.clear();
        if (!std::exchange(link.peer_restarted, false)) continue;
        // The other port is a new process: whatever it was sent and did not take must be sent again.
        link.prompt.clear();
        link.bulk.clear();
        // Where a message was sent counts, not where its VNode is by now.
        std::erase_if(node.shipped, [&](const auto& entry) {
            const std::uint32_t v = node.memory.records[entry.first].destination;
            return planted(NodePlant::forget_by_present_place) ? location(node, v).node().value == to
                                                               : entry.second == to;
        });
        for (std::uint32_t v = 0; v < options_.vnodes; ++v)
            if (location(node, v).node().value == to && !planted(NodePlant::trust_acceptance))
                node.state_sent[v] = false;
    }
}

Task Nodes::worker(Node& node) {
    for (;;) {
        co_await op();
        for (std::uint32_t v = 0; v < options_.vnodes; ++v) {
            if (node.memory.holders[v] != Holder::worker) continue;
            Task step = advance(node, v);
            co_await step;
        }
    }
}

Task Nodes::advance(Node& node, std::uint32_t vnode) {
    std::optional<Execution>& place = node.executions[vnode];
    if (!place) {
        co_await op();
        const Commit& commit = node.memory.commits[vnode];
        if (!commit.valid) fail("I3: a VNode without a state is executed");
        place = Execution{commit, commit.state, commit.steps, 0, {}};
    }
    if (place->step < step_count) {
        const std::vector<Operation>& operations = program_.operations(vnode, place->step);
        for (; place->at < operations.size(); ++place->at) {
            co_await op();
            const Operation& operation = operations[place->at];
            if (operation.sends) {
                const std::uint32_t sequence = place->commit.next_sequence[operation.partner]++;
                node.memory.records.push_back(Record{vnode, operation.partner, operation.tag, sequence,
                                                     Program::payload(place->state, sequence), false});
                continue;
            }
            Record* record = deliverable(node, vnode, operation);
            if (record == nullptr) co_return;
            const Expected& expected = program_.expected(vnode, place->step, place->at);
            if (record->sequence != expected.sequence || record->payload != expected.payload)
                fail("I4: VNode " + std::to_string(vnode) + " got sequence " + std::to_string(record->sequence) +
                     " in place of " + std::to_string(expected.sequence));
            place->consumed.push_back(record);
            place->state = mix(place->state, record->payload);
        }
        Task committing = commit_step(node, vnode);
        co_await committing;
    }
    if (random(100) >= options_.move_percent) co_return;
    co_await op();
    node.memory.wishes[vnode] = random(options_.nodes);
    co_await op();
    place.reset();
    node.memory.holders[vnode] = Holder::port;
}

Task Nodes::commit_step(Node& node, std::uint32_t vnode) {
    Execution& execution = *node.executions[vnode];
    execution.commit.state = execution.state;
    execution.commit.steps = ++execution.step;
    for (const Record* record : execution.consumed) execution.commit.consumed[record->source].insert(record->sequence);
    co_await op();
    if (!location(node, vnode).here())
        fail("I2: VNode " + std::to_string(vnode) + " commits on a node where it is not");
    if (execution.commit.steps != steps_done_[vnode] + 1)
        fail("I2: step " + std::to_string(execution.commit.steps) + " of VNode " + std::to_string(vnode) +
             " counts after step " + std::to_string(steps_done_[vnode]));
    node.memory.commits[vnode] = execution.commit;
    ++steps_done_[vnode];
    co_await op();
    for (Record* record : execution.consumed) record->released = true;
    execution.consumed.clear();
    execution.at = 0;
}

// The next message of the channel with that tag, if none before it is missing. Those that the commit has are dropped.
Record* Nodes::deliverable(Node& node, std::uint32_t vnode, const Operation& operation) {
    const Execution& execution = *node.executions[vnode];
    const ConsumedSet& consumed = execution.commit.consumed[operation.partner];
    std::map<std::uint32_t, Record*> waiting;
    for (Record& record : node.memory.records) {
        if (record.destination != vnode || record.source != operation.partner || record.released) continue;
        const bool known = consumed.contains(record.sequence) || waiting.contains(record.sequence);
        if (known) ++statistics_.duplicates;
        if (consumed.contains(record.sequence)) record.released = true;
        if (known) continue;
        waiting[record.sequence] = &record;
    }
    const auto taken = [&](std::uint32_t sequence) {
        return std::any_of(execution.consumed.begin(), execution.consumed.end(), [&](const Record* record) {
            return record->source == operation.partner && record->sequence == sequence;
        });
    };
    for (std::uint32_t next = consumed.lowest();; ++next) {
        if (consumed.contains(next) || taken(next)) continue;
        const auto found = waiting.find(next);
        if (found == waiting.end()) return nullptr;  // an older one is still on its way
        if (found->second->tag == operation.tag) return found->second;
    }
}

}  // namespace phoenix::sim
