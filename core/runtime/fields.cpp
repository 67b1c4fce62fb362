#include "runtime/runtime_state.hpp"

#include <cstring>
#include <fmt/format.h>
#include <limits>

namespace phoenix::detail {

namespace {

std::array<std::ptrdiff_t, 3> strides_of(const Shape& shape, std::uint64_t halo) noexcept {
    std::array<std::ptrdiff_t, 3> strides{1, 1, 1};
    for (unsigned axis = shape.rank; axis-- > 1;)
        strides[axis - 1] = strides[axis] * static_cast<std::ptrdiff_t>(shape.extents[axis] + 2 * halo);
    return strides;
}

const char* kind_name(const FieldRecord& field) noexcept {
    return field.resizable != 0 ? "resizable" : field.two_buffer != 0 ? "two-buffer" : "fixed";
}

// The buffer that is neither in force nor holds this step's values; with global recovery nor the cut before.
std::uint8_t spare_buffer(const FieldRecord& field, std::uint64_t a, std::uint64_t b, std::uint64_t c) noexcept {
    for (std::uint8_t buffer = 0; buffer < field.buffers; ++buffer)
        if (buffer != a && buffer != b && buffer != c) return buffer;
    return static_cast<std::uint8_t>(a == 0 ? 1 : 0);
}

}  // namespace

Shape DomainState::shape_of(std::uint32_t field, std::uint32_t vnode) const {
    const FieldRecord& record = header_->fields[field];
    Shape shape;
    shape.rank = record.rank;
    shape.extents = record.uniform != 0 ? record.extents
                    : record.table_offset != 0
                        ? runtime_->context.arena()
                              .object<FieldPlace>(record.table_offset + std::uint64_t{vnode} * sizeof(FieldPlace))
                              .extents
                        : declarations_[field].shape_of(vnode).extents;
    return shape;
}

void DomainState::fetch_parts(std::uint32_t field, std::uint32_t number) {
    const MemberContext& context = runtime_->context;
    if (context.node_count() == 1) return;
    header_->fetch.store(std::uint64_t{number} << 32 | (field + 1), std::memory_order_release);
    const auto have = [&](std::uint32_t v) {
        return context.is_here(*header_, v) || record(v).replica.load(std::memory_order_acquire) == number;
    };
    for (std::uint32_t v = 0; v < options_.vnodes;) {
        const std::uint32_t attention = context.record().attention.load(std::memory_order_acquire);
        while (v < options_.vnodes && have(v)) ++v;
        if (v == options_.vnodes) return;
        context.ring_port();
        runtime_->wait_for_news(attention);
    }
}

void DomainState::end_fetch() noexcept { header_->fetch.store(0, std::memory_order_release); }

std::uint64_t DomainState::buffer_offset(std::uint32_t field, std::uint32_t vnode, std::uint32_t buffer) const {
    const FieldRecord& record = header_->fields[field];
    if (record.uniform != 0)
        return record.data_offset + (std::uint64_t{vnode} * record.buffers + buffer) * record.buffer_bytes;
    const auto& place =
        runtime_->context.arena().object<FieldPlace>(record.table_offset + std::uint64_t{vnode} * sizeof(FieldPlace));
    return place.offset + buffer * place.buffer_bytes;
}

PartMemory DomainState::memory_of(std::uint32_t field, std::uint32_t vnode, std::uint64_t offset) const {
    const FieldRecord& record = header_->fields[field];
    PartMemory memory{nullptr, shape_of(field, vnode), record.halo, {}};
    memory.strides = strides_of(memory.shape, record.halo);
    std::ptrdiff_t origin = 0;
    for (unsigned axis = 0; axis < record.rank; ++axis)
        origin += static_cast<std::ptrdiff_t>(record.halo) * memory.strides[axis];
    memory.origin = runtime_->context.arena().at(offset) + static_cast<std::uint64_t>(origin) * record.element_size;
    return memory;
}

void DomainState::init_fields(VNodeState& self, const CommitSlot& slot) {
    self.fields = std::make_unique<FieldLive[]>(header_->field_count);
    const auto* commits = reinterpret_cast<const FieldCommit*>(&slot + 1);
    for (std::uint32_t field = 0; field < header_->field_count; ++field) {
        FieldLive& live = self.fields[field];
        if (header_->fields[field].resizable != 0) {
            live.extent = static_cast<std::uint32_t>(commits[field].at);
            live.count = commits[field].count;
        } else {
            live.committed = live.now = static_cast<std::uint8_t>(commits[field].at);
        }
    }
}

std::uint8_t DomainState::next_buffer(const VNodeState& self, std::uint32_t field) const {
    const FieldLive& live = self.fields[field];
    const std::uint64_t before =
        options_.recovery == Recovery::global
            ? fields_of(slot_of(record(self.index), *header_, self.commit_number + 1))[field].at
            : live.committed;
    return spare_buffer(header_->fields[field], live.committed, live.now, before);
}

// First change of a fixed field since the commit: the committed values must stay as they are, so they are copied.
void DomainState::edit_fixed(VNodeState& self, std::uint32_t field) {
    FieldLive& live = self.fields[field];
    if (live.touched) return;
    const std::uint8_t target = next_buffer(self, field);
    const std::uint64_t bytes = buffer_offset(field, self.index, 1) - buffer_offset(field, self.index, 0);
    const Arena& arena = runtime_->context.arena();
    std::memcpy(arena.at(buffer_offset(field, self.index, target)),
                arena.at(buffer_offset(field, self.index, live.committed)), bytes);
    live.now = target;
    live.touched = true;
}

void DomainState::edit_resizable(VNodeState& self, std::uint32_t field, std::uint64_t elements) {
    FieldLive& live = self.fields[field];
    ExtentPool& pool = runtime_->pool;
    const std::uint64_t size = header_->fields[field].element_size;
    const std::uint64_t bytes = elements * size;
    const bool room = live.touched && live.extent != 0 && pool.size(live.extent) >= bytes;
    if (!room && bytes != 0) {
        auto extent = pool.allocate(bytes, ExtentKind::state, header_->index, self.index);
        if (!extent) runtime_->raise(extent.error());
        const std::uint64_t kept = std::min(live.count, elements) * size;
        if (kept != 0) std::memcpy(pool.data(*extent), pool.data(live.extent), kept);
        if (live.touched && live.extent != 0) pool.free(live.extent);  // of this step, no commit knows it
        live.extent = *extent;
    }
    if (bytes == 0 && live.touched && live.extent != 0) pool.free(live.extent);
    if (bytes == 0) live.extent = 0;
    if (elements > live.count)
        std::memset(pool.data(live.extent) + live.count * size, 0, (elements - live.count) * size);
    live.count = elements;
    live.touched = true;
}

PartMemory DomainState::part(VNodeState& self, std::uint32_t field, Access access) {
    throw_if_unwinding();
    const FieldRecord& record = header_->fields[field];
    FieldLive& live = self.fields[field];
    const auto refuse = [&](const char* call, const char* instead) {
        fail_at(self, Errc::wrong_state,
                fmt::format("{} does not exist for field '{}', which is {}; use {}", call, record.name.data(),
                            kind_name(record), instead));
    };
    if (record.resizable != 0) {
        if (access == Access::next) refuse("next()", "write() or resize()");
        if (access == Access::halo) refuse("halo()", "now()");
        if (access == Access::write) edit_resizable(self, field, live.count);
        PartMemory memory{
            live.extent == 0 ? nullptr : runtime_->pool.data(live.extent), Shape{live.count}, 0, {1, 1, 1}};
        return memory;
    }
    if (record.two_buffer != 0) {
        if (access == Access::write) refuse("write()", "next()");
        if (access == Access::halo && record.halo == 0) refuse("halo()", ".halo = 1 in its options");
        std::uint8_t buffer = live.now;
        if (access == Access::next) {
            buffer = next_buffer(self, field);
            live.touched = true;
        } else if (!self.fresh_halo && runtime_->context.settings.verify_replay) {
            undefine_halos(self);
        }
        return memory_of(field, self.index, buffer_offset(field, self.index, buffer));
    }
    if (access == Access::next) refuse("next()", "write()");
    if (access == Access::halo) refuse("halo()", "a field with buffers = 2");
    if (access == Access::write) edit_fixed(self, field);
    return memory_of(field, self.index, buffer_offset(field, self.index, live.now));
}

PartMemory DomainState::resize(VNodeState& self, std::uint32_t field, std::uint64_t elements) {
    throw_if_unwinding();
    const FieldRecord& record = header_->fields[field];
    if (record.resizable == 0)
        fail_at(self, Errc::wrong_state,
                fmt::format("resize() of field '{}', which is {}; declare it with .resizable = true",
                            record.name.data(), kind_name(record)));
    edit_resizable(self, field, elements);
    return part(self, field, Access::read);
}

PartMemory DomainState::committed_part(std::uint32_t field, std::uint32_t vnode) const {
    VNodeRecord& mine = record(vnode);
    const FieldCommit& commit = fields_of(slot_of(mine, *header_, mine.select.load(std::memory_order_acquire)))[field];
    if (header_->fields[field].resizable != 0)
        return {commit.at == 0 ? nullptr : runtime_->pool.data(static_cast<ExtentId>(commit.at)),
                Shape{commit.count},
                0,
                {1, 1, 1}};
    return memory_of(field, vnode, buffer_offset(field, vnode, static_cast<std::uint32_t>(commit.at)));
}

// Halos are undefined at the start of a step: with --verify-replay they really are, so that a step that reads one it
// has not received is found out.
void DomainState::undefine_halos(VNodeState& self) {
    self.fresh_halo = true;
    for (std::uint32_t field = 0; field < header_->field_count; ++field) {
        const FieldRecord& record = header_->fields[field];
        if (record.halo == 0 || record.element_class != static_cast<std::uint32_t>(ElementClass::floating)) continue;
        const PartMemory part = memory_of(field, self.index, buffer_offset(field, self.index, self.fields[field].now));
        const auto h = static_cast<std::ptrdiff_t>(record.halo);
        const auto fill = [&](auto nan) {
            auto* origin = reinterpret_cast<decltype(nan)*>(part.origin);
            std::array<std::ptrdiff_t, 3> low{}, high{1, 1, 1};
            for (unsigned axis = 0; axis < record.rank; ++axis)
                low[axis] = -h, high[axis] = static_cast<std::ptrdiff_t>(part.shape.extents[axis]) + h;
            for (std::ptrdiff_t i = low[0]; i < high[0]; ++i)
                for (std::ptrdiff_t j = low[1]; j < high[1]; ++j)
                    for (std::ptrdiff_t k = low[2]; k < high[2]; ++k) {
                        const bool inside = i >= 0 && j >= 0 && k >= 0 &&
                                            i < static_cast<std::ptrdiff_t>(part.shape.extents[0]) &&
                                            j < static_cast<std::ptrdiff_t>(part.shape.extents[1]) &&
                                            k < static_cast<std::ptrdiff_t>(part.shape.extents[2]);
                        if (!inside) origin[i * part.strides[0] + j * part.strides[1] + k * part.strides[2]] = nan;
                    }
        };
        if (record.element_size == sizeof(double)) fill(std::numeric_limits<double>::quiet_NaN());
        if (record.element_size == sizeof(float)) fill(std::numeric_limits<float>::quiet_NaN());
    }
}

}  // namespace phoenix::detail
