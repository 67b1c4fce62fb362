#include "runtime/service.hpp"

#include "base/clock.hpp"
#include "memory/event_ring.hpp"
#include "messaging/doorbell.hpp"
#include "runtime/crash_report.hpp"
#include "runtime/vacating.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace phoenix {

namespace {

constexpr std::size_t reassign_batch = 65536;
constexpr std::uint64_t populate_batch = 32ULL << 20;
constexpr std::uint64_t sweep_period_ns = 500'000'000;

HangLimits hang_limits(const Settings& settings) {
    return {settings.heartbeat_misses_max, std::uint64_t{settings.heartbeat_period_ms} * 2'000'000};
}

PublishedState published_state(Presence presence) noexcept {
    switch (presence) {
        case Presence::present: return PublishedState::active;
        case Presence::leaving: return PublishedState::leaving;
        case Presence::empty:
        case Presence::claimed: break;
    }
    return PublishedState::empty;
}

}  // namespace

Service::Service(MemberContext& context)
    : context_(context),
      kick_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      pool_(context.segment(), context.arena(), context.slot),
      hangs_(hang_limits(context.settings)),
      deadlocks_(context) {
    // Signals belong to the application's threads.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread{[this] { loop(); }};
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Service::~Service() {
    ending_.store(true, std::memory_order_release);
    kick();
    thread_.join();
}

void Service::kick() noexcept {
    const std::uint64_t one = 1;
    // A full counter means that a kick is pending already.
    if (write(kick_.get(), &one, sizeof one) < 0) return;
}

void Service::pass_news_on() noexcept {
    const std::uint32_t news = context_.header().service_news.load(std::memory_order_acquire);
    if (std::exchange(news_passed_on_, news) != news) kick();
}

void Service::loop() noexcept {
    while (!ending_.load(std::memory_order_acquire)) {
        look_at_members();
        beat_and_watch();
        reconcile();
        check_deadlock();
        watch_drains();
        sweep();
        wait_for_news();
    }
}

void Service::wait_for_news() {
    std::vector<pollfd> entries{{kick_.get(), POLLIN, 0}};
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot)
        if (processes_[slot].valid()) entries.push_back({processes_[slot].descriptor(), POLLIN, 0});
    const bool more = context_.access.arena.populate_some(populate_batch);
    const bool starting = !placement_was_open_;
    const int timeout = more ? 0 : starting ? 2 : static_cast<int>(context_.settings.heartbeat_period_ms);
    poll(entries.data(), entries.size(), timeout);
    std::uint64_t kicks = 0;
    if (read(kick_.get(), &kicks, sizeof kicks) > 0) look_again_ = true;
}

// Opens a pidfd for everybody who has come, notes who is dead.
void Service::look_at_members() {
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot)
        if (slot != context_.slot) look_at_member(slot);
}

void Service::look_at_member(std::uint32_t slot) {
    const MemberRecord& record = context_.segment().member(slot);
    const MemberIdentity before = std::exchange(known_[slot], identity_of(record));
    MemberIdentity& now = known_[slot];
    const bool changed = now.incarnation != before.incarnation;
    // One that came or left is to be decided about, which may take a look at the words.
    if (changed || now.presence != before.presence) look_again_ = true;
    if (changed) {
        processes_[slot] = {};
        liveness_[slot] = Liveness::alive;
        killed_ns_[slot] = 0;
    }
    if (!now.attached() || liveness_[slot] == Liveness::dead) return;
    if (!before.attached() || changed) processes_[slot] = ProcessHandle{now.process};
    if (!processes_[slot].dead()) return;
    liveness_[slot] = Liveness::dead;
    processes_[slot] = {};
    // Read again: it may have said that it leaves after we looked, and died after that; or it did so long ago and its
    // slot is free by now.
    const MemberIdentity last = identity_of(record);
    if (last.incarnation == now.incarnation) now = last;
    if (now.presence == Presence::present) deaths_.store(true, std::memory_order_relaxed);  // read at the end only
}

// Known, and not seen dead.
bool Service::watched(std::uint32_t slot) const noexcept {
    return slot != context_.slot && known_[slot].attached() && liveness_[slot] != Liveness::dead;
}

void Service::beat_and_watch() {
    const std::uint64_t now = boot_time_ns();
    if (now - last_tick_ns_ < std::uint64_t{context_.settings.heartbeat_period_ms} * 1'000'000) return;
    last_tick_ns_ = now;
    // A sign of life, publishes nothing. Of a port its main loop gives it: that must not stand still either.
    if (!context_.is_port(context_.slot)) context_.record().heartbeat.fetch_add(1, std::memory_order_relaxed);
    // The first beats of the others may not be seen yet after a late tick of our own; counts start anew then.
    (void)hangs_.begin_tick(now);
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        if (!watched(slot)) continue;
        const MemberRecord& record = context_.segment().member(slot);
        HeartbeatSample sample{MemberSlot{slot}, Incarnation{known_[slot].incarnation},
                               record.heartbeat.load(std::memory_order_relaxed), false};
        sample.traced = hangs_.suspects(sample.slot) && is_traced(known_[slot].process.pid);
        liveness_[slot] = hangs_.observe(sample);
    }
}

// The registries of this process follow the view; readers of it are never blocked.
void Service::register_members() {
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberEntry& entry = view_.members[slot];
        if (entry.state == MemberState::empty) continue;
        if (!members_.set_state(MemberSlot{slot}, entry.incarnation, entry.state))
            (void)members_.put({MemberSlot{slot}, entry.state, entry.incarnation,
                                identity_of(context_.segment().member(slot)).process.pid, context_.capabilities});
    }
}

Observation Service::observe() {
    const ViewNumber before = view_.number;
    view_ = context_.current_view();
    if (view_.number != before) register_members();
    Observation observation;
    std::uint64_t taking = 0;
    observation.view = &view_;
    observation.self = MemberSlot{context_.slot};
    observation.waits_to_retire = context_.record().drained.load(std::memory_order_acquire) != 0;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberRecord& record = context_.segment().member(slot);
        // After the view was read: whoever it names has a process that we know, and one that came since is looked at
        // too.
        if (slot != context_.slot) look_at_member(slot);
        const MemberIdentity who = slot == context_.slot ? identity_of(record) : known_[slot];
        const RetireWord wish = retire_word(record);
        observation.liveness[slot] = liveness_[slot];
        observation.published[slot] = {published_state(who.presence),
                                       Incarnation{who.incarnation},
                                       who.order,
                                       wish.is_of(who.incarnation) && wish.wish() == RetireWish::wanted,
                                       record.taking.load(std::memory_order_acquire),
                                       who.role == MemberRole::port,
                                       who.numa};
        taking = (taking ^ observation.published[slot].taking) * 0x100000001B3ULL;
    }
    const ControlHeader& header = context_.header();
    observation.expected_member_count = header.expected_members.load(std::memory_order_acquire);
    observation.keepers_elsewhere = header.keepers_elsewhere.load(std::memory_order_acquire);
    look_again_ = look_again_ || (observation.keepers_elsewhere != 0) != keepers_elsewhere_seen_;
    keepers_elsewhere_seen_ = observation.keepers_elsewhere != 0;
    observation.start_time_over = header.start_deadline_ns != 0 && boot_time_ns() > header.start_deadline_ns;
    domains_.clear();
    const std::uint32_t count = header.domain_count.load(std::memory_order_acquire);
    for (std::uint32_t index = 0; index < std::min(count, domain_count_max); ++index)
        domains_.push_back(look_at_domain(index));
    observation.domains = domains_;
    const bool open = placement_open(observation);
    observation.balance = open && view_.number.value != balanced_view_ && !context_.settings.verify_replay &&
                          !context_.settings.always_move;
    observation.look_at_words = look_again_ || open != placement_was_open_ || count != looked_at_domains_ ||
                                view_.number.value != looked_at_words_of_view_ ||
                                (observation.balance && taking != taking_seen_);
    taking_seen_ = taking;
    observation.reassign_max = reassign_batch;
    placement_was_open_ = open;
    return observation;
}

DomainObservation Service::look_at_domain(std::uint32_t index) {
    const DomainHeader* domain = context_.domain_header(index);
    DomainObservation seen;
    if (domain == nullptr) return seen;
    // Somebody gave VNodes away: perhaps to a member that has failed since its words were looked at last.
    const std::uint64_t news = domain->directory_news.load(std::memory_order_acquire);
    look_again_ = look_again_ || news != directory_news_[index];
    directory_news_[index] = news;
    seen.kind =
        domain->kind == static_cast<std::uint32_t>(DomainKind::space) ? NameSpaceKind::space : NameSpaceKind::domain;
    seen.words = {&context_.directory_word(*domain, 0), domain->vnodes};
    if (domain->requests_offset != 0) seen.requests = {&context_.move_request(*domain, 0), domain->vnodes};
    if (domain->locations_offset != 0) seen.locations = {&context_.location_word(*domain, 0), domain->vnodes};
    seen.rule = PlacementRule::of_word(domain->placement);
    // Acquire: pairs with know_placement().
    if (placement_known_[index].load(std::memory_order_acquire)) seen.rule.function = &placements_[index];
    return seen;
}

void Service::know_placement(std::uint32_t index, const PlacementFunction& function) {
    placements_.at(index) = function;
    placement_known_.at(index).store(true, std::memory_order_release);  // pairs with look_at_domain()
    kick();
}

void Service::reconcile() {
    context_.record().acknowledged_view.store(view_.number.value, std::memory_order_relaxed);  // shown to people only
    while (context_.job_running() && !ending_.load(std::memory_order_acquire)) {
        const Observation observation = observe();
        const Decision decision = decide(observation);
        if (observation.look_at_words && !decision.proposal && decision.kills.empty() && decision.reassigns.empty()) {
            looked_at_words_of_view_ = view_.number.value;
            looked_at_domains_ = static_cast<std::uint32_t>(domains_.size());
            look_again_ = false;
            if (observation.balance && !decision.balance_waits && decision.moves.empty())
                balanced_view_ = view_.number.value;
        }
        if (!carry_out(decision)) return;
        look_again_ = true;
        look_at_members();
    }
}

bool Service::carry_out(const Decision& decision) {
    if (decision.nothing()) return false;
    for (const MemberSlot slot : decision.kills) kill_hung(slot);
    if (!decision.kills.empty()) return false;  // nothing else is decided until they are seen dead
    if (decision.proposal && context_.record().drained.load(std::memory_order_acquire) != 0)
        come_back(*decision.proposal);
    else if (decision.proposal)
        (void)propose(*decision.proposal);
    if (!decision.reassigns.empty()) change_owners(decision.reassigns);
    if (!decision.moves.empty()) request_moves(decision.moves);
    for (const MemberSlot slot : decision.refusals) refuse_to_retire(slot);
    if (decision.lost.empty() && !decision.misplaced) return true;
    end_the_job(decision);
    return false;
}

void Service::end_the_job(const Decision& decision) const {
    const auto name_of = [this](std::uint32_t index) {
        const DomainHeader* domain = context_.domain_header(index);
        return domain == nullptr ? "?" : domain->name.data();
    };
    if (decision.misplaced) {
        context_.fail_quietly(Errc::invalid_argument,
                              fmt::format("The application's placement of domain '{}' {}.",
                                          name_of(decision.misplaced->domain), decision.misplaced->fault.what));
        return;
    }
    const LostName& lost = decision.lost.front();
    context_.fail_quietly(
        Errc::member_lost,
        fmt::format("Member {} died while it had VNode {} of space '{}' ({} of its VNodes in all); a space keeps no "
                    "state, so it survives hand-over but not death: keep state in the fields of a domain.",
                    lost.owner.value, lost.vnode.value, name_of(lost.domain), decision.lost.size()));
}

// Does not wait for its end: this thread must go on beating, or others would take it for hung in its turn.
void Service::kill_hung(MemberSlot slot) {
    std::uint64_t& since = killed_ns_[slot.value];
    const std::uint64_t now = boot_time_ns();
    if (since == 0) {
        since = now;
        record_event(context_.segment(), EventKind::member_hung, slot.value, 0);
    }
    processes_[slot.value].signal(SIGKILL);
    if (now < since + std::uint64_t{context_.settings.kill_timeout_ms} * 1'000'000) return;
    context_.fail_quietly(
        Errc::system,
        fmt::format("Member {} (process {}) hangs and does not die when killed (it may wait for a device); its "
                    "VNodes cannot be taken over safely. Restart from the last checkpoint on another node.",
                    slot.value, known_[slot.value].process.pid));
}

bool Service::propose(const View& next) {
    std::atomic<std::uint64_t>& current = context_.header().view_current;
    ViewWord word{current.load(std::memory_order_acquire)};
    if (word.number().value + 1 != next.number.value) return false;
    const std::uint32_t buffer = word.spare_buffer_of(MemberSlot{context_.slot});
    const ViewImage image = image_of(next);
    std::memcpy(context_.segment().view_buffer(buffer), &image, sizeof image);
    // Release: whoever follows the word sees the whole image.
    if (!current.compare_exchange_strong(word.bits, ViewWord::make(next.number, buffer).bits,
                                         std::memory_order_acq_rel))
        return false;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        const MemberState before = view_.members[slot].state;
        const MemberState after = next.members[slot].state;
        if (before == after) continue;
        if (after == MemberState::failed) record_event(context_.segment(), EventKind::death_seen, slot, 0);
        const EventKind kind = after == MemberState::active     ? EventKind::member_active
                               : after == MemberState::failed   ? EventKind::member_failed
                               : after == MemberState::retired  ? EventKind::member_retired
                               : after == MemberState::draining ? EventKind::member_draining
                                                                : EventKind::none;
        if (kind != EventKind::none) record_event(context_.segment(), kind, slot, next.number.value);
    }
    judge_crashes(next);
    // A coordinator before us may have died between giving VNodes to somebody and saying so: everybody looks again.
    for (std::uint32_t index = 0; index < domain_count_max; ++index)
        if (DomainHeader* domain = context_.domain_header(index))
            domain->directory_news.fetch_add(1, std::memory_order_release);
    context_.ring_all();
    return true;
}

void Service::judge_crashes(const View& view) {
    if (const auto sentence = crash_verdict(context_, view)) context_.fail_quietly(Errc::step_failed, *sentence);
}

void Service::change_owners(const std::vector<Reassign>& reassigns) {
    if (!context_.job_running()) return;
    for (const Reassign& change : reassigns) {
        DomainHeader& domain = *context_.domain_header(change.domain);
        std::uint64_t expected = change.expected.bits;
        // Sequentially consistent: the adopter's scan comes after this, a sender's second look before or after (rule
        // 3).
        context_.directory_word(domain, change.vnode.value).compare_exchange_strong(expected, change.desired.bits);
    }
    std::uint32_t last = ~std::uint32_t{0};
    for (const Reassign& change : reassigns) {
        if (change.domain == last) continue;
        last = change.domain;
        context_.domain_header(last)->directory_news.fetch_add(1, std::memory_order_release);
    }
    context_.ring_all();
}

void Service::request_moves(const std::vector<Move>& moves) {
    for (const Move& move : moves)
        context_.move_request(*context_.domain_header(move.domain), move.vnode.value)
            .store(move.request.bits, std::memory_order_release);
    std::uint32_t last = ~std::uint32_t{0};
    for (const Move& move : moves) {
        if (move.domain == last) continue;
        last = move.domain;
        context_.domain_header(last)->move_news.fetch_add(1, std::memory_order_release);
    }
    context_.ring_all();
}

void Service::refuse_to_retire(MemberSlot slot) {
    MemberRecord& record = context_.segment().member(slot.value);
    RetireWord wish = retire_word(record);
    const std::uint32_t incarnation = identity_of(record).incarnation;
    if (wish.is_of(incarnation) && wish.wish() == RetireWish::wanted)
        record.retire.compare_exchange_strong(wish.bits, RetireWord::make(incarnation, RetireWish::refused, 0).bits,
                                              std::memory_order_acq_rel);
}

// This member has drained and waits to be retired, but nobody is left to do that. See Observation::waits_to_retire.
void Service::come_back(const View& next) {
    announce(context_.record(), Presence::present);
    if (propose(next)) {
        refuse_to_retire(MemberSlot{context_.slot});
        // Release: the main thread takes VNodes again, by the view that was made before.
        context_.record().drained.store(0, std::memory_order_release);
    } else {
        announce(context_.record(), Presence::leaving);
    }
    ring_services(context_.segment());
}

// A member that does not get empty in time is taken for dead: its VNodes are recovered from shared memory. The
// coordinator's business, and for the coordinator itself the port's; a wish without a deadline is patient.
void Service::watch_drains() {
    const std::optional<MemberSlot> coordinator = seen_coordinator();
    const bool is_port = context_.is_port(context_.slot);
    if (!context_.job_running() || (!is_port && coordinator != MemberSlot{context_.slot})) return;
    const std::uint64_t now = boot_time_ns();
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot) {
        if (is_port && coordinator != MemberSlot{slot}) continue;
        const RetireWord wish = retire_word(context_.segment().member(slot));
        if (view_.members[slot].state != MemberState::draining || !wish.is_of(known_[slot].incarnation) ||
            wish.deadline_ns() == 0 || now < wish.deadline_ns() || !watched(slot))
            continue;
        record_event(context_.segment(), EventKind::drain_timed_out, slot, 0);
        processes_[slot].signal(SIGKILL);
    }
}

// Ports are no coordinators, however old they are.
std::optional<MemberSlot> Service::seen_coordinator() const {
    LivenessTable liveness = liveness_;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot)
        if (context_.is_port(slot)) liveness[slot] = Liveness::dead;
    return coordinator_of(view_, liveness);
}

bool Service::coordinates() const { return seen_coordinator() == MemberSlot{context_.slot}; }

// The coordinator's, now and then, until nothing is left. If it dies another goes on. One that waits to be retired may
// see itself in its place still, but others decide already.
void Service::sweep() {
    if (swept_view_ == view_.number.value || !coordinates() ||
        context_.record().drained.load(std::memory_order_acquire) != 0)
        return;
    const std::uint64_t now = boot_time_ns();
    if (now - last_sweep_ns_ < sweep_period_ns) return;
    last_sweep_ns_ = now;
    const std::uint64_t number = view_.number.value;
    const SweepResult swept = sweep_after_the_dead(context_, pool_, view_);
    if (!vacate_slots(swept) && !swept.left) swept_view_ = number;
}

// True if slots of retired members are left that cannot be given back yet.
bool Service::vacate_slots(const SweepResult& swept) {
    std::array<PublishedMember, member_count_max> published{};
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot)
        published[slot] = {published_state(known_[slot].presence), Incarnation{known_[slot].incarnation}};
    const RemainsTable remains = find_remains(context_, view_, swept);
    for (const MemberSlot slot : vacant_slots(view_, published, liveness_, remains)) {
        (void)vacate_slot(context_.segment(), slot.value, known_[slot.value].incarnation);
        look_at_member(slot.value);
    }
    bool waiting = false;
    for (std::uint32_t slot = 0; slot < member_count_max; ++slot)
        waiting = waiting ||
                  (view_.members[slot].state == MemberState::retired && known_[slot].presence == Presence::leaving);
    return waiting;
}

void Service::check_deadlock() {
    if (!context_.job_running() || !coordinates()) return;
    if (context_.node_count() > 1) return;  // what is on its way between nodes is not seen here
    if (const auto sentence = deadlocks_.look(view_, boot_time_ns())) context_.fail_quietly(Errc::deadlock, *sentence);
}

}  // namespace phoenix
