#include "sim/program.hpp"

#include "base/check.hpp"

#include <deque>
#include <map>
#include <tuple>

namespace phoenix::sim {

namespace {

struct Message {
    std::uint32_t sequence;
    std::uint64_t payload;
};

}  // namespace

Program::Program(std::uint32_t vnode_count, std::uint32_t steps) : vnode_count_(vnode_count), steps_(steps) {
    PHOENIX_CHECK(vnode_count >= 1 && vnode_count <= vnode_max);
    for (std::uint32_t v = 0; v < vnode_count; ++v) {
        operations_.emplace_back();
        for (std::uint32_t step = 0; step < steps; ++step) {
            operations_.back().push_back(operations_of(v, step));
        }
    }
    compute();
}

std::vector<Operation> Program::operations_of(std::uint32_t vnode, std::uint32_t step) const {
    const auto far_of = [this](std::uint32_t v) { return (2 * v + 1) % vnode_count_; };
    const std::uint32_t right = (vnode + 1) % vnode_count_;
    const std::uint32_t left = (vnode + vnode_count_ - 1) % vnode_count_;
    std::vector<Operation> operations{{true, right, Tag::late}, {true, right, Tag::early}, {false, left, Tag::early}};
    operations.push_back({true, far_of(vnode), Tag::far});
    for (std::uint32_t v = 0; v < vnode_count_; ++v) {
        if (far_of(v) == vnode) {
            operations.push_back({false, v, Tag::far});
        }
    }
    if (step > 0) {
        operations.push_back({false, left, Tag::late});
    }
    return operations;
}

void Program::compute() {
    std::vector<std::uint64_t> state;
    for (std::uint32_t v = 0; v < vnode_count_; ++v) {
        state.push_back(initial_state(v));
    }
    std::map<std::tuple<std::uint32_t, std::uint32_t, Tag>, std::deque<Message>> waiting;
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> next_sequence;
    expected_.assign(vnode_count_, std::vector<std::vector<Expected>>(steps_));
    for (std::uint32_t step = 0; step < steps_; ++step) {
        std::vector<std::size_t> at(vnode_count_, 0);
        // Round robin until all are through; receives that find nothing try again in the next round.
        for (bool progress = true; progress;) {
            progress = false;
            for (std::uint32_t v = 0; v < vnode_count_; ++v) {
                const std::vector<Operation>& operations = operations_[v][step];
                expected_[v][step].resize(operations.size());
                for (; at[v] < operations.size(); ++at[v]) {
                    const Operation& operation = operations[at[v]];
                    if (operation.sends) {
                        const std::uint32_t sequence = next_sequence[{v, operation.partner}]++;
                        waiting[{v, operation.partner, operation.tag}].push_back(
                            {sequence, payload(state[v], sequence)});
                    } else {
                        auto& queue = waiting[{operation.partner, v, operation.tag}];
                        if (queue.empty()) {
                            break;
                        }
                        expected_[v][step][at[v]] = Expected{queue.front().sequence, queue.front().payload};
                        state[v] = mix(state[v], queue.front().payload);
                        queue.pop_front();
                    }
                    progress = true;
                }
            }
        }
        for (std::uint32_t v = 0; v < vnode_count_; ++v) {
            PHOENIX_CHECK(at[v] == expected_[v][step].size());
        }
    }
    final_ = state;
}

}  // namespace phoenix::sim
