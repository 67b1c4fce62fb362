#pragma once
/// Several nodes in one thread: what lies in the memory of each, its port and its worker, links between the ports, a
/// scheduler that picks the next operation by seed, and faults. What happens between processes of one node is the
/// matter of world.hpp; here a node's messages are one store that its worker and its port both see, and the directory
/// word is reduced to which of the two answers for a VNode.

#include "membership/location.hpp"
#include "sim/program.hpp"
#include "sim/records.hpp"
#include "sim/task.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace phoenix::sim {

inline constexpr std::uint32_t node_max = 4;

/// Bugs to plant: each removes one rule of the hand-over between nodes.
enum class NodePlant : std::uint8_t {
    none,
    say_stored_before_word,   ///< The receiver says that it has the state before its location word says so.
    free_when_sent,           ///< The sender forgets the state when it is on the wire.
    take_old_states,          ///< A state that comes a second time is stored again.
    release_when_sent,        ///< A message is given up when it is on the wire, not when the other node has it.
    learn_of_oneself,         ///< A hint that names the node itself is believed.
    forget_by_present_place,  ///< After the death of a port: sent again is what its VNodes have by now, not what it
                              ///< got.
    trust_acceptance,         ///< A state that was accepted is not sent again to the next port.
    word_before_state,        ///< The location word says `here` before the state is stored.
    evacuate_the_living       ///< The port takes VNodes of workers that are not dead.
};

struct NodeOptions {
    std::uint64_t seed{};
    std::uint32_t nodes{2};
    std::uint32_t vnodes{4};
    std::uint32_t port_deaths{2};
    std::uint32_t worker_deaths{1};
    std::uint32_t desertions{0};  ///< Nodes whose worker dies for good; at most all but one.
    std::uint32_t move_percent{30};
    NodePlant plant{NodePlant::none};

    /// A mixture of everything, drawn from `seed`.
    [[nodiscard]] static NodeOptions drawn_from(std::uint64_t seed, NodePlant plant = NodePlant::none);
};

struct NodeStatistics {
    std::uint64_t events{};
    std::uint64_t port_deaths{};
    std::uint64_t worker_deaths{};
    std::uint64_t desertions{};
    std::uint64_t evacuated{};   ///< Of the moves: from a node without a worker.
    std::uint64_t moves{};       ///< Between nodes.
    std::uint64_t repeated{};    ///< States that came again.
    std::uint64_t shipped{};     ///< Messages between nodes.
    std::uint64_t forwarded{};   ///< Of these, by a node that had no use for them.
    std::uint64_t held{};        ///< Came before the state.
    std::uint64_t duplicates{};  ///< Dropped by sequence.
    NodeStatistics& operator+=(const NodeStatistics& other);
};

struct NodeOutcome {
    std::string failure;  ///< Empty: all promises were kept.
    NodeStatistics statistics;
};

/// Runs one schedule.
[[nodiscard]] NodeOutcome simulate_nodes(const NodeOptions& options);

/// The simulated cluster; see nodes.cpp for what is shared and node_processes.cpp for who does what.
class Nodes {
  public:
    explicit Nodes(const NodeOptions& options);
    [[nodiscard]] NodeOutcome run();

  private:
    enum class Holder : std::uint8_t { worker, port };
    /// What one node keeps in shared memory: survives its processes.
    struct Memory {
        std::array<std::uint64_t, vnode_max> locations{};  ///< Bits of LocationWord.
        std::array<Holder, vnode_max> holders{};
        std::array<std::optional<std::uint32_t>, vnode_max> wishes{};  ///< Node to move to.
        std::array<Commit, vnode_max> commits{};
        std::deque<Record> records;
    };
    struct Frame {
        enum class Kind : std::uint8_t { state, stored, message, hint } kind{};
        std::uint32_t vnode{};
        std::uint64_t epoch{};
        std::uint32_t node{};  ///< hint: where it is.
        Commit commit{};       ///< state
        Record record{};       ///< message
        std::size_t place{};   ///< message: index in the sender's memory.
    };
    /// From one port to another. Loses what is under way when either of them dies.
    struct Link {
        std::deque<Frame> prompt;
        std::deque<Frame> bulk;
        std::deque<std::size_t> acknowledged;  ///< Places of messages of this node that the other one has.
        bool peer_restarted{};
    };
    struct Execution {
        Commit commit;
        std::uint64_t state{};
        std::uint32_t step{};
        std::size_t at{};
        std::vector<Record*> consumed;  ///< Not committed yet.
    };
    struct Node {
        std::uint32_t id{};
        bool deserted{};  ///< Nobody executes anything here any more.
        Memory memory;
        Task port;
        Task worker;
        std::coroutine_handle<> port_point{};
        std::coroutine_handle<> worker_point{};
        std::array<Link, node_max> links;  ///< To each other node.
        // Lost with the port:
        std::array<bool, vnode_max> state_sent{};
        std::map<std::size_t, std::uint32_t> shipped;  ///< Places of messages that are under way, and where to.
        std::map<std::size_t, std::uint64_t> carried;  ///< Epoch with which the message of a place came.
        // Lost with the worker:
        std::array<std::optional<Execution>, vnode_max> executions;
    };
    struct Point {
        Nodes& nodes;
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> handle) const noexcept { *nodes.running_point_ = handle; }
        void await_resume() const noexcept {}
    };
    [[nodiscard]] Point op() noexcept { return Point{*this}; }
    [[nodiscard]] bool planted(NodePlant plant) const noexcept { return options_.plant == plant; }
    [[nodiscard]] std::uint32_t random(std::uint32_t below) { return static_cast<std::uint32_t>(random_() % below); }
    [[nodiscard]] LocationWord location(const Node& node, std::uint32_t vnode) const {
        return LocationWord{node.memory.locations[vnode]};
    }
    void change_location(Node& node, std::uint32_t vnode, LocationWord word);
    void fail(std::string what);

    // node_processes.cpp
    [[nodiscard]] Task port(Node& node);
    [[nodiscard]] Task take_from_the_dead(Node& node);
    [[nodiscard]] Task part_with(Node& node, std::uint32_t vnode);
    [[nodiscard]] Task send_state(Node& node, std::uint32_t vnode);
    [[nodiscard]] Task ship(Node& node, std::size_t place);
    [[nodiscard]] Task take_frame(Node& node, std::uint32_t from, bool bulk);
    [[nodiscard]] Task take_state(Node& node, std::uint32_t from, Frame frame);
    [[nodiscard]] Task take_message(Node& node, std::uint32_t from, Frame frame);
    void take_stored(Node& node, std::uint32_t from, const Frame& frame);
    void take_hint(Node& node, const Frame& frame);
    void take_acknowledgements(Node& node);
    [[nodiscard]] Task worker(Node& node);
    [[nodiscard]] Task advance(Node& node, std::uint32_t vnode);
    [[nodiscard]] Task commit_step(Node& node, std::uint32_t vnode);
    [[nodiscard]] Record* deliverable(Node& node, std::uint32_t vnode, const Operation& operation);

    // nodes.cpp
    void kill_port(Node& node);
    void kill_worker(Node& node);
    void desert(Node& node);
    [[nodiscard]] std::uint32_t refuge();
    void start_port(Node& node);
    void start_worker(Node& node);
    void resume(Task& task, std::coroutine_handle<>& point);
    [[nodiscard]] bool complete() const;
    void check_results();

    NodeOptions options_;
    Program program_;
    std::mt19937_64 random_;
    std::deque<Node> nodes_;
    std::coroutine_handle<>* running_point_{};
    std::array<std::uint32_t, vnode_max> steps_done_{};  ///< Of all commits that counted.
    NodeStatistics statistics_;
    std::string failure_;
};

}  // namespace phoenix::sim
