/// The simulated cluster: scheduler, faults, judgement.

#include "sim/nodes.hpp"

#include <algorithm>

namespace phoenix::sim {

namespace {

constexpr std::uint64_t event_max = 60'000;     // an undisturbed schedule takes some 2,000
constexpr std::uint32_t fault_horizon = 1'500;  // most schedules are not through by then

}  // namespace

NodeOptions NodeOptions::drawn_from(std::uint64_t seed, NodePlant plant) {
    std::mt19937_64 random{mix(seed, 2)};
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    NodeOptions options;
    options.seed = seed;
    options.nodes = 2 + below(node_max - 1);
    options.vnodes = 1 + below(vnode_max);
    options.port_deaths = below(6);
    options.worker_deaths = below(3);
    options.desertions = below(options.nodes);
    options.move_percent = 10 + below(80);
    options.plant = plant;
    return options;
}

NodeStatistics& NodeStatistics::operator+=(const NodeStatistics& other) {
    events += other.events;
    port_deaths += other.port_deaths;
    worker_deaths += other.worker_deaths;
    desertions += other.desertions;
    evacuated += other.evacuated;
    moves += other.moves;
    repeated += other.repeated;
    shipped += other.shipped;
    forwarded += other.forwarded;
    held += other.held;
    duplicates += other.duplicates;
    return *this;
}

Nodes::Nodes(const NodeOptions& options) : options_(options), program_(options.vnodes), random_(mix(options.seed, 3)) {
    for (std::uint32_t n = 0; n < options_.nodes; ++n) {
        Node& node = nodes_.emplace_back();
        node.id = n;
        for (std::uint32_t v = 0; v < options_.vnodes; ++v) {
            const NodeId first = first_node_of(v, options_.vnodes, options_.nodes);
            const bool here = first.value == n;
            node.memory.locations[v] =
                LocationWord::make(first, here ? LocationState::here : LocationState::away, 0).bits;
            node.memory.holders[v] = here ? Holder::worker : Holder::port;
            if (here) node.memory.commits[v] = Commit{true, 0, Program::initial_state(v), {}, {}};
        }
    }
    for (Node& node : nodes_) {
        start_port(node);
        start_worker(node);
    }
}

void Nodes::start_port(Node& node) {
    node.port = port(node);
    node.port_point = node.port.handle();
}

void Nodes::start_worker(Node& node) {
    node.worker = worker(node);
    node.worker_point = node.worker.handle();
}

// All that the process knew and all that is on its way to or from it is lost. Its VNodes go to the worker, as the
// coordinator of the node gives them to an adopter, or to the next port.
void Nodes::kill_port(Node& node) {
    ++statistics_.port_deaths;
    node.port = Task{};
    node.state_sent = {};
    node.shipped.clear();
    node.carried.clear();
    for (Node& other : nodes_) {
        node.links[other.id] = Link{};
        Link& towards = other.links[node.id];
        towards.prompt.clear();
        towards.bulk.clear();
        towards.peer_restarted = true;
    }
    for (std::uint32_t v = 0; v < options_.vnodes; ++v)
        if (location(node, v).here() && !node.deserted) node.memory.holders[v] = Holder::worker;
    start_port(node);
}

void Nodes::kill_worker(Node& node) {
    if (node.deserted) return;
    ++statistics_.worker_deaths;
    node.worker = Task{};
    for (auto& execution : node.executions) execution.reset();
    start_worker(node);
}

// The last member of the node dies, unless it is the last of all.
void Nodes::desert(Node& node) {
    const auto staying = std::count_if(nodes_.begin(), nodes_.end(), [](const Node& other) { return !other.deserted; });
    if (node.deserted || staying == 1) return;
    ++statistics_.desertions;
    node.deserted = true;
    node.worker = Task{};
    for (auto& execution : node.executions) execution.reset();
}

// A node where VNodes are executed, as far as a port can know: one that is deserted now may be named too.
std::uint32_t Nodes::refuge() {
    for (;;) {
        const std::uint32_t id = random(options_.nodes);
        if (!nodes_[id].deserted) return id;
    }
}

void Nodes::change_location(Node& node, std::uint32_t vnode, LocationWord word) {
    node.memory.locations[vnode] = word.bits;
    const auto here =
        std::count_if(nodes_.begin(), nodes_.end(), [&](const Node& other) { return location(other, vnode).here(); });
    if (here > 1) fail("I2: VNode " + std::to_string(vnode) + " is on two nodes");
}

void Nodes::fail(std::string what) {
    if (failure_.empty()) failure_ = std::move(what);
}

bool Nodes::complete() const {
    for (std::uint32_t v = 0; v < options_.vnodes; ++v)
        if (steps_done_[v] < step_count) return false;
    return true;
}

void Nodes::check_results() {
    for (std::uint32_t v = 0; v < options_.vnodes && failure_.empty(); ++v) {
        bool found = false;
        for (const Node& node : nodes_) {
            const bool kept = location(node, v).state() != LocationState::away;
            const Commit& commit = node.memory.commits[v];
            found = found ||
                    (kept && commit.valid && commit.steps == step_count && commit.state == program_.final_state(v));
        }
        if (!found) fail("I5: the final state of VNode " + std::to_string(v) + " is not the one of an undisturbed run");
    }
}

void Nodes::resume(Task& task, std::coroutine_handle<>& point) {
    running_point_ = &point;
    if (!task.done()) point.resume();
}

NodeOutcome Nodes::run() {
    std::vector<std::uint64_t> port_deaths;
    std::vector<std::uint64_t> worker_deaths;
    for (std::uint32_t i = 0; i < options_.port_deaths; ++i) port_deaths.push_back(random(fault_horizon));
    for (std::uint32_t i = 0; i < options_.worker_deaths; ++i) worker_deaths.push_back(random(fault_horizon));
    std::vector<std::uint64_t> desertions;
    for (std::uint32_t i = 0; i < options_.desertions; ++i) desertions.push_back(random(fault_horizon));
    const auto due = [&](std::vector<std::uint64_t>& times) {
        const auto at = std::find(times.begin(), times.end(), statistics_.events);
        if (at == times.end()) return false;
        times.erase(at);
        return true;
    };
    while (failure_.empty() && !complete()) {
        if (++statistics_.events > event_max) {
            fail("I3: the run stands still");
            break;
        }
        if (due(port_deaths)) kill_port(nodes_[random(options_.nodes)]);
        if (due(worker_deaths)) kill_worker(nodes_[random(options_.nodes)]);
        if (due(desertions)) desert(nodes_[random(options_.nodes)]);
        Node& node = nodes_[random(options_.nodes)];
        if (random(2) == 0 || node.deserted)
            resume(node.port, node.port_point);
        else
            resume(node.worker, node.worker_point);
    }
    if (failure_.empty()) check_results();
    return {failure_, statistics_};
}

NodeOutcome simulate_nodes(const NodeOptions& options) { return Nodes{options}.run(); }

}  // namespace phoenix::sim
