#include "sim/world.hpp"

#include "sim/member.hpp"

#include <algorithm>

namespace phoenix::sim {

namespace {

constexpr std::uint64_t event_limit = 200'000;  // an undisturbed schedule takes some 700
constexpr std::uint32_t fault_horizon = 900;    // most schedules are not through by then

bool later(std::uint64_t a, std::uint64_t b) noexcept { return a > b; }

}  // namespace

World::World(const Options& options)
    : options_(options), program_(options.vnodes, options.steps), random_(options.seed) {
    memory.view_buffers.resize(2 * slot_max);
    plan();
}

World::~World() = default;

// ------------------------------------------------------------------------------------------------- faults

void World::plan_at(std::uint64_t at, std::function<void()> what) {
    timed_.push_back(TimedEvent{at, std::move(what)});
    std::push_heap(timed_.begin(), timed_.end(),
                   [](const TimedEvent& a, const TimedEvent& b) { return later(a.at, b.at); });
}

void World::plan() {
    for (std::uint32_t i = 0; i < options_.members; ++i) {
        plan_at(random(200), [this] { start_process(); });
    }
    for (std::uint32_t i = 0; i < options_.late_joiners; ++i) {
        plan_at(random(fault_horizon), [this] { start_process(); });
    }
    const auto plan_faults = [this](std::uint32_t count, void (World::*fault)(Process&)) {
        for (std::uint32_t i = 0; i < count; ++i) {
            plan_at(random(fault_horizon), [this, fault] {
                if (Process* process = victim(fault == &World::die)) {
                    (this->*fault)(*process);
                }
            });
        }
    };
    plan_faults(options_.kills, &World::die);
    plan_faults(options_.stops, &World::stop);
    plan_faults(options_.leaves, &World::request_leave);
    for (std::uint32_t i = 0; i < options_.retirements; ++i) {
        plan_at(random(fault_horizon), [this] {
            if (!processes_.empty()) {
                request_retirement(processes_[random(static_cast<std::uint32_t>(processes_.size()))]);
            }
        });
    }
    plan_at(150 + random(400), [this] {
        start_time_over_ = true;
        tell_news();
    });
}

void World::start_process() {
    // The lowest slot that is nobody's, or whose claimant died before it said anything.
    std::uint32_t slot = 0;
    while (slot < options_.slots && memory.taken[slot] &&
           (memory.published[slot].state != PublishedState::empty || process_in(slot)->alive)) {
        ++slot;
    }
    if (slot == options_.slots) {
        return;
    }
    const Process* before = process_in(slot);
    statistics.reused += before == nullptr ? 0 : 1;
    Process& process = processes_.emplace_back();
    process.slot = slot;
    process.incarnation = Incarnation{before == nullptr ? 1 : before->incarnation.value + 1};
    memory.taken[slot] = true;
    if (options_.come_and_go) {
        // More than once: it may be needed when it is asked first.
        for (std::uint64_t at = now_ + 50 + random(400); at < now_ + 3000; at += 300 + random(400)) {
            plan_at(at, [this, &process] { request_retirement(process); });
        }
    }
    // The slot is claimed before the process has threads that could sleep in it.
    memory.published[slot] = PublishedMember{PublishedState::empty, process.incarnation};
    memory.sleeping[slot] = 0;
    process.member = std::make_unique<Member>(*this, process, tickets_++);
    const auto start = [&](Task task, bool is_worker) {
        auto thread = std::make_unique<SimThread>();
        thread->task = std::move(task);
        thread->point = thread->task.handle();
        thread->process = static_cast<std::uint32_t>(processes_.size() - 1);
        thread->is_worker = is_worker;
        threads_.push_back(std::move(thread));
    };
    start(process.member->worker(), true);
    start(process.member->service(), false);
}

View World::view_in_force() const {
    const ViewWord word{memory.view_word};
    return word.number().value == 0 ? View{} : view_of(memory.view_buffers[word.buffer()]).value_or(View{});
}

bool World::vacate(std::uint32_t slot, Incarnation incarnation) {
    PublishedMember& published = memory.published[slot];
    if (published.state != PublishedState::leaving || published.incarnation != incarnation) {
        return false;
    }
    published.state = PublishedState::empty;
    memory.taken[slot] = false;
    if (options_.come_and_go) {
        plan_at(now_ + random(60), [this] { start_process(); });
    }
    return true;
}

std::optional<std::uint32_t> World::coordinator() const {
    const View view = view_in_force();
    LivenessTable liveness{};
    for (const Process& process : processes_) {
        liveness[process.slot] = process.alive ? Liveness::alive : Liveness::dead;
    }
    const auto slot = coordinator_of(view, liveness);
    return slot ? std::optional<std::uint32_t>{slot->value} : std::nullopt;
}

Process* World::process_in(std::uint32_t slot) {
    Process* found = nullptr;
    for (Process& process : processes_) {
        found = process.slot == slot ? &process : found;
    }
    return found;
}

Process* World::victim(bool for_good) {
    const View view = view_in_force();
    // One that wants to retire can be the last only if nobody is left who may retire it and be lost after that.
    const bool others_may_go = std::any_of(processes_.begin(), processes_.end(), [](const Process& process) {
        return process.alive && (process.unreliable || process.leave_requested);
    });
    const auto reliable = [&](const Process& process) {
        const bool retired = view.members[process.slot].state == MemberState::retired &&
                             view.members[process.slot].incarnation == process.incarnation;
        const bool may_retire = process.wished_to_retire && (others_may_go || !for_good);
        return process.alive && !process.unreliable && !process.leave_requested && !retired && !may_retire;
    };
    const auto count = std::count_if(processes_.begin(), processes_.end(), reliable);
    std::vector<Process*> candidates;
    const std::optional<std::uint32_t> acting = coordinator();
    const bool prefer_acting = random(2) == 0;
    for (Process& process : processes_) {
        if (!process.alive || count < (reliable(process) ? 2 : 1)) {
            continue;
        }
        if (prefer_acting && acting == process.slot) {
            return &process;
        }
        candidates.push_back(&process);
    }
    return candidates.empty() ? nullptr : candidates[random(static_cast<std::uint32_t>(candidates.size()))];
}

void World::die(Process& process) {
    if (!process.alive) {
        return;
    }
    ++statistics.deaths;
    statistics.coordinator_deaths += coordinator() == process.slot ? 1 : 0;
    process.alive = false;
    for (const auto& thread : threads_) {
        if (&processes_[thread->process] == &process) {
            drain(*thread, thread->store_buffer.size());  // a processor finishes what retired, whoever dies
        }
    }
    std::erase_if(threads_, [&](const auto& thread) { return &processes_[thread->process] == &process; });
    lost_before_join_ += process.published ? 0 : 1;
    tell_news();
}

void World::stop(Process& process) {
    if (process.stopped) {
        return;
    }
    process.stopped = process.unreliable = true;
    plan_at(now_ + random(200), [this, &process] {
        if (process.alive && process.stopped) {
            process.seems_hung = true;
            tell_news();
        }
    });
    if (random(2) == 0) {
        plan_at(now_ + random(500), [this, &process] { process.stopped = false; });
        plan_at(now_ + 500 + random(100), [this, &process] {
            process.seems_hung = process.stopped;  // its heartbeat was seen again, unless it was stopped once more
            tell_news();
        });
    }
}

void World::request_leave(Process& process) {
    process.leave_requested = true;
    ++memory.attention[process.slot];
    wake(process.slot);
}

// Of anybody, the last one included: whether it may is the protocol's business. But not of the only one that works
// among some that hang: those take its VNodes and are lost with them.
void World::request_retirement(Process& process) {
    PublishedMember& published = memory.published[process.slot];
    if (published.state == PublishedState::empty || published.incarnation != process.incarnation || !process.alive) {
        return;
    }
    const auto works = [&](const Process& other) {
        return &other != &process && other.alive && !other.unreliable && !other.leave_requested &&
               !other.wished_to_retire;
    };
    const bool somebody_hangs = std::any_of(processes_.begin(), processes_.end(), [](const Process& other) {
        return other.alive && (other.unreliable || other.leave_requested);
    });
    if (somebody_hangs && std::none_of(processes_.begin(), processes_.end(), works)) {
        return;
    }
    published.retire_wanted = process.wished_to_retire = true;
    tell_news();
}

// ------------------------------------------------------------------------------------------------- for members

World::Point World::long_op() {
    if (options_.come_and_go && random(6) == 0) {
        running_->paused_until = now_ + random(random(4) == 0 ? 3000 : 600);
        plan_at(running_->paused_until, [] {});  // the clock goes there if nothing else happens
    }
    return op();
}

bool World::compare_and_swap(std::uint32_t vnode, DirectoryWord expected, DirectoryWord desired) {
    fence();
    std::uint64_t bits = expected.bits;
    return memory.words[vnode].compare_exchange_strong(bits, desired.bits);
}

bool World::compare_and_swap_view(ViewWord expected, ViewWord desired) {
    fence();
    if (ViewWord{memory.view_word} != expected) {
        return false;
    }
    memory.view_word = desired.bits;
    return true;
}

void World::publish_commit(const Process& process, std::uint32_t vnode, const Commit& commit) {
    const DirectoryWord word{memory.words[vnode].load()};
    if (!word.owned_by(MemberSlot{process.slot}) || process_in(process.slot) != &process) {
        fail("I2: slot " + std::to_string(process.slot) + " commits VNode " + std::to_string(vnode) +
             ", which is owned by slot " + std::to_string(word.owner().value));
    }
    const Commit& before = memory.commits[vnode];
    if (before.valid ? commit.steps != before.steps + 1 : commit.steps != 0) {
        fail("I2: VNode " + std::to_string(vnode) + " commits step " + std::to_string(commit.steps) + " after " +
             std::to_string(before.steps));
    }
    memory.commits[vnode] = commit;
}

void World::publish_member(Process& process, const PublishedMember& published) {
    memory.published[process.slot] = published;
    process.published = true;
    tell_news();
}

void World::wake(std::uint32_t slot) {
    if (memory.sleeping[slot] == 0) {
        return;
    }
    memory.sleeping[slot] = 0;
    for (const auto& thread : threads_) {
        thread->asleep = thread->asleep && processes_[thread->process].slot != slot;
    }
}

void World::sleep(std::uint32_t slot) {
    fence();  // a system call
    running_->asleep = memory.sleeping[slot] != 0;
}

void World::wait_for_news(std::uint64_t seen) { running_->waits_for_news = news_ == seen; }

void World::tell_news() {
    ++news_;
    for (const auto& thread : threads_) {
        thread->waits_for_news = false;
    }
}

Liveness World::liveness_of(std::uint32_t slot) const {
    const PublishedMember& published = memory.published[slot];
    if (published.state == PublishedState::empty) {
        return Liveness::alive;
    }
    for (const Process& process : processes_) {
        if (process.slot == slot && process.incarnation == published.incarnation) {
            if (process.alive && process.seems_hung) {
                return planted(Plant::adopt_before_seen_dead) ? Liveness::dead : Liveness::hung;
            }
            return process.alive ? Liveness::alive : Liveness::dead;
        }
    }
    return Liveness::dead;
}

void World::send_kill(std::uint32_t slot) {
    Process* process = process_in(slot);
    process->unreliable = true;
    ++statistics.hung_killed;
    plan_at(now_ + random(40), [this, process] { die(*process); });
}

void World::end_soon(std::uint32_t slot) {
    Process* process = process_in(slot);
    plan_at(now_ + random(200), [this, process] { die(*process); });
}

void World::fail(std::string what) {
    if (failure_.empty()) {
        failure_ = std::move(what);
    }
}

// ------------------------------------------------------------------------------------------------- scheduler

void World::drain(SimThread& thread, std::size_t stores) {
    for (std::size_t i = 0; i < stores; ++i) {
        const PendingStore& store = thread.store_buffer[i];
        if (store.kind == PendingStore::Kind::publish) {
            memory.chains[store.chain].records.push_back(store.record);
        } else {
            memory.sleeping[store.slot] = 1;
        }
    }
    thread.store_buffer.erase(thread.store_buffer.begin(),
                              thread.store_buffer.begin() + static_cast<std::ptrdiff_t>(stores));
}

bool World::runnable(const SimThread& thread) const {
    return !thread.task.done() && !thread.asleep && !thread.waits_for_news && !processes_[thread.process].stopped &&
           thread.paused_until <= now_;
}

SimThread* World::pick() {
    std::uint32_t total = 0;
    for (const auto& thread : threads_) {
        total += runnable(*thread) ? thread->weight : 0;
    }
    if (total == 0) {
        return nullptr;
    }
    std::uint32_t ticket = random(total);
    for (const auto& thread : threads_) {
        const std::uint32_t weight = runnable(*thread) ? thread->weight : 0;
        if (ticket < weight) {
            return thread.get();
        }
        ticket -= weight;
    }
    return nullptr;
}

void World::run_due_events() {
    const auto order = [](const TimedEvent& a, const TimedEvent& b) { return later(a.at, b.at); };
    while (!timed_.empty() && timed_.front().at <= now_) {
        std::pop_heap(timed_.begin(), timed_.end(), order);
        const TimedEvent event = std::move(timed_.back());
        timed_.pop_back();
        event.what();
    }
}

bool World::complete() const {
    return std::all_of(memory.commits.begin(), memory.commits.begin() + options_.vnodes,
                       [this](const Commit& commit) { return commit.valid && commit.steps == options_.steps; });
}

void World::check_results() {
    for (std::uint32_t v = 0; v < options_.vnodes; ++v) {
        if (memory.commits[v].state != program_.final_state(v)) {
            fail("I5: VNode " + std::to_string(v) + " ends with another result than undisturbed");
        }
    }
}

std::string World::describe() const {
    std::string text;
    for (std::uint32_t v = 0; v < options_.vnodes; ++v) {
        const DirectoryWord word{memory.words[v].load()};
        text += "; VNode " + std::to_string(v) + ": owner " + std::to_string(word.owner().value) + " state " +
                std::to_string(static_cast<int>(word.state())) + " version " + std::to_string(word.version()) +
                " steps " + std::to_string(memory.commits[v].steps);
    }
    for (const Process& process : processes_) {
        text += "; slot " + std::to_string(process.slot) + "." + std::to_string(process.incarnation.value) +
                (process.alive ? " alive" : " dead") + (process.stopped ? " stopped" : "");
    }
    const View view = view_in_force();
    for (std::uint32_t slot = 0; slot < slot_max; ++slot) {
        if (view.members[slot].state == MemberState::empty) {
            continue;
        }
        text += "; view: slot " + std::to_string(slot) + "." + std::to_string(view.members[slot].incarnation.value) +
                " state " + std::to_string(static_cast<int>(view.members[slot].state)) + " published " +
                std::to_string(static_cast<int>(memory.published[slot].state)) +
                (memory.published[slot].retire_wanted ? " wants to retire" : "");
    }
    return text;
}

Outcome World::run() {
    for (; failure_.empty() && !complete(); ++now_) {
        run_due_events();
        // Priorities change now and then, so that some threads stand still for long at a bad place.
        if (!threads_.empty() && random(32) == 0) {
            constexpr std::array<std::uint32_t, 3> weights{1, 8, 64};
            threads_[random(static_cast<std::uint32_t>(threads_.size()))]->weight = weights[random(3)];
        }
        if (!threads_.empty() && random(16) == 0) {
            SimThread& thread = *threads_[random(static_cast<std::uint32_t>(threads_.size()))];
            drain(thread, std::min<std::size_t>(thread.store_buffer.size(), 1));
        }
        running_ = pick();
        if (running_ != nullptr) {
            ++statistics.events;
            running_->point.resume();
        } else if (!timed_.empty()) {
            now_ = std::max(now_, timed_.front().at - 1);
        } else {
            fail("I3: nothing moves any more" + describe());
        }
        if (now_ > event_limit) {
            fail("I3: no end in sight" + describe());
        }
    }
    if (failure_.empty()) {
        check_results();
    }
    return Outcome{failure_, statistics};
}

Outcome simulate(const Options& options) {
    World world{options};
    return world.run();
}

}  // namespace phoenix::sim
