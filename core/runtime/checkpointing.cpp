#include "base/process.hpp"
#include "checkpoint/reader.hpp"
#include "checkpoint/writer.hpp"
#include "memory/event_ring.hpp"
#include "runtime/runtime_state.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <map>
#include <sys/random.h>

namespace phoenix::detail {

// A checkpoint is a cut: at a multiple of --checkpoint-every each VNode commits and waits at that boundary until the
// files are complete. All commits then are of the same step, and the messages that cross the cut are those retained and
// not consumed. Parts are claimed by members; a claim of a dead one is taken over, files are written anew.

namespace {

constexpr std::uint64_t claim_taken = 1;
constexpr std::uint64_t claim_done = 2;

std::uint64_t claim_word(std::uint64_t serial, std::uint64_t state, std::uint32_t slot) noexcept {
    return serial << 32 | state << 12 | slot;
}
bool claim_is_done(std::uint64_t word, std::uint64_t serial) noexcept {
    return word >> 32 == serial && (word >> 12 & 3) == claim_done;
}

Errc code_of(checkpoint::FailureKind kind) noexcept {
    using Kind = checkpoint::FailureKind;
    switch (kind) {
        case Kind::not_a_checkpoint:
        case Kind::torn:
        case Kind::corrupt: return Errc::corrupt;
        case Kind::other_domain:
        case Kind::other_version:
        case Kind::other_layout:
        case Kind::superseded: return Errc::mismatch;
        case Kind::invalid_argument: return Errc::invalid_argument;
        case Kind::disk_full:
        case Kind::system: break;
    }
    return Errc::system;
}

std::vector<std::byte> bytes_of(const void* data, std::size_t size) {
    const auto* first = static_cast<const std::byte*>(data);
    return {first, first + size};
}

// A VNode's commit as the checkpoint stores it: the slot, then its channel table.
std::vector<std::byte> state_bytes(const CommitSlot& slot, const ExtentPool& pool) {
    std::vector<std::byte> bytes = bytes_of(&slot, sizeof slot);
    if (slot.channel_extent == 0) return bytes;
    const std::byte* channels = pool.data(slot.channel_extent);
    std::size_t size = 0;
    for (std::uint32_t index = 0; index < slot.channel_count; ++index) {
        ChannelCommit channel;
        std::memcpy(&channel, channels + size, sizeof channel);
        size += sizeof channel + 8 * std::size_t{channel.above_count};
    }
    bytes.insert(bytes.end(), channels, channels + size);
    return bytes;
}

std::vector<std::byte> message_bytes(const Record& record, const ExtentPool& pool) {
    const RecordHead head{record.source, record.destination, record.tag(), record.serial, record.sequence, 0, 0};
    std::vector<std::byte> bytes = bytes_of(&head, sizeof head);
    const std::byte* payload = payload_of(record, pool);
    bytes.insert(bytes.end(), payload, payload + record.payload_size());
    return bytes;
}

bool saved_cell(std::string_view name) {
    return name.substr(0, 6) == "phase/" || name.substr(0, 7) == "gather/" || name.substr(0, 5) == "once/";
}

}  // namespace

std::string DomainState::checkpoint_directory(const std::string& base) const { return base + "/" + name_; }

bool DomainState::checkpoint_due(std::uint32_t serial) const noexcept {
    const Settings& settings = runtime_->context.settings;
    return settings.checkpoint_every != 0 && !settings.checkpoint_directory.empty() &&
           serial % settings.checkpoint_every == 0;
}

std::vector<checkpoint::FieldLayout> DomainState::field_layouts() const {
    std::vector<checkpoint::FieldLayout> layouts;
    for (std::uint32_t index = 0; index < header_->field_count; ++index) {
        const FieldRecord& field = header_->fields[index];
        auto kind = checkpoint::ElementKind::opaque;
        switch (static_cast<ElementClass>(field.element_class)) {
            case ElementClass::floating: kind = checkpoint::ElementKind::floating; break;
            case ElementClass::signed_integer: kind = checkpoint::ElementKind::signed_integer; break;
            case ElementClass::unsigned_integer: kind = checkpoint::ElementKind::unsigned_integer; break;
            case ElementClass::opaque: break;
        }
        layouts.push_back({field.name.data(), {kind, field.element_size}, field.rank, field.resizable != 0});
    }
    return layouts;
}

checkpoint::CutDescription DomainState::describe_cut(std::uint64_t serial) const {
    checkpoint::CutDescription cut;
    cut.domain = name_;
    cut.layout_hash = header_->layout_hash;
    cut.lineage = header_->lineage;
    cut.vnodes = options_.vnodes;
    cut.phase = phase_;
    cut.step = serial;
    cut.generation = header_->checkpoint_generation + generation_;
    cut.seed = options_.seed;
    cut.fields = field_layouts();
    const MemberContext& context = runtime_->context;
    const std::string program = program_name();
    cut.records.push_back({std::string{program_record}, bytes_of(program.data(), program.size())});
    for (const OnceCell& cell : context.segment().once_cells()) {
        if (cell.state.load(std::memory_order_acquire) != ~std::uint64_t{0} || !saved_cell(cell.name.data())) continue;
        cut.records.push_back({cell.name.data(), bytes_of(context.arena().at(cell.result_offset), cell.result_size)});
    }
    return cut;
}

bool DomainState::everybody_at(std::uint64_t serial) {
    if (gate_cursor_serial_ != serial) gate_cursor_serial_ = serial, gate_cursor_ = 0;
    for (; gate_cursor_ < options_.vnodes; ++gate_cursor_) {
        const CommitSlot slot = commit_of(record(gate_cursor_), *header_);
        if (slot.number == 0 || slot.serial < serial || !commit_counts(slot)) return false;
    }
    return true;
}

bool DomainState::claim_for_checkpoint(std::atomic<std::uint64_t>& word, std::uint64_t serial) const {
    const MemberContext& context = runtime_->context;
    std::uint64_t seen = word.load(std::memory_order_acquire);
    if (seen >> 32 == serial) {
        if ((seen >> 12 & 3) == claim_done) return false;
        const auto holder = static_cast<std::uint32_t>(seen & 0xFFF);
        if (holder != context.slot && !context.slot_is_gone(holder)) return false;
    }
    return word.compare_exchange_strong(seen, claim_word(serial, claim_taken, context.slot), std::memory_order_acq_rel);
}

bool DomainState::help_checkpoint() {
    if (gate_waiters_.empty() && (header_->gate_plan.load(std::memory_order_acquire) >> 16) <=
                                     header_->gate_open.load(std::memory_order_acquire))
        return false;
    std::uint64_t plan = header_->gate_plan.load(std::memory_order_acquire);
    std::uint64_t serial = plan >> 16;
    if (!gate_waiters_.empty()) serial = gate_waiters_.front()->serial;
    if (!checkpoint_due(static_cast<std::uint32_t>(serial)) ||
        header_->gate_open.load(std::memory_order_acquire) >= serial)
        return false;
    if (!everybody_at(serial)) return false;
    while (plan >> 16 < serial) {
        const std::uint32_t parts = std::clamp(runtime_->context.current_view().active_count(), 1U,
                                               std::min(options_.vnodes, checkpoint_part_count_max));
        if (header_->gate_plan.compare_exchange_weak(plan, serial << 16 | parts, std::memory_order_acq_rel)) {
            plan = serial << 16 | parts;
            runtime_->context.ring_all();
        }
    }
    if (plan >> 16 != serial) return false;
    const auto parts = static_cast<std::uint32_t>(plan & 0xFFFF);
    if (write_own_parts(serial, parts)) return true;
    for (std::uint32_t index = 0; index < parts; ++index)
        if (!claim_is_done(header_->part_claims[index].load(std::memory_order_acquire), serial)) return false;
    if (!claim_for_checkpoint(header_->finish_claim, serial)) return false;
    finish_checkpoint(serial, parts);
    return true;
}

bool DomainState::write_own_parts(std::uint64_t serial, std::uint32_t parts) {
    bool wrote = false;
    for (std::uint32_t index = 0; index < parts && header_->gate_open.load(std::memory_order_acquire) < serial;
         ++index) {
        if (!claim_for_checkpoint(header_->part_claims[index], serial)) continue;
        write_part(serial, parts, index);
        // Given up while this part was being written, by this member or another: it cannot be complete without the
        // part. Every writer clears away what there is, so that the last one leaves nothing on a full disk.
        if (header_->gate_open.load(std::memory_order_acquire) >= serial)
            checkpoint::discard(checkpoint_directory(runtime_->context.settings.checkpoint_directory),
                                describe_cut(serial));
        // Not a plain store: if this checkpoint was given up meanwhile, the claim may be that of a later one.
        std::uint64_t own = claim_word(serial, claim_taken, runtime_->context.slot);
        header_->part_claims[index].compare_exchange_strong(own, claim_word(serial, claim_done, runtime_->context.slot),
                                                            std::memory_order_acq_rel);
        runtime_->context.ring_all();
        wrote = true;
    }
    return wrote;
}

// All VNodes stand still at the cut, so their commits can be read as they are.
bool DomainState::consumed_at_cut(const Record& crossing) const {
    VNodeRecord& receiver = record(crossing.destination);
    const CommitSlot& slot = slot_of(receiver, *header_, receiver.select.load(std::memory_order_acquire));
    const ExtentPool& pool = runtime_->pool;
    return slot.channel_extent != 0 && committed_contains({pool.data(slot.channel_extent),
                                                           static_cast<std::size_t>(pool.size(slot.channel_extent))},
                                                          slot.channel_count, crossing.source, crossing.sequence);
}

void DomainState::write_part(std::uint64_t serial, std::uint32_t parts, std::uint32_t index) {
    const checkpoint::PartRange range = checkpoint::even_part(options_.vnodes, parts, index);
    const checkpoint::CutDescription cut = describe_cut(serial);
    const ExtentPool& pool = runtime_->pool;
    std::vector<std::vector<std::byte>> states;
    std::vector<checkpoint::VNodeView> views(range.count);
    // Messages of the range that cross the cut, by channel and sequence; copies of one message are one.
    std::vector<std::map<std::pair<std::uint32_t, std::uint64_t>, std::vector<std::byte>>> messages(range.count);
    pool.for_each([&](ExtentId id, std::uint64_t owner_word, const ExtentOwner& owner) {
        if (owner.kind != ExtentKind::chunk) return;
        scan_chunk(pool, id, owner_word, [&](const RecordRef& ref, const Record& head) {
            if (head.domain() != header_->index || head.destination < range.first ||
                head.destination >= range.first + range.count)
                return;
            if (ref.released() || !belongs_to_now(head) || consumed_at_cut(head)) return;
            messages[head.destination - range.first].try_emplace({head.source, head.sequence},
                                                                 message_bytes(*ref.record, pool));
        });
    });
    states.reserve(range.count);
    for (std::uint32_t i = 0; i < range.count; ++i) {
        const std::uint32_t v = range.first + i;
        VNodeRecord& shared = record(v);
        states.push_back(state_bytes(slot_of(shared, *header_, shared.select.load(std::memory_order_acquire)), pool));
        views[i].state = states.back();
        for (const auto& entry : messages[i]) views[i].messages.emplace_back(entry.second);
        for (std::uint32_t field = 0; field < header_->field_count; ++field) {
            const PartMemory part = committed_part(field, v);
            const std::size_t size = header_->fields[field].element_size;
            checkpoint::FieldView view{{1, 1, 1}, part.origin, {}};
            for (unsigned axis = 0; axis < part.shape.rank; ++axis) view.extents[axis] = part.shape.extents[axis];
            for (unsigned axis = 0; axis + 1 < part.shape.rank; ++axis)
                view.strides_bytes[axis] = static_cast<std::size_t>(part.strides[axis]) * size;
            views[i].fields.push_back(view);
        }
    }
    if (auto done = checkpoint::write_part(checkpoint_directory(runtime_->context.settings.checkpoint_directory), cut,
                                           range, views);
        !done)
        give_up_checkpoint(serial, done.error().sentence);
}

void DomainState::finish_checkpoint(std::uint64_t serial, std::uint32_t parts) {
    const MemberContext& context = runtime_->context;
    const auto path = checkpoint::finish(checkpoint_directory(context.settings.checkpoint_directory),
                                         describe_cut(serial), {parts, context.settings.checkpoint_keep});
    if (!path) {
        if (header_->gate_open.load(std::memory_order_acquire) < serial) {
            give_up_checkpoint(serial, path.error().sentence);
            checkpoint::discard(checkpoint_directory(context.settings.checkpoint_directory), describe_cut(serial));
        }
        return;
    }
    header_->checkpoints.fetch_add(1, std::memory_order_relaxed);  // shown to people
    record_event(context.segment(), EventKind::checkpoint_written, header_->index, serial);
    header_->finish_claim.store(claim_word(serial, claim_done, context.slot), std::memory_order_release);
    header_->gate_open.store(serial, std::memory_order_release);  // pairs with the acquire loads at the gate
    context.ring_all();
}

// A checkpoint that cannot be written does not end the run: the last good one stays, the next is tried.
void DomainState::give_up_checkpoint(std::uint64_t serial, const std::string& why) {
    // Several writers may fail; one tells.
    std::uint64_t open = header_->gate_open.load(std::memory_order_acquire);
    while (open < serial && !header_->gate_open.compare_exchange_weak(open, serial, std::memory_order_acq_rel)) {
    }
    if (open >= serial) return;
    std::fprintf(stderr,
                 "phoenix: no checkpoint of domain '%s' at step %llu: %s. The run goes on; earlier checkpoints stay.\n",
                 name_.c_str(), static_cast<unsigned long long>(serial), why.c_str());
    runtime_->context.ring_all();
}

void DomainState::restore_checkpoint() {
    const Settings& settings = runtime_->context.settings;
    if (getrandom(&header_->lineage, sizeof header_->lineage, 0) != sizeof header_->lineage)
        header_->lineage = header_->layout_hash;
    if (!settings.checkpoint_directory.empty())
        header_->checkpoint_generation =
            checkpoint::next_generation(checkpoint_directory(settings.checkpoint_directory)).value_or(0);
    if (settings.restart_directory.empty()) return;
    const auto opened = checkpoint::open_latest(checkpoint_directory(settings.restart_directory),
                                                {name_, header_->layout_hash, options_.vnodes, field_layouts()});
    if (!opened) runtime_->context.fail(code_of(opened.error().kind), opened.error().sentence);
    for (const checkpoint::Failure& skipped : opened->skipped)
        std::fprintf(stderr, "phoenix: passed over a damaged checkpoint: %s\n", skipped.sentence.c_str());
    if (!opened->skipped.empty())
        record_event(runtime_->context.segment(), EventKind::checkpoint_skipped, header_->index,
                     opened->skipped.size());
    auto& reader = const_cast<checkpoint::CheckpointReader&>(opened->reader);
    for (std::uint32_t v = 0; v < options_.vnodes; ++v) restore_vnode(reader, v);
    header_->lineage = reader.cut().lineage;
    header_->gate_open.store(reader.cut().step, std::memory_order_release);
    for (const checkpoint::Record& record : reader.cut().records)
        if (saved_cell(record.name) && record.name.substr(0, 5) != "once/")
            runtime_->record(record.name, {reinterpret_cast<const char*>(record.bytes.data()), record.bytes.size()});
    record_event(runtime_->context.segment(), EventKind::restored, header_->index, reader.cut().step);
}

void DomainState::restore_vnode(checkpoint::CheckpointReader& reader, std::uint32_t vnode) {
    const auto must = [&](auto result) {
        if (!result) runtime_->context.fail(code_of(result.error().kind), result.error().sentence);
        return result;
    };
    VNodeRecord& shared = record(vnode);
    CommitSlot& slot = slot_of(shared, *header_, 1);
    const auto state = *must(reader.state(vnode));
    if (state.size() < sizeof(CommitSlot))
        runtime_->context.fail(
            Errc::corrupt,
            fmt::format("The checkpoint {} holds no state of VNode {}; use an earlier one.", reader.path(), vnode));
    std::memcpy(&slot, state.data(), sizeof slot);
    slot.number = 1;
    slot.generation = header_->generation.load(std::memory_order_relaxed);  // nobody else is here yet
    slot.print_extent = slot.print_size = 0;
    slot.channel_extent = 0;
    ExtentPool& pool = runtime_->pool;
    const auto extent_of = [&](std::uint64_t bytes) {
        auto extent = pool.allocate(bytes, ExtentKind::state, header_->index, vnode);
        if (!extent) runtime_->raise(extent.error());
        return *extent;
    };
    if (state.size() > sizeof slot) {
        slot.channel_extent = extent_of(state.size() - sizeof slot);
        std::memcpy(pool.data(slot.channel_extent), state.data() + sizeof slot, state.size() - sizeof slot);
    }
    for (std::uint32_t field = 0; field < header_->field_count; ++field) {
        const std::size_t size = header_->fields[field].element_size;
        FieldCommit& commit = fields_of(slot)[field];
        checkpoint::MutableFieldView view;
        view.extents = *must(reader.extents(vnode, field));
        if (header_->fields[field].resizable != 0) {
            commit = {0, view.extents[0]};
            if (commit.count != 0) commit.at = extent_of(commit.count * size);
            view.data = commit.count != 0 ? pool.data(static_cast<ExtentId>(commit.at)) : nullptr;
        } else {
            commit = {0, 0};
            const PartMemory part = memory_of(field, vnode, buffer_offset(field, vnode, 0));
            for (unsigned axis = 0; axis < part.shape.rank; ++axis)
                if (part.shape.extents[axis] != view.extents[axis])
                    runtime_->context.fail(
                        Errc::mismatch,
                        fmt::format(
                            "In the checkpoint {} VNode {}'s part of field '{}' has another shape; restart with the "
                            "arguments it was written with.",
                            reader.path(), vnode, header_->fields[field].name.data()));
            view.data = part.origin;
            for (unsigned axis = 0; axis + 1 < part.shape.rank; ++axis)
                view.strides_bytes[axis] = static_cast<std::size_t>(part.strides[axis]) * size;
        }
        must(reader.read_field(vnode, field, view));
    }
    const auto messages = must(reader.messages(vnode));
    for (const std::vector<std::byte>& message : *messages) {
        RecordHead head{};
        if (message.size() < sizeof head) continue;
        std::memcpy(&head, message.data(), sizeof head);
        head.domain = header_->index;
        head.generation = slot.generation;
        if (auto kept = runtime_->mail.keep(head, message.data() + sizeof head, message.size() - sizeof head); !kept)
            runtime_->raise(kept.error());
    }
    shared.select.store(1, std::memory_order_release);
}

}  // namespace phoenix::detail
