#include "control/agent.hpp"

#include "base/clock.hpp"
#include "control/attachment.hpp"
#include "control/descriptor_socket.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

namespace phoenix {

namespace {

std::uint64_t random_word() noexcept {
    std::uint64_t word = 0;
    // Without the kernel's generator the time still tells two jobs apart; the job's secret does not come from here.
    if (getrandom(&word, sizeof word, 0) != static_cast<ssize_t>(sizeof word)) word = boot_time_ns();
    return word;
}

tl::expected<FileDescriptor, Failure> prepare(ControlSegment& segment, const AgentOptions& options) {
    ControlHeader& header = segment.header();
    const ProcessIdentity self = own_identity();
    header.agent_start_time = self.start_time;
    header.agent_pid.store(static_cast<std::uint32_t>(self.pid), std::memory_order_release);
    header.expected_members.store(options.expected_members, std::memory_order_release);
    header.node_id = options.node_id;
    header.node_count = options.node_count;
    if (options.secret) header.secret = *options.secret;
    header.start_deadline_ns = boot_time_ns() + std::uint64_t{options.settings.start_timeout_ms} * 1'000'000;
    if (auto stored = store_settings(options.settings, segment); !stored)
        return tl::unexpected(std::move(stored.error()));
    if (auto stored = store_fault_plan(options.faults, segment); !stored)
        return tl::unexpected(std::move(stored.error()));
    return Arena::create(segment, false);
}

}  // namespace

std::string draw_job_id() { return fmt::format("{:x}-{:08x}", getpid(), static_cast<std::uint32_t>(random_word())); }

tl::expected<std::unique_ptr<Agent>, Failure> Agent::start(const AgentOptions& options) {
    remove_dead_jobs();
    const std::string job_id = options.job_id.empty() ? draw_job_id() : options.job_id;
    auto created = ControlSegment::create(job_id);
    if (!created) return tl::unexpected(std::move(created.error()));
    // From here on the destructor removes the segment, whatever fails.
    std::unique_ptr<Agent> agent{new Agent};
    agent->segment_ = std::move(*created);
    auto file = prepare(agent->segment_, options);
    if (!file) return tl::unexpected(std::move(file.error()));
    auto arena = Arena::map(agent->segment_, std::move(*file));
    if (!arena) return tl::unexpected(std::move(arena.error()));
    agent->arena_ = std::move(*arena);
    agent->socket_name_ = fmt::format("phoenix.{}.{}.{:016x}", getuid(), job_id, random_word());
    auto listener = listen_for_members(agent->socket_name_);
    if (!listener) return tl::unexpected(std::move(listener.error()));
    agent->listener_ = std::move(*listener);
    agent->stop_ = FileDescriptor{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!agent->stop_.valid())
        return tl::unexpected(Failure{Errc::system, fmt::format("Cannot make an eventfd: {}.", std::strerror(errno))});
    // The launcher's signals must reach the thread that waits for them.
    sigset_t all{};
    sigset_t before{};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    agent->server_ = std::thread{[raw = agent.get()] { raw->serve(); }};
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    agent->segment_.publish();
    return agent;
}

Agent::~Agent() {
    if (server_.joinable()) {
        const std::uint64_t one = 1;
        while (write(stop_.get(), &one, sizeof one) < 0 && errno == EINTR) {
        }
        server_.join();
    }
    if (segment_.valid()) ControlSegment::remove(segment_.job_id());
}

void Agent::serve() const noexcept {
    for (;;) {
        pollfd waits[2] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
        if (poll(waits, 2, -1) < 0) continue;
        if (waits[1].revents != 0) return;
        if (waits[0].revents == 0) continue;
        // Before, so that nobody takes a memfd that is on its way for one that was never given.
        segment_.header().arena_handed_out.store(1, std::memory_order_seq_cst);
        serve_descriptor(listener_.get(), arena_.descriptor());
    }
}

std::vector<std::pair<std::string, std::string>> Agent::environment() const {
    return {{job_variable, segment_.job_id()},
            {agent_variable, socket_name_},
            {secret_variable, secret_text(segment_.header().secret)}};
}

}  // namespace phoenix
