#pragma once
/// What the executing member knows of a VNode beyond its commit: all of it can be had back by executing the step again.

#include "messaging/channel.hpp"
#include "runtime/domain_layout.hpp"

#include <phoenix/field.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace phoenix {

class Fiber;

enum class VNodeStatus : std::uint8_t {
    ready,    ///< Its next step may begin, or its fiber may go on.
    running,  ///< On the worker.
    waiting,  ///< Its fiber waits for something.
    at_gate,  ///< Between steps, until a checkpoint or cut is complete.
    finished  ///< Has done the phase.
};

/// A field of a VNode since its last commit.
struct FieldLive {
    std::uint8_t committed{0};  ///< Buffer in force (fixed, two-buffer).
    std::uint8_t now{0};        ///< Buffer that holds the values of this step's start.
    bool touched{false};        ///< next() was asked for in this step (two-buffer); changed since the commit (others).
    std::uint32_t extent{0};    ///< Resizable: where the values are.
    std::uint64_t count{0};     ///< Resizable: elements.
};

/// What one execution of a step did, for --verify-replay.
struct TraceItem {
    std::uint32_t kind;     ///< 0 message, 1 field, 2 reduction
    std::uint32_t subject;  ///< destination VNode, field index, round
    std::uint32_t tag;
    std::uint32_t reserved;
    std::uint64_t size;
    std::uint64_t digest;
    friend bool operator==(const TraceItem&, const TraceItem&) = default;
};

namespace detail {

class DomainState;

struct VNodeState {
    DomainState* domain{nullptr};
    std::uint32_t index{0};
    VNodeStatus status{VNodeStatus::ready};
    bool stop_called{false};
    bool adopted{false};     ///< Taken over after a death; until its first repeated step begins.
    bool fresh_halo{false};  ///< Halos of this step have been made undefined (verify-replay).
    WaitKind wait_kind{WaitKind::none};
    std::uint32_t wait_peer{0};
    std::uint32_t wait_tag{0};
    Fiber* fiber{nullptr};

    std::uint64_t commit_number{0};
    std::uint32_t phase{0};
    std::uint32_t serial{0};  ///< Steps completed over all phases.
    std::uint64_t step{0};    ///< Steps completed in this phase; index of the running one.
    std::uint32_t sync_round{0};
    std::uint32_t cast_round{0};
    std::uint32_t random_calls{0};
    std::uint64_t directory_version{0};

    ChannelTable channels;
    std::vector<RecordRef> consumed;  ///< Since the last commit.
    std::vector<RecordRef> held;      ///< Global recovery: consumed before the last commit, which is not closed yet.
    std::unique_ptr<FieldLive[]> fields;
    std::string print;
    std::unique_ptr<std::vector<TraceItem>> trace;  ///< Only with --verify-replay.
};

}  // namespace detail
}  // namespace phoenix
