#include "runtime/runtime_state.hpp"

#include "base/process.hpp"
#include "checkpoint/hdf5_file.hpp"
#include "memory/event_ring.hpp"
#include "memory/member_table.hpp"
#include "memory/once_cells.hpp"
#include "messaging/doorbell.hpp"
#include "runtime/attachment_record.hpp"
#include "runtime/crash_report.hpp"
#include "runtime/retirement.hpp"
#include "runtime/space_state.hpp"
#include "runtime/sweep.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

namespace phoenix::detail {

namespace {

ControlSegment* shown_segment = nullptr;

// Says why the job ended, once per job: the launcher does it if there is one.
void show_outcome(const std::string& sentence) noexcept {
    if (shown_segment != nullptr) {
        const ControlHeader& header = shown_segment->header();
        const auto agent = static_cast<pid_t>(header.agent_pid.load(std::memory_order_acquire));
        const bool launcher = agent != 0 && is_alive({agent, header.agent_start_time});
        const bool ours = shown_segment->outcome_text() == sentence;
        if (ours && (launcher || shown_segment->header().outcome_shown.exchange(1) != 0)) return;
    }
    std::fprintf(stderr, "phoenix: %s\n", sentence.c_str());
}

// For mains that do not catch: the job ends with one sentence, said once, instead of an abort in each process.
[[noreturn]] void on_terminate() {
    const std::exception_ptr current = std::current_exception();
    if (!current) std::abort();
    std::string sentence = "The program threw an exception of unknown type.";
    Errc code = Errc::step_failed;
    try {
        std::rethrow_exception(current);
    } catch (const Error& error) {
        code = error.code();
        sentence = error.what();
    } catch (const std::exception& error) {
        sentence = fmt::format("The program threw outside of steps: {}", error.what());
    } catch (...) {
        code = Errc::step_failed;  // nothing more is known of it
    }
    if (shown_segment != nullptr) shown_segment->decide_outcome(Outcome::failed, code, sentence);
    show_outcome(sentence);
    std::fflush(nullptr);
    note_exit(1);
    _exit(1);  // the service thread is at work: nothing may be torn down under it
}

MemberContext register_or_throw() {
    std::set_terminate(on_terminate);
    signal(SIGPIPE, SIG_IGN);  // a reader that is gone must not take a member with it
    auto context = register_member();
    if (!context) throw Error{context.error().code, context.error().sentence};
    return std::move(*context);
}

MemberContext begin(int& argc, char**& argv, World* world) {
    if (world != nullptr) world->begin(argc, argv);
    return register_or_throw();
}

}  // namespace

RuntimeState::RuntimeState(int& argc, char**& argv, World* the_world)
    : context(begin(argc, argv, the_world)),
      world(the_world),
      pool(context.segment(), context.arena(), context.slot),
      mail(context, pool),
      fibers(FiberPool::Options{.stack_size_bytes = static_cast<std::size_t>(context.settings.stack_size_bytes)}),
      faults(context) {
    shown_segment = &context.segment();
    install_last_words(context, fibers);
    record_event(context.segment(), EventKind::member_joined, context.slot, static_cast<std::uint64_t>(getpid()));
    service = std::make_unique<Service>(context);
    if (!context.settings.checkpoint_directory.empty()) checkpoint::keep_hdf5_out_of_exit();
    wait_until_active();
    restore_once_results();
}

RuntimeState::~RuntimeState() {
    const bool deaths = service->seen_deaths();
    service.reset();
    leave_job(context);
    if (world != nullptr) world->end(deaths);
    domains.clear();
    // The record must stay mapped until the very end of the process: the exit handler stores the status in it.
    (void)context.access.segment.release();
    forget_fibers();
}

// Nobody takes anything before it is in the view: others would not know whether it lives.
void RuntimeState::wait_until_active() {
    for (;;) {
        const std::uint32_t attention = context.record().attention.load(std::memory_order_acquire);
        const MemberEntry entry = context.current_view().at(MemberSlot{context.slot});
        // In a slot that was used before it is the predecessor who is meant until then. One that was asked to retire
        // at once may be DRAINING before it has seen itself ACTIVE.
        const bool admitted = entry.state == MemberState::active || entry.state == MemberState::draining;
        if (admitted && entry.incarnation.value == context.incarnation) return;
        wait_for_news(attention);
    }
}

std::size_t RuntimeState::poll() {
    if (waits_to_retire_) return 0;  // its logs may be closed and used otherwise any time
    return mail.poll([this](const RecordRef& ref) {
        const std::uint32_t index = ref.record->domain();
        if (index >= domain_count_max) return;
        if (DomainState* domain = domain_by_index[index]) {
            domain->arrive(ref);
        } else if (SpaceState* space = space_by_index[index]) {
            space->arrive(ref);
        }
    });
}

void RuntimeState::poll_and_part() {
    const std::uint32_t attention = context.record().attention.load(std::memory_order_acquire);
    if (attention == std::exchange(attention_parted_, attention))
        poll();
    else
        part_from_the_gone();
}

void RuntimeState::part_from_the_gone() {
    poll();  // before the view is read
    mail.part_from_the_gone(context.current_view(),
                            [this](const Record& record) { return consumed_by_commit(context, pool, record); });
}

void RuntimeState::sweep() {
    mail.sweep([this](const Record& record) { return consumed_by_commit(context, pool, record); });
}

std::uint64_t RuntimeState::keep_bytes(std::string_view bytes) {
    if (bytes.empty()) return 0;
    auto extent = pool.allocate(bytes.size(), ExtentKind::lasting);
    if (!extent) raise(extent.error());
    std::memcpy(pool.data(*extent), bytes.data(), bytes.size());
    return pool.offset(*extent);
}

bool RuntimeState::recorded(std::string_view cell_name, std::string& result) {
    auto cell = find_once_cell(context.segment(), cell_name);
    if (!cell) raise(cell.error());
    if ((*cell)->state.load(std::memory_order_acquire) != ~std::uint64_t{0}) return false;
    result.assign(reinterpret_cast<const char*>(context.arena().at((*cell)->result_offset)), (*cell)->result_size);
    return true;
}

void RuntimeState::record(std::string_view cell_name, std::string_view result) {
    (void)once(cell_name, [&] { return std::string{result}; });
}

std::string RuntimeState::once(std::string_view cell_name, const std::function<std::string()>& f, OnceScope scope) {
    if (FiberPool::current() != nullptr)
        throw Error{Errc::wrong_state, "once(), gather() and domain() must not be called inside a step."};
    auto cell = find_once_cell(context.segment(), cell_name);
    if (!cell) raise(cell.error());
    const auto dead = [this](std::uint32_t slot, std::uint32_t incarnation) {
        return context.seen_dead(slot, incarnation);
    };
    const bool at_home = scope == OnceScope::node || context.node() == home_node;
    for (;;) {
        const std::uint32_t attention = context.record().attention.load(std::memory_order_acquire);
        const OnceStatus status = claim_once(**cell, {context.slot, context.incarnation}, dead);
        if (status == OnceStatus::recorded)
            return {reinterpret_cast<const char*>(context.arena().at((*cell)->result_offset)), (*cell)->result_size};
        if (status == OnceStatus::elsewhere || (!at_home && !is_our_turn(**cell))) {
            wait_for_news(attention);
            continue;
        }
        const std::string result = do_once(**cell, f);
        const std::uint64_t offset = keep_bytes(result);
        if (at_home) {
            record_once(**cell, offset, result.size());
            context.ring_all();
        } else {
            // What counts is what the home node records: it may have taken this node's claim for one of the dead.
            (*cell)->result_offset = offset;
            (*cell)->result_size = result.size();
            (*cell)->job.store(static_cast<std::uint32_t>(JobTurn::offered), std::memory_order_release);
            context.header().once_news.fetch_add(1, std::memory_order_release);
            context.ring_port();
        }
    }
}

bool RuntimeState::is_our_turn(OnceCell& cell) const {
    auto turn = static_cast<std::uint32_t>(JobTurn::none);
    if (cell.job.compare_exchange_strong(turn, static_cast<std::uint32_t>(JobTurn::asked), std::memory_order_acq_rel)) {
        context.header().once_news.fetch_add(1, std::memory_order_release);
        context.ring_port();
    }
    return turn == static_cast<std::uint32_t>(JobTurn::granted);
}

std::string RuntimeState::do_once(const OnceCell& cell, const std::function<std::string()>& f) const {
    try {
        std::string result = f();
        std::fflush(stdout);  // once it is recorded nobody prints it again
        return result;
    } catch (const Error& error) {
        context.fail(error.code(), error.what());
    } catch (const std::exception& error) {
        context.fail(Errc::step_failed, fmt::format("'{}' threw: {}", cell.name.data(), error.what()));
    } catch (...) {
        context.fail(Errc::step_failed,
                     fmt::format("'{}' threw something that is no std::exception", cell.name.data()));
    }
}

void RuntimeState::leave_if_drained() {
    MemberRecord& mine = context.record();
    if (!waits_to_retire_) {
        if (!drained(context)) return;
        waits_to_retire_ = true;
        mine.drained.store(1, std::memory_order_release);
        announce(mine, Presence::leaving);
        ring_services(context.segment());
    }
    if (context.current_view().at(MemberSlot{context.slot}).state == MemberState::retired) {
        service.reset();
        leave_job(context);
        // In the middle of the application's main: neither its destructors nor its exit handlers expect that, and one
        // rank alone must not finalize MPI.
        std::fflush(nullptr);
        _exit(0);
    }
    // Cleared by the service thread once it has made a view in which this member stays: nobody else is left.
    waits_to_retire_ = mine.drained.load(std::memory_order_acquire) != 0;
}

void RuntimeState::wait_for_news(std::uint32_t attention_before) {
    context.throw_if_ended();
    service->pass_news_on();
    part_from_the_gone();
    MemberRecord& mine = context.record();
    prepare_sleep(mine);
    if (mine.attention.load(std::memory_order_acquire) != attention_before) {
        cancel_sleep(mine);
    } else {
        sleep_until_rung(mine, idle_look_ns);
    }
    context.throw_if_ended();
}

std::uint32_t RuntimeState::next_member() const {
    std::vector<MemberSlot> active = service->members().active_members();
    std::erase_if(active, [this](MemberSlot slot) { return context.is_port(slot.value); });
    if (active.empty()) return context.slot;
    const auto next = std::upper_bound(active.begin(), active.end(), MemberSlot{context.slot});
    return next == active.end() ? active.front().value : next->value;
}

std::uint32_t RuntimeState::publish_domain(std::uint64_t header_offset, DomainHeader& header) {
    ControlHeader& control = context.header();
    for (std::uint32_t index = 0; index < domain_count_max; ++index) {
        std::uint64_t seen = control.domains[index].load(std::memory_order_acquire);
        // The place of a maker that died before it was done is taken over.
        const bool same = seen != 0 && std::strcmp(context.domain_header(index)->name.data(), header.name.data()) == 0;
        if (seen != 0 && !same) continue;
        header.index = index;
        if (!control.domains[index].compare_exchange_strong(seen, header_offset, std::memory_order_acq_rel)) {
            --index;
            continue;
        }
        std::uint32_t count = control.domain_count.load(std::memory_order_acquire);
        while (count < index + 1 &&
               !control.domain_count.compare_exchange_weak(count, index + 1, std::memory_order_acq_rel)) {
        }
        context.ring_all();
        return index;
    }
    context.fail(Errc::no_memory, fmt::format("A job has at most {} domains and spaces.", domain_count_max));
}

void RuntimeState::check_name(std::string_view name, std::uint32_t vnodes) const {
    if (name.empty() || name.size() > 50 || name.find('/') != std::string_view::npos)
        throw Error{Errc::invalid_argument,
                    fmt::format("'{}' is no name for a domain or space: use 1 to 50 characters without '/'.", name)};
    if (domains_by_name.find(name) != nullptr)
        throw Error{Errc::invalid_argument,
                    fmt::format("There is a domain or space '{}' already; names must differ.", name)};
    if (vnodes == 0 || vnodes > vnode_count_max)
        throw Error{Errc::invalid_argument,
                    fmt::format("'{}' asks for {} VNodes; 1 to {} are possible.", name, vnodes, vnode_count_max)};
}

DomainState& RuntimeState::add_domain(std::string_view name, const DomainOptions& options) {
    check_name(name, options.vnodes);
    if (options.commit_every == 0)
        throw Error{Errc::invalid_argument,
                    fmt::format("Domain '{}' has commit_every = 0; a VNode commits every 1 or more steps.", name)};
    if (options.placement) {
        if (const std::string fault = fault_of(*options.placement); !fault.empty())
            throw Error{Errc::invalid_argument, fmt::format("Domain '{}': its placement {}.", name, fault)};
    }
    domains.push_back(std::make_unique<DomainState>(*this, std::string{name}, options));
    domains_by_name.add({std::string{name}, options.vnodes});
    return *domains.back();
}

SpaceState& RuntimeState::add_space(std::string_view name, const SpaceOptions& options) {
    check_name(name, options.vnodes);
    if (context.node_count() > 1)
        context.fail(
            Errc::invalid_argument,
            fmt::format("Space '{}': spaces do not work over several nodes yet; run the job on one node.", name));
    spaces.push_back(std::make_unique<SpaceState>(*this, std::string{name}, options));
    domains_by_name.add({std::string{name}, options.vnodes});
    return *spaces.back();
}

}  // namespace phoenix::detail
