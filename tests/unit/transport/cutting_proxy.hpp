#pragma once
/// A TCP proxy in a thread of the test that cuts connections when the test's seed says so, and damages what it carries
/// when it is told to.

#include "transport/socket.hpp"
#include "transport/wire.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <poll.h>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "unit/memory/test_job.hpp"

namespace phoenix::testing_tools {

class CuttingProxy {
  public:
    struct Options {
        std::uint32_t seed{1};
        std::uint64_t data_bytes_min{0};      ///< A data connection lives for at least so many bytes,
        std::uint64_t data_bytes_max{~0ULL};  ///< and at most so many.
    };

    CuttingProxy(const std::string& target, Options options)
        : target_(value_or_throw(parse_address(target))),
          options_(options),
          random_(options.seed),
          listener_(value_or_throw(listen_at(value_or_throw(make_address("127.0.0.1", 0))))),
          address_(text_of(local_address(listener_.get()))),
          thread_([this] { serve(); }) {}
    ~CuttingProxy() {
        stop_ = true;
        thread_.join();
    }
    CuttingProxy(const CuttingProxy&) = delete;
    CuttingProxy& operator=(const CuttingProxy&) = delete;

    [[nodiscard]] const std::string& address() const { return address_; }
    [[nodiscard]] std::uint64_t cuts() const { return cuts_; }
    [[nodiscard]] std::uint64_t open() const { return open_; }
    /// Cuts all control connections that stand now.
    void cut_control() { cut_control_ = true; }
    [[nodiscard]] bool control_is_cut() const { return !cut_control_; }
    void stop_cutting() { cutting_ = false; }
    /// Flips a bit in the middle of the next thing of some size that it carries: of a bulk frame's payload.
    void damage_once() { damage_ = true; }
    [[nodiscard]] bool has_damaged() const { return !damage_; }

  private:
    struct Way {  // one direction
        std::vector<std::byte> waiting;
        bool ended{false};
    };
    struct Both {
        FileDescriptor near;
        FileDescriptor far;
        Way to_far;
        Way to_near;
        std::uint64_t bytes{0};
        std::uint64_t limit{0};
        bool knows_kind{false};
        bool control{false};
        bool dead{false};
    };
    static constexpr std::size_t waiting_max = 256U << 10;

    void serve() {
        while (!stop_) {
            std::vector<pollfd> polled{{listener_.get(), POLLIN, 0}};
            for (const auto& both : connections_) {
                polled.push_back({both->near.get(), interest(both->to_far, both->to_near), 0});
                polled.push_back({both->far.get(), interest(both->to_near, both->to_far), 0});
            }
            static_cast<void>(poll(polled.data(), polled.size(), 2));
            accept_one();
            for (const auto& both : connections_) {
                carry(*both, both->near, both->far, both->to_far);
                carry(*both, both->far, both->near, both->to_near);
                const bool cut_now = both->knows_kind && both->control && cut_control_;
                if (cut_now || (cutting_ && both->bytes >= both->limit)) cut(*both);
            }
            cut_control_ = false;
            std::erase_if(connections_, [](const auto& both) { return both->dead; });
            open_ = connections_.size();
        }
    }
    static short interest(const Way& out, const Way& in) {
        return static_cast<short>((out.waiting.size() < waiting_max && !out.ended ? POLLIN : 0) |
                                  (in.waiting.empty() ? 0 : POLLOUT));
    }
    void accept_one() {
        SocketAddress from;
        int error = 0;
        FileDescriptor near = accept_caller(listener_.get(), from, error);
        if (!near.valid()) return;
        auto both = std::make_unique<Both>();
        both->near = std::move(near);
        both->far = begin_connect(value_or_throw(make_address("127.0.0.1", 0)), target_, error);
        if (!both->far.valid()) return;
        const std::uint64_t range = options_.data_bytes_max - options_.data_bytes_min;
        both->limit = options_.data_bytes_min + (range == ~0ULL ? ~0ULL : random_() % (range + 1));
        connections_.push_back(std::move(both));
    }
    void carry(Both& both, const FileDescriptor& from, const FileDescriptor& to, Way& way) {
        std::array<std::byte, 64U << 10> bytes;
        if (both.dead) return;
        if (way.waiting.size() < waiting_max && !way.ended) {
            std::size_t room = bytes.size();
            // To the byte: cuts fall within headers as well as between them.
            if (cutting_) room = std::min<std::uint64_t>(room, std::max<std::uint64_t>(both.limit - both.bytes, 1));
            iovec part{bytes.data(), room};
            const ssize_t size = receive_parts(from.get(), std::span{&part, 1});
            if (size == 0) way.ended = true;
            if (size < 0 && errno != EAGAIN) both.dead = errno != ENOTCONN;
            if (size > 0) {
                look(both, bytes, static_cast<std::size_t>(size));
                both.bytes += static_cast<std::uint64_t>(size);
                if (static_cast<std::size_t>(size) > bytes.size() / 2 && damage_.exchange(false))
                    bytes[static_cast<std::size_t>(size) / 2] ^= std::byte{4};
                way.waiting.insert(way.waiting.end(), bytes.begin(), bytes.begin() + size);
            }
        }
        if (!way.waiting.empty()) {
            iovec part{way.waiting.data(), way.waiting.size()};
            const ssize_t size = send_parts(to.get(), std::span{&part, 1});
            if (size < 0 && errno != EAGAIN && errno != ENOTCONN) both.dead = true;
            if (size > 0) way.waiting.erase(way.waiting.begin(), way.waiting.begin() + size);
        }
        if (way.ended && way.waiting.empty()) both.dead = true;
    }
    /// The hello says what kind of connection it is.
    static void look(Both& both, const std::array<std::byte, 64U << 10>& bytes, std::size_t size) {
        if (both.knows_kind || size <= offsetof(IntroductionMessage, connection)) return;
        both.knows_kind = true;
        both.control =
            bytes[offsetof(IntroductionMessage, connection)] == static_cast<std::byte>(ConnectionKind::control);
        if (both.control) both.limit = ~0ULL;
    }
    void cut(Both& both) {
        both.dead = true;
        ++cuts_;
        // Every other time as a reset, which also takes away what the receiver has not read.
        const linger at_once{1, 0};
        if (cuts_ % 2 == 0)
            for (const FileDescriptor* const end : {&both.near, &both.far})
                static_cast<void>(setsockopt(end->get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    }

    SocketAddress target_;
    Options options_;
    std::mt19937_64 random_;
    FileDescriptor listener_;
    std::string address_;
    std::vector<std::unique_ptr<Both>> connections_;
    std::atomic<bool> stop_{false};
    std::atomic<bool> cutting_{true};
    std::atomic<bool> cut_control_{false};
    std::atomic<bool> damage_{false};
    std::atomic<std::uint64_t> cuts_{0};
    std::atomic<std::uint64_t> open_{0};
    std::thread thread_;  ///< Last: it uses all the others.
};

}  // namespace phoenix::testing_tools
