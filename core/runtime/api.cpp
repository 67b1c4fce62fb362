/// The public classes and functions, over DomainState, SpaceState and RuntimeState.

#include "runtime/runtime_state.hpp"
#include "runtime/space_state.hpp"

#include <phoenix/phoenix.hpp>

#include <fmt/format.h>
#include <xxhash.h>

namespace phoenix {

std::string_view version() noexcept { return PHOENIX_VERSION; }

Runtime::Runtime(int& argc, char**& argv) : Runtime(argc, argv, nullptr) {}
Runtime::Runtime(int& argc, char**& argv, World* world)
    : state_(std::make_unique<detail::RuntimeState>(argc, argv, world)) {}
Runtime::~Runtime() = default;

Domain Runtime::domain(std::string_view name, const DomainOptions& options) {
    return Domain{state_->add_domain(name, options)};
}
Space Runtime::space(std::string_view name, const SpaceOptions& options) {
    return Space{state_->add_space(name, options)};
}
std::string Runtime::once_bytes(std::string_view name, const std::function<std::string()>& f) {
    return state_->once(fmt::format("once/{}", name), f);
}
std::uint32_t Runtime::member() const noexcept { return state_->context.slot; }
std::uint32_t Runtime::member_count() const noexcept {
    const View view = state_->context.current_view();
    std::uint32_t count = 0;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot)
        count += view.is_active(MemberSlot{slot}) && !state_->context.is_port(slot) ? 1 : 0;
    return count;
}
void Runtime::grow(std::uint32_t members) const {
    if (!request_growth(state_->context.segment(), members))
        throw Error{Errc::refused, fmt::format("Nobody can start {} more members: no launcher serves this job; start "
                                               "it with 'pflight run'.",
                                               members)};
}
void Runtime::retire() const noexcept {
    const MemberContext& context = state_->context;
    request_retirement(context.segment(), context.slot, context.incarnation, 0);
}
std::uint32_t Runtime::expected_member_count() const noexcept {
    return state_->context.header().expected_members.load(std::memory_order_relaxed);
}

void Domain::initialise(const StepFunction& f) { (void)state_->run_phase(true, 1, f); }
RunResult Domain::run(std::uint64_t steps, const StepFunction& step) { return state_->run_phase(false, steps, step); }
std::uint32_t Domain::vnodes() const noexcept { return state_->options().vnodes; }
std::uint32_t Domain::owner(std::uint32_t v) const {
    if (v >= vnodes() || !state_->sealed())
        throw Error{Errc::invalid_argument,
                    fmt::format("owner({}) of domain '{}': there is no such VNode, or nothing has run yet.", v,
                                state_->name())};
    return DirectoryWord{state_->word(v).load(std::memory_order_acquire)}.owner().value;
}

std::vector<std::uint32_t> Space::assume(std::span<const std::uint32_t> vnodes) { return state_->assume(vnodes); }
void Space::release(std::span<const std::uint32_t> vnodes) { state_->release(vnodes); }
bool Space::owns(std::uint32_t vnode) const { return state_->owns(vnode); }
std::vector<std::uint32_t> Space::owned() const { return state_->owned(); }
std::uint32_t Space::vnodes() const noexcept { return state_->vnodes(); }
std::optional<SpaceMessage> Space::try_receive() { return state_->try_receive(); }
SpaceMessage Space::receive() { return state_->receive(); }
void Space::send_bytes(std::uint32_t from, std::uint32_t to, std::uint32_t tag, const void* data, std::uint64_t size) {
    state_->send(from, to, tag, data, size);
}

namespace detail {

PartMemory part_memory(VNodeState& self, std::uint32_t field, Access access) {
    return self.domain->part(self, field, access);
}
PartMemory resize_part(VNodeState& self, std::uint32_t field, std::uint64_t elements) {
    return self.domain->resize(self, field, elements);
}

std::uint32_t add_field(DomainState& domain, std::string_view name, ElementClass element, std::size_t size,
                        const std::function<Shape(std::uint32_t)>& shape_of, const FieldOptions& options) {
    return domain.add_field({std::string{name}, element, size, shape_of, options});
}
PartMemory gathered_part(DomainState& domain, std::uint32_t field, std::uint32_t vnode) {
    if (vnode >= domain.options().vnodes)
        throw Error{Errc::invalid_argument,
                    fmt::format("gather of domain '{}' has no VNode {}.", domain.name(), vnode)};
    return domain.committed_part(field, vnode);
}
std::string gather_once(DomainState& domain, std::uint32_t field, const std::function<std::string()>& produce) {
    if (!domain.sealed())
        throw Error{Errc::wrong_state,
                    fmt::format("gather of domain '{}' before its first run() or initialise().", domain.name())};
    const std::uint32_t number = domain.take_gather_number();
    return domain.runtime().once(fmt::format("gather/{}/{}", domain.name(), number), [&] {
        domain.fetch_parts(field, number);
        std::string result = produce();
        domain.end_fetch();
        return result;
    });
}
std::uint32_t vnode_count(const DomainState& domain) noexcept { return domain.options().vnodes; }

void send_bytes(VNodeState& self, std::uint32_t to, std::uint32_t tag, const void* data, std::uint64_t size) {
    self.domain->send(self, to, tag, data, size, 0);
}

LoanBytes loan_bytes(VNodeState& self, std::uint64_t size) {
    self.domain->throw_if_unwinding();
    ExtentPool& pool = self.domain->runtime().pool;
    auto extent = pool.allocate(size, ExtentKind::payload, self.domain->header().index, self.index);
    if (!extent) self.domain->runtime().raise(extent.error());
    return {pool.data(*extent), size, *extent};
}
void send_loan(VNodeState& self, std::uint32_t to, std::uint32_t tag, LoanBytes loan) {
    ExtentPool& pool = self.domain->runtime().pool;
    if (loan.size > chunk_payload_max) return self.domain->send(self, to, tag, loan.data, loan.size, loan.extent);
    // Small ones go into the log's own lines: no second cache line to fetch, no extent to give back later.
    struct Returned {
        ExtentPool* pool;
        ExtentId extent;
        ~Returned() { pool->free(extent); }
    } const returned{&pool, loan.extent};
    self.domain->send(self, to, tag, loan.data, loan.size, 0);
}
void return_loan(VNodeState& self, LoanBytes loan) noexcept { self.domain->runtime().pool.free(loan.extent); }

namespace {

MessageBytes message_of(const VNodeState& self, const RecordRef& ref) {
    const Record& record = *ref.record;
    return {payload_of(record, self.domain->runtime().pool), record.payload_size(), record.source, record.tag()};
}

}  // namespace

MessageBytes receive_bytes(VNodeState& self, std::uint32_t from, std::uint32_t tag) {
    return message_of(self, self.domain->receive(self, from, tag));
}
MessageBytes receive_any_bytes(VNodeState& self, std::uint32_t tag) {
    return message_of(self, self.domain->receive_any(self, tag));
}
bool probe_bytes(VNodeState& self, std::uint32_t from, std::uint32_t tag) {
    return self.domain->probe(self, from, tag);
}

void all_reduce_bytes(VNodeState& self, void* values, std::uint64_t size, Combine combine, void* context) {
    self.domain->all_reduce(self, values, size, combine, context);
}
void broadcast_bytes(VNodeState& self, std::uint32_t root, void* data, std::uint64_t size) {
    self.domain->broadcast(self, root, data, size);
}

void throw_size_mismatch(VNodeState& self, std::uint32_t from, std::uint32_t tag, std::uint64_t wanted,
                         std::uint64_t got) {
    self.domain->fail_at(self, Errc::invalid_argument,
                         fmt::format("receive from VNode {} with tag {} expects {} bytes, but the message has {}", from,
                                     tag, wanted, got));
}

void print_text(VNodeState& self, std::string_view text) {
    self.domain->throw_if_unwinding();
    self.print += text;
}

void stop(VNodeState& self) {
    self.domain->throw_if_unwinding();
    if (self.domain->initialising())
        self.domain->fail_at(self, Errc::wrong_state, "stop() is not allowed in initialise()");
    self.stop_called = true;
}

std::uint64_t random_bits(VNodeState& self) {
    // Counter-based: the same numbers whoever executes the step and however often.
    const std::array<std::uint64_t, 4> counter{self.domain->options().seed, self.index, self.serial,
                                               self.random_calls++};
    return XXH3_64bits(counter.data(), sizeof counter);
}

std::uint32_t index_of(const VNodeState& self) noexcept { return self.index; }
std::uint32_t count_of(const VNodeState& self) noexcept { return self.domain->options().vnodes; }
std::uint64_t step_of(const VNodeState& self) noexcept { return self.step; }

DomainState::DomainState(RuntimeState& runtime, std::string name, const DomainOptions& options)
    : runtime_(&runtime), name_(std::move(name)), options_(options) {
    if (runtime.context.settings.verify_replay) options_.commit_every = 1;
}

DomainState::~DomainState() = default;

std::uint32_t DomainState::take_gather_number() noexcept { return ++gathers_; }

void DomainState::fail_at(const VNodeState& self, Errc code, std::string_view what) const {
    runtime_->context.fail(code,
                           fmt::format("VNode {} of domain '{}', step {}: {}.", self.index, name_, self.step, what));
}

}  // namespace detail
}  // namespace phoenix
