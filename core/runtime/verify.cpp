#include "runtime/runtime_state.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <xxhash.h>

namespace phoenix::detail {

// --verify-replay: each step is executed twice from the same commit, the second time in another member, so that static
// variables, captured locals and uninitialised memory show. The first execution leaves a trace of what it did and hands
// the VNode over without committing; the second compares and commits.

namespace {

std::uint64_t digest_of(const PartMemory& part, std::uint64_t element_size) {
    XXH3_state_t* state = XXH3_createState();
    XXH3_64bits_reset(state);
    const auto rows = part.shape.rank == 3 ? part.shape.extents[0] : 1;
    const auto lines = part.shape.rank == 3 ? part.shape.extents[1] : part.shape.rank == 2 ? part.shape.extents[0] : 1;
    const auto last = part.shape.rank == 0 ? 0 : part.shape.extents[part.shape.rank - 1];
    for (std::uint64_t i = 0; i < rows; ++i)
        for (std::uint64_t j = 0; j < lines; ++j) {
            const auto at = part.shape.rank == 3
                                ? static_cast<std::ptrdiff_t>(i) * part.strides[0] +
                                      static_cast<std::ptrdiff_t>(j) * part.strides[1]
                                : static_cast<std::ptrdiff_t>(j) * part.strides[0] * (part.shape.rank == 2 ? 1 : 0);
            if (last != 0)
                XXH3_64bits_update(state, part.origin + at * static_cast<std::ptrdiff_t>(element_size),
                                   last * element_size);
        }
    const std::uint64_t digest = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return digest;
}

}  // namespace

void DomainState::note(VNodeState& self, const TraceItem& item) { self.trace->push_back(item); }

void DomainState::note_fields(VNodeState& self) {
    for (std::uint32_t field = 0; field < header_->field_count; ++field) {
        const FieldRecord& record = header_->fields[field];
        const FieldLive& live = self.fields[field];
        PartMemory part;
        if (record.resizable != 0) {
            part = {live.extent == 0 ? nullptr : runtime_->pool.data(live.extent), Shape{live.count}, 0, {1, 1, 1}};
        } else {
            const std::uint8_t buffer = record.two_buffer != 0 && live.touched ? next_buffer(self, field) : live.now;
            part = memory_of(field, self.index, buffer_offset(field, self.index, buffer));
        }
        note(self, {1, field, 0, 0, part.shape.elements() * record.element_size, digest_of(part, record.element_size)});
    }
    note(self, {3, 0, 0, 0, self.print.size(), XXH3_64bits(self.print.data(), self.print.size())});
    note(self, {4, self.stop_called ? 1U : 0U, 0, 0, 0, 0});
}

void DomainState::report_difference(const VNodeState& self, const TraceItem* first, const TraceItem* second) const {
    const TraceItem& item = first != nullptr ? *first : *second;
    std::string what;
    switch (item.kind) {
        case 0: what = fmt::format("the message to VNode {} with tag {}", item.subject, item.tag); break;
        case 1: what = fmt::format("field '{}'", header_->fields[item.subject].name.data()); break;
        case 2:
            what = fmt::format("the value given to {} {}", item.tag == 0 ? "all_reduce" : "broadcast", item.subject);
            break;
        case 3: what = "the printed text"; break;
        default: what = "the call of stop()"; break;
    }
    runtime_->context.fail(
        Errc::not_deterministic,
        fmt::format(
            "--verify-replay: VNode {} of domain '{}', step {}: {} {} when the step was executed a second time in "
            "another member. A step must be "
            "a function of its fields, its messages, step() and random(): look for static variables, captured locals, "
            "uninitialised memory, halos that were not received, clocks and addresses.",
            self.index, name_, self.step, what,
            first == nullptr || second == nullptr || first->kind != second->kind ? "was there only once"
                                                                                 : "came out different"));
}

// True if the step may be committed here: it was the second execution, and it did the same. False: the VNode has been
// handed over for its second execution.
bool DomainState::verify_step(VNodeState& self) {
    note_fields(self);
    VNodeRecord& mine = record(self.index);
    std::vector<TraceItem>& own = *self.trace;
    ExtentPool& pool = runtime_->pool;
    const std::uint32_t extent = mine.trace_extent.load(std::memory_order_acquire);
    if (extent == 0) {
        auto room = pool.allocate(8 + own.size() * sizeof(TraceItem), ExtentKind::lasting, header_->index, self.index);
        if (!room) runtime_->raise(room.error());
        const std::uint64_t count = own.size();
        std::memcpy(pool.data(*room), &count, sizeof count);
        std::memcpy(pool.data(*room) + 8, own.data(), own.size() * sizeof(TraceItem));
        mine.trace_extent.store(*room, std::memory_order_release);
        give_away(self, runtime_->next_member());
        return false;
    }
    std::uint64_t count = 0;
    std::memcpy(&count, pool.data(extent), sizeof count);
    std::vector<TraceItem> first(count);
    std::memcpy(first.data(), pool.data(extent) + 8, count * sizeof(TraceItem));
    for (std::size_t index = 0; index < std::max(first.size(), own.size()); ++index) {
        const TraceItem* a = index < first.size() ? &first[index] : nullptr;
        const TraceItem* b = index < own.size() ? &own[index] : nullptr;
        if (a == nullptr || b == nullptr || !(*a == *b)) report_difference(self, a, b);
    }
    // Cleared before the commit: a death in between repeats both executions, which is harmless.
    mine.trace_extent.store(0, std::memory_order_release);
    pool.free(extent);
    own.clear();
    return true;
}

}  // namespace phoenix::detail
