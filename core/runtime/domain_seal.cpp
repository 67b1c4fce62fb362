#include "memory/event_ring.hpp"
#include "runtime/runtime_state.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <xxhash.h>

namespace phoenix::detail {

namespace {

constexpr std::uint64_t line = 64;

std::uint64_t rounded(std::uint64_t bytes) noexcept {
    // Parts of a few elements are packed: a domain of 10^6 VNodes pays for what it holds. Others start at a cache line.
    const std::uint64_t unit = bytes < line ? 16 : line;
    return (bytes + unit - 1) / unit * unit;
}

std::uint64_t buffer_bytes_of(const FieldDeclaration& field, const Shape& shape) noexcept {
    std::uint64_t elements = 1;
    for (unsigned axis = 0; axis < shape.rank; ++axis)
        elements *= shape.extents[axis] + 2 * std::uint64_t{field.options.halo};
    return rounded(elements * field.element_size);
}

std::uint32_t stored_buffers(const FieldDeclaration& field, std::uint32_t commit_every, Recovery recovery) noexcept {
    if (field.options.resizable) return 0;
    // Two-buffer fields need a third place when steps follow a commit that must stay intact; with global recovery the
    // last two cuts must stay intact as well.
    const std::uint32_t intact = recovery == Recovery::global ? 2 : 1;
    const std::uint32_t moving = field.options.buffers == 2 && commit_every > 1 ? 2 : 1;
    return intact + moving;
}

void check_shape(const std::string& domain, const FieldDeclaration& field, std::uint32_t vnode, const Shape& shape,
                 unsigned rank) {
    const auto bad = [&](const std::string& why) {
        throw Error{Errc::invalid_argument, fmt::format("Field '{}' of domain '{}': the shape of VNode {} {}.",
                                                        field.name, domain, vnode, why)};
    };
    if (shape.rank < 1 || shape.rank > 3) bad(fmt::format("has rank {}; ranks 1 to 3 are possible", shape.rank));
    if (shape.rank != rank)
        bad(fmt::format("has rank {} while VNode 0's has rank {}; all must have the same", shape.rank, rank));
    std::uint64_t bytes = field.element_size;
    for (unsigned axis = 0; axis < shape.rank; ++axis) {
        const std::uint64_t extent = shape.extents[axis];
        if (extent < field.options.halo)
            bad(fmt::format("has extent {} along axis {}, less than its halo of {}", extent, axis, field.options.halo));
        const std::uint64_t padded = extent + 2 * std::uint64_t{field.options.halo};
        if (padded != 0 && bytes > (std::uint64_t{1} << 46) / padded) bad("is larger than 64 TiB");
        bytes *= std::max<std::uint64_t>(padded, 1);
    }
}

}  // namespace

std::uint32_t DomainState::add_field(FieldDeclaration declaration) {
    const auto bad = [&](const std::string& why) {
        throw Error{Errc::invalid_argument, fmt::format("Field '{}' of domain '{}' {}.", declaration.name, name_, why)};
    };
    if (sealed() || phases_ != 0)
        throw Error{
            Errc::wrong_state,
            fmt::format("Field '{}' of domain '{}' comes too late: declare all fields before initialise() and run().",
                        declaration.name, name_)};
    if (declaration.name.empty() || declaration.name.size() >= sizeof(FieldRecord::name) ||
        declaration.name.find('/') != std::string::npos)
        bad("needs a name of 1 to 39 characters without '/'");
    for (const FieldDeclaration& other : declarations_)
        if (other.name == declaration.name) bad("was declared before; names must differ");
    const FieldOptions& options = declaration.options;
    if (options.buffers != 1 && options.buffers != 2)
        bad(fmt::format("asks for {} buffers; 1 or 2 are possible", options.buffers));
    if (options.halo != 0 && options.buffers != 2) bad("has a halo, which needs buffers = 2");
    if (options.resizable && (options.buffers != 1 || options.halo != 0))
        bad("is resizable, which needs buffers = 1 and no halo");
    if (declarations_.size() == field_count_max)
        bad(fmt::format("is one too many: a domain has at most {} fields", field_count_max));
    declarations_.push_back(std::move(declaration));
    return static_cast<std::uint32_t>(declarations_.size() - 1);
}

std::uint64_t DomainState::layout_hash() const {
    std::string text = fmt::format("{}|{}|{}|{}|{}", name_, options_.vnodes, options_.commit_every,
                                   static_cast<int>(options_.recovery), options_.seed);
    for (const FieldDeclaration& field : declarations_) {
        text += fmt::format("|{}:{}:{}:{}:{}:{}", field.name, static_cast<int>(field.element), field.element_size,
                            field.options.buffers, field.options.halo, field.options.resizable);
        for (const std::uint32_t v : {0U, options_.vnodes / 2, options_.vnodes - 1}) {
            const Shape shape = field.shape_of(v);
            text += fmt::format(":{}x{}x{}", shape.extents[0], shape.extents[1], shape.extents[2]);
        }
    }
    return XXH3_64bits(text.data(), text.size());
}

// What does not work over several nodes yet is refused before anything is made.
void DomainState::check_several_nodes() const {
    const MemberContext& context = runtime_->context;
    if (context.node_count() == 1) return;
    const auto refuse = [&](std::string_view what) {
        runtime_->context.fail(Errc::invalid_argument,
                               fmt::format("Domain '{}': {} does not work over several nodes yet; run the job on one "
                                           "node, or without it.",
                                           name_, what));
    };
    if (options_.recovery == Recovery::global) refuse("recovery = global");
    if (!context.settings.checkpoint_directory.empty()) refuse("--checkpoint");
    if (!context.settings.restart_directory.empty()) refuse("--restart");
}

void DomainState::seal() {
    if (sealed()) return;
    check_several_nodes();
    const std::uint64_t hash = layout_hash();
    const std::string made = runtime_->once(
        fmt::format("domain/{}", name_),
        [&] {
            const std::uint64_t offset = make_shared(hash);
            return std::string{reinterpret_cast<const char*>(&offset), sizeof offset};
        },
        OnceScope::node);
    std::uint64_t offset = 0;
    std::memcpy(&offset, made.data(), sizeof offset);
    header_ = &runtime_->context.arena().object<DomainHeader>(offset);
    check_made_alike(hash);
    states_.resize(options_.vnodes);
    runtime_->domain_by_index[header_->index] = this;
    // Not the present one: if there has been a rollback this member must take part in it, or learn of it, first.
    generation_ = header_->first_generation;
    if (options_.placement && options_.placement->function)
        runtime_->service->know_placement(header_->index, options_.placement->function);
    runtime_->service->kick();
}

PlacementRule DomainState::placement_rule() const {
    if (options_.placement) return {options_.placement->kind, options_.placement->ring_tokens};
    auto rule = parse_placement(runtime_->context.settings.placement);
    if (!rule) runtime_->raise({Errc::corrupt, "The job's placement cannot be read: " + rule.error().sentence});
    return *rule;
}

void DomainState::check_made_alike(std::uint64_t hash) const {
    if (header_->layout_hash != hash)
        runtime_->context.fail(
            Errc::mismatch,
            fmt::format("Domain '{}' was declared differently by another member: main must be the same function of its "
                        "arguments in every process (same VNodes, fields, shapes and options).",
                        name_));
    // Not in the hash: a job may go on from a checkpoint with another placement.
    const PlacementRule ours = placement_rule();
    const PlacementRule theirs = PlacementRule::of_word(header_->placement);
    if (ours.word() != theirs.word())
        runtime_->context.fail(
            Errc::mismatch,
            fmt::format("Domain '{}' has placement {} here and {} in another member: main must be the same function of "
                        "its arguments in every process.",
                        name_, text_of(ours), text_of(theirs)));
}

// Executed by one member. If it dies on the way another starts afresh; what was reserved is lost to the job, no more.
std::uint64_t DomainState::make_shared(std::uint64_t hash) {
    const auto reserve = [&](std::uint64_t bytes) {
        auto place = runtime_->context.arena().reserve(bytes);
        if (!place) runtime_->raise(place.error());
        return *place;
    };
    const std::uint64_t offset = reserve(sizeof(DomainHeader));
    auto& header = runtime_->context.arena().object<DomainHeader>(offset);
    header.kind = static_cast<std::uint32_t>(DomainKind::domain);
    header.vnodes = options_.vnodes;
    header.field_count = static_cast<std::uint32_t>(declarations_.size());
    header.layout_hash = hash;
    header.seed = options_.seed;
    header.commit_every = options_.commit_every;
    header.recovery = static_cast<std::uint32_t>(options_.recovery);
    header.collective_bytes_max = options_.collective_bytes_max;
    header.placement = placement_rule().word();
    header.slot_size = static_cast<std::uint32_t>(sizeof(CommitSlot) + declarations_.size() * sizeof(FieldCommit));
    header.record_stride =
        static_cast<std::uint32_t>((sizeof(VNodeRecord) + 2 * std::size_t{header.slot_size} + line - 1) / line * line);
    if (options_.recovery == Recovery::global) header.first_generation = runtime_->context.failed_members();
    header.generation.store(header.first_generation, std::memory_order_relaxed);  // published with the domain
    std::memcpy(header.name.data(), name_.data(), std::min(name_.size(), header.name.size() - 1));
    header.directory_offset = reserve(std::uint64_t{options_.vnodes} * 8);
    header.requests_offset = reserve(std::uint64_t{options_.vnodes} * 8);
    header.records_offset = reserve(std::uint64_t{options_.vnodes} * header.record_stride);
    if (runtime_->context.node_count() > 1) header.locations_offset = place_on_nodes();
    place_fields(header);
    (void)runtime_->publish_domain(offset, header);
    header_ = &header;
    restore_checkpoint();
    return offset;
}

std::uint64_t DomainState::place_on_nodes() const {
    const MemberContext& context = runtime_->context;
    auto place = context.arena().reserve(std::uint64_t{options_.vnodes} * 8);
    if (!place) runtime_->raise(place.error());
    auto* words = &context.arena().object<AtomicLocationWord>(*place);
    for (std::uint32_t v = 0; v < options_.vnodes; ++v) {
        const NodeId node = first_node_of(v, options_.vnodes, context.node_count());
        const LocationState state = node == context.node() ? LocationState::here : LocationState::away;
        words[v].store(LocationWord::make(node, state, 0).bits,
                       std::memory_order_relaxed);  // published with the domain
    }
    return *place;
}

void DomainState::place_fields(DomainHeader& header) {
    const Arena& arena = runtime_->context.arena();
    const auto reserve = [&](std::uint64_t bytes) {
        auto place = arena.reserve(std::max<std::uint64_t>(bytes, 1));
        if (!place) runtime_->raise(place.error());
        return *place;
    };
    for (std::size_t index = 0; index < declarations_.size(); ++index) {
        const FieldDeclaration& field = declarations_[index];
        FieldRecord& record = header.fields[index];
        std::memcpy(record.name.data(), field.name.data(), field.name.size());
        record.element_class = static_cast<std::uint32_t>(field.element);
        record.element_size = static_cast<std::uint32_t>(field.element_size);
        record.buffers = stored_buffers(field, options_.commit_every, options_.recovery);
        record.two_buffer = field.options.buffers == 2;
        record.halo = field.options.halo;
        record.resizable = field.options.resizable;
        const Shape first = field.shape_of(0);
        record.rank = first.rank;
        if (field.options.resizable && first.rank != 1) check_shape(name_, field, 0, first, 1);
        // With several nodes a node has memory for those that are here; others get some when they come.
        bool uniform = header.locations_offset == 0;
        std::uint64_t total = 0;
        for (std::uint32_t v = 0; v < options_.vnodes; ++v) {
            const Shape shape = field.shape_of(v);
            check_shape(name_, field, v, shape, first.rank);
            uniform = uniform && shape == first;
            if (runtime_->context.is_here(header, v)) total += buffer_bytes_of(field, shape) * record.buffers;
        }
        record.uniform = uniform;
        record.extents = first.extents;
        record.buffer_bytes = buffer_bytes_of(field, first);
        if (record.resizable != 0) continue;
        record.data_offset = reserve(total);
        if (uniform) continue;
        record.table_offset = reserve(std::uint64_t{options_.vnodes} * sizeof(FieldPlace));
        std::uint64_t at = record.data_offset;
        for (std::uint32_t v = 0; v < options_.vnodes; ++v) {
            const Shape shape = field.shape_of(v);
            auto& place = arena.object<FieldPlace>(record.table_offset + std::uint64_t{v} * sizeof(FieldPlace));
            place.buffer_bytes = buffer_bytes_of(field, shape);
            place.extents = shape.extents;
            if (!runtime_->context.is_here(header, v)) continue;
            place.offset = at;
            at += place.buffer_bytes * record.buffers;
        }
    }
}

}  // namespace phoenix::detail
